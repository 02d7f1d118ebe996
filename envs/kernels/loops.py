"""The loops of noise and slates, as numba compiles them: at the first call of each, for seconds, and then from disk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange, uint32
from numpy.typing import NDArray

from interplay.envs.kernels.parts import (
    USERS,
    draw,
    exp,
    finite,
    first_and_second,
    inlined,
    log,
    loop,
    reordered,
    routine,
)

_BLOCK = 4096  # draws that a thread makes at a time
_LANES = 128  # users whose slates a thread draws side by side
_SCORES = 1 << 14  # what they hold at most at once: 64 KiB of float32


@reordered
def _highest(values: NDArray[np.float32]) -> Any:
    highest = np.float32(-np.inf)
    for value in values:
        highest = max(highest, value)
    return highest


@reordered
def _first_place(values: NDArray[np.float32], wanted: Any) -> Any:
    """Where ``wanted`` first stands; the number of values if nowhere."""
    first = np.int32(len(values))
    for i in range(np.int32(len(values))):
        here = np.int32(i) if values[i] == wanted else np.int32(len(values))
        first = here if here < first else first
    return first


@routine
def _take_highest(values: NDArray[np.float32], top: NDArray[np.float32], place: NDArray[np.int64]) -> None:
    """The highest, descending, and where they are, the first of equals first; they become -inf in ``values``.

    Looking for each anew takes less time than inserting into the highest so far, whose every branch is a surprise.
    """
    for k in range(len(top)):
        top[k] = _highest(values)
        if top[k] > -np.inf:
            place[k] = _first_place(values, top[k])
            values[place[k]] = -np.inf
        else:
            place[k] = _unused(place, k)


@routine
def _unused(place: NDArray[np.int64], count: int) -> int:
    """The lowest place that is not among the first ``count``: what is all -inf is given once, too."""
    lowest = 0
    while (place[:count] == lowest).any():
        lowest += 1
    return lowest


@routine
def _fill(first: Any, second: Any, start: Any, out: NDArray[np.float32]) -> None:
    for i in range(np.int32(len(out))):
        out[i] = draw(first, second, uint32(start + uint32(i)))


@loop
def uniform(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, offset: int,
            out: NDArray[np.float32]) -> None:
    """Fill ``out [B, n]``; see ``noise.uniform``, whose every line is here."""
    worlds, count = out.shape
    blocks = (count + _BLOCK - 1) // _BLOCK
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        first, second = first_and_second(key, step, stream, world)
        start = block * _BLOCK
        _fill(first, second, uint32(offset + start), out[world, start:min(count, start + _BLOCK)])


@loop
def top_k(values: NDArray[np.float32], top: NDArray[np.float32], index: NDArray[np.int64]) -> None:
    """The highest of each row of ``values [R, M]``, descending, into ``top`` and ``index [R, K]``."""
    for row in prange(len(values)):
        _take_highest(values[row].copy(), top[row], index[row])


@loop
def best(values: NDArray[np.float32], mask: NDArray[np.bool_], place: NDArray[np.int64]) -> None:
    """The ``place [R]`` of the highest of ``values [R, A]`` that the mask allows; NaN counts as the highest."""
    rows, count = values.shape
    for block in prange((rows + USERS - 1) // USERS):
        for row in range(block * USERS, min(rows, (block + 1) * USERS)):
            highest, where = np.float32(-np.inf), 0
            for i in range(count):
                value = values[row, i]
                if mask[row, i] and (value > highest or (value != value and highest == highest)):
                    highest, where = value, i
            place[row] = where


@reordered
def _add_products(first: Any, second: Any, third: Any, fourth: Any, a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
    """Four at a time, so that ``out`` is read and written a fourth as often."""
    for i in range(len(out)):
        out[i] += a * first[i] + b * second[i] + c * third[i] + d * fourth[i]


@reordered
def _add_product(values: Any, factor: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] += factor * values[i]


@routine
def _score(taste: Any, vectors: Any, offset: Any, score: Any) -> None:
    """Scores ``[M, N]`` of candidates with ``vectors [D, M]`` for users with ``taste [D, N]``."""
    whole = len(taste) - len(taste) % 4
    for i in range(len(score)):
        score[i][:] = offset[i]
        for d in range(0, whole, 4):
            _add_products(taste[d], taste[d + 1], taste[d + 2], taste[d + 3], vectors[d, i], vectors[d + 1, i],
                          vectors[d + 2, i], vectors[d + 3, i], score[i])
        for d in range(whole, len(taste)):
            _add_product(taste[d], vectors[d, i], score[i])


@inlined
def _ordered(bits: Any) -> Any:
    """Bits of floats as integers of the same order, and back: vector instructions compare integers alone."""
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@routine
def _raise(highest: NDArray[np.int32], values: NDArray[np.float32]) -> None:
    for n in range(np.int32(len(values))):
        highest[n] = np.int32(max(highest[n], _ordered(np.float32(values[n]).view(np.int32))))


@routine
def _highest_of_each(score: NDArray[np.float32], work: NDArray[np.int32], highest: NDArray[np.float32]) -> None:
    """The highest score of each user."""
    work[:] = np.int32(-0x7FFFFFFF)
    for i in range(len(score)):
        _raise(work, score[i])
    for n in range(np.int32(len(highest))):
        highest[n] = _ordered(work[n]).view(np.float32)


@finite
def _to_weight(score: NDArray[np.float32], highest: NDArray[np.float32]) -> None:
    """The exponential in place of the score."""
    for n in range(len(score)):
        score[n] = exp(score[n] - highest[n])


@finite
def _add(values: NDArray[np.float32], total: NDArray[np.float64]) -> None:
    for n in range(len(values)):
        total[n] += np.float64(values[n])


@finite
def _arrive(first: Any, second: Any, start: Any, candidate: Any, low: Any, weight: Any, arrival: Any) -> None:
    """When the candidate comes to each user, at a speed of ``weight``: bits of a float, its number in the ``low``."""
    for n in range(np.int32(len(weight))):
        drawn = draw(first, second, uint32(start[n] + uint32(candidate)))
        bits = np.float32(-log(drawn) / weight[n]).view(np.int32)
        arrival[n] = np.int32(np.int32(bits & ~low) | np.int32(candidate))


@routine
def _let_in(arrival: NDArray[np.int32], earliest: NDArray[np.int32]) -> None:
    """Keep the earlier of each two in ``earliest``, and the later in ``arrival``."""
    for n in range(np.int32(len(arrival))):
        one, other = arrival[n], earliest[n]
        earliest[n], arrival[n] = np.int32(min(one, other)), np.int32(max(one, other))


@routine
def _race(first: Any, second: Any, start: Any, weight: Any, low: Any, arrival: Any, earliest: Any) -> None:
    """Who comes first to each user, if the time each takes is exponential: those ``earliest [W, N]``, ascending.

    That is the order of score + Gumbel noise, which is minus the logarithm of the time, but takes one logarithm in
    place of two. All users advance side by side, as vector instructions would have it.
    """
    earliest[:] = np.int32(0x7FFFFFFF)
    for candidate in range(len(weight)):
        _arrive(first, second, start, candidate, low, weight[candidate], arrival)
        for k in range(len(earliest)):
            _let_in(arrival, earliest[k])


@routine
def _settle(first: Any, second: Any, start: Any, taste: Any, temperature: Any, vectors: Any, offset: Any, shown: int,
            place: Any, value: Any, error: Any) -> bool:
    """A user's places as float64 has them, and whether float32 may have them otherwise.

    Values are score + Gumbel noise, of those in ``place`` and of the best one behind them. ``error`` is how far from
    them a float32 reckoning may be: by half of 2^-23 of each intermediate result, where the terms of a product are
    added up in any order, but at least four side by side or with fused multiplications.
    """
    value[:] = -np.inf
    for candidate in range(len(offset)):
        if offset[candidate] == -np.inf:
            continue
        score, terms = 0.0, 0.0
        for d in range(len(vectors)):
            term = np.float64(taste[d]) * np.float64(vectors[d, candidate]) / np.float64(temperature)
            score, terms = score + term, terms + abs(term)
        score += np.float64(offset[candidate])
        noise = -math.log(-math.log(np.float64(draw(first, second, uint32(start + uint32(candidate))))))
        here, now = np.int32(candidate), score + noise
        off = 2.0**-24 * (terms * (3.0 + 0.25 * len(vectors)) + 2.0 * abs(score) + abs(now) + 3.0 * abs(noise) + 4.0)
        for k in range(len(value)):
            if now > value[k]:
                value[k], now = now, value[k]
                error[k], off = off, error[k]
                place[k], here = here, place[k]
    close = False
    for k in range(min(shown, len(value) - 1)):
        close |= value[k + 1] > -np.inf and value[k] - value[k + 1] <= error[k] + error[k + 1]
    return close


@routine
def _rest(weight: NDArray[np.float32], n: int, place: NDArray[np.int32], slots: int) -> Any:
    """What the candidates weigh for user ``n`` that are in none of the slots."""
    rest = np.float64(0.0)
    for candidate in range(len(weight)):
        shown = False
        for k in range(slots):
            shown |= place[k] == candidate
        if not shown:
            rest += np.float64(weight[candidate, n])
    return rest


@finite
def _add_log_chances(chosen: Any, left: Any, log_chance: Any) -> None:
    for n in range(len(chosen)):
        left[n] += np.float64(chosen[n])
        log_chance[n] += log(np.float32(chosen[n] / left[n]))


@finite
def _margins(earliest: Any, reach: Any, margin: Any) -> None:
    """Relative differences of times that float32 sums of score and noise may get wrong, raised to ``margin``.

    No score is further from 0 than ``reach``; a sum of ten such terms is off by 6e-7 of it at most.
    """
    for n in range(np.int32(len(reach))):
        power = abs(np.float32(np.int32(earliest[n] >> np.int32(23)) - np.int32(127)))
        here = np.float32(5e-7) * (np.float32(4.0) + power + np.float32(2.0) * reach[n])
        margin[n] = here if here > margin[n] else margin[n]


@finite
def _furthest(vectors: NDArray[np.float32], offset: NDArray[np.float32]) -> Any:
    """The length of the longest of the ``vectors [D, M]``, and the largest offset."""
    longest, largest = np.float32(0.0), np.float32(0.0)
    for candidate in range(len(offset)):
        squares = np.float32(0.0)
        for d in range(len(vectors)):
            squares += vectors[d, candidate] * vectors[d, candidate]
        longest, largest = max(longest, squares), max(largest, offset[candidate])
    return np.float32(math.sqrt(longest)), largest


@routine
def _chunk(starts: NDArray[np.int64], lanes: int, number: int) -> tuple[int, int, int]:
    """The segment of a chunk of at most ``lanes`` users, its first user, and the one behind its last.

    Users count in the order of their segments. There are more chunks than are needed: the last hold nobody.
    """
    for segment in range(len(starts) - 1):
        chunks = (starts[segment + 1] - starts[segment] + lanes - 1) // lanes
        if number < chunks:
            begin = starts[segment] + number * lanes
            return segment, begin, min(begin + lanes, starts[segment + 1])
        number -= chunks
    return 0, 0, 0


@routine
def _bits(count: int) -> int:
    """Bits that hold every number below ``count``."""
    bits = 0
    while (1 << bits) < count:
        bits += 1
    return bits


@routine
def _offer(ids: NDArray[np.int64], alive: NDArray[np.bool_], log_factor: NDArray[np.float32], level: NDArray[np.int64],
           courted: NDArray[np.int64], segment: int, offset: NDArray[np.float32]) -> int:
    """What boosts add to candidates' scores in the segment, -inf for the dead; how many are alive."""
    count = 0
    for candidate in range(len(ids)):
        item = ids[candidate]
        boost = log_factor[level[item]] if courted[item] == segment else np.float32(0.0)
        offset[candidate] = boost if alive[item] else np.float32(-np.inf)
        count += alive[item]
    return count


@routine
def _ready(who: NDArray[np.int64], taste: NDArray[np.float32], temperature: np.float32, longest: Any, largest: Any,
           columns: NDArray[np.float32], reach: NDArray[np.float32]) -> None:
    """Tastes of the chunk's users, by temperature, as columns; how far from 0 their scores can be."""
    for n in range(len(who)):
        squares = np.float32(0.0)
        for d in range(len(columns)):
            columns[d, n] = taste[who[n], d] / temperature
            squares += columns[d, n] * columns[d, n]
        reach[n] = largest + longest * np.float32(math.sqrt(squares))


@routine
def _weigh(weight: NDArray[np.float32], work: NDArray[np.int32], highest: NDArray[np.float32],
           total: NDArray[np.float64]) -> None:
    """Scores become exponentials, of which the highest of each user is 1, and are summed up."""
    _highest_of_each(weight, work, highest)
    for candidate in range(len(weight)):
        _to_weight(weight[candidate], highest)
        _add(weight[candidate], total)


@routine
def _mark_near(earlier: NDArray[np.int32], later: NDArray[np.int32], low: Any, margin: NDArray[np.float32],
               near: NDArray[np.bool_]) -> None:
    """Mark users of whom two candidates come at times too near to tell by their bits."""
    for n in range(np.int32(len(near))):
        near[n] |= np.float32(np.int32(later[n] - earlier[n]) - low) * np.float32(2.0**-24) < margin[n]


@routine
def _take_out(weight: NDArray[np.float32], place: NDArray[np.int32], chosen: NDArray[np.float32],
              left: NDArray[np.float64], unsure: NDArray[np.bool_]) -> None:
    """Weights of what users are shown in a slot leave those ``left``; those so small that bits are lost are marked."""
    for n in range(len(place)):
        chosen[n] = weight[place[n], n]
        left[n] -= np.float64(chosen[n])
        unsure[n] |= chosen[n] < np.float32(2e-22)


@loop
def slates(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, taste: NDArray[np.float32],
           order: NDArray[np.int64], starts: NDArray[np.int64], vectors: NDArray[np.float32], ids: NDArray[np.int64],
           alive: NDArray[np.bool_], log_factor: NDArray[np.float32], level: NDArray[np.int64],
           courted: NDArray[np.int64], temperature: np.float32, items: NDArray[np.int64], valid: NDArray[np.bool_],
           log_propensity: NDArray[np.float32], close: NDArray[np.bool_]) -> int:
    """Draw every user's slate, and count the close calls; see ``kernels.slates``.

    Chunks of users of one segment go side by side.
    """
    worlds, users, slots = items.shape
    count, size = vectors.shape[3], taste.shape[2]
    lanes = max(8, min(_LANES, _SCORES // count))
    chunks = users // lanes + starts.shape[1] - 1
    wanted = min(slots + 1, count)  # one more than is shown, to see how narrowly it was left out
    low = np.int32((1 << _bits(count)) - 1)
    calls = 0
    for part in prange(worlds * chunks):
        world = part // chunks
        segment, begin, end = _chunk(starts[world % len(starts)], lanes, part % chunks)
        who = order[world % len(order), begin:end]
        lanes_here = len(who)
        group = segment % vectors.shape[1]
        some, own_ids = vectors[world % len(vectors), group], ids[world % len(ids), group]
        offset, place = np.empty(count, np.float32), np.empty((wanted, lanes_here), np.int32)
        shown = min(slots, _offer(own_ids, alive[world], log_factor, level[world], courted[world], segment, offset))
        weight, columns = np.empty((count, lanes_here), np.float32), np.empty((size, lanes_here), np.float32)
        reach, margin = np.empty(lanes_here, np.float32), np.zeros(lanes_here, np.float32)
        highest, unsure = np.empty(lanes_here, np.float32), np.empty(lanes_here, np.bool_)
        total, left = np.zeros(lanes_here, np.float64), np.empty(lanes_here, np.float64)
        work, earliest = np.empty(lanes_here, np.int32), np.zeros((wanted, lanes_here), np.int32)
        chosen, log_chance = np.zeros((slots, lanes_here), np.float32), np.zeros(lanes_here, np.float32)
        value, error = np.empty(wanted, np.float64), np.empty(wanted, np.float64)
        first, second = first_and_second(key, step, stream, world)
        start = (who * count).astype(np.uint32)
        if shown > 0:
            longest, largest = _furthest(some, offset)
            _ready(who, taste[world % len(taste)], temperature, longest, largest, columns, reach)
            _score(columns, some, offset, weight)
            _weigh(weight, work, highest, total)
            _race(first, second, start, weight, low, work, earliest)
            for k in range(shown):
                _margins(earliest[k], reach, margin)
        place[:], unsure[:] = earliest & low, False
        for k in range(min(shown, wanted - 1)):
            _mark_near(earliest[k], earliest[k + 1], low, margin, unsure)
        for n in range(lanes_here):
            if unsure[n]:
                unsure[n] = _settle(first, second, start[n], taste[world % len(taste), who[n]], temperature, some,
                                    offset, shown, place[:, n], value, error)
        left[:] = total
        for k in range(shown):
            _take_out(weight, place[k], chosen[k], left, unsure)
        for n in range(lanes_here):
            if left[n] <= total[n] * 1e-8:
                left[n] = _rest(weight, n, place[:, n], slots)
            for k in range(slots):
                items[world, who[n], k], valid[world, who[n], k] = own_ids[place[k, n]], k < shown
            close[world, who[n]] = unsure[n]
            calls += unsure[n]
        for k in range(shown - 1, -1, -1):
            _add_log_chances(chosen[k], left, log_chance)
        for n in range(lanes_here):
            log_propensity[world, who[n]] = log_chance[n]
    return calls
