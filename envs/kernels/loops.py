"""The loops, as numba compiles them. The first call of each takes seconds; the result is cached on disk.

``uint32`` wraps around as torch's ``int32`` does, and its right shifts bring in zeros, which torch needs masks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import prange, uint32
from numpy.typing import NDArray

Loop = TypeVar("Loop", bound=Callable[..., Any])

_BLOCK = 4096  # draws that a thread makes at a time
_USERS = 64  # users whose options a thread writes at a time
_LANES = 128  # users whose slates a thread draws side by side


def _compiled(loop: Loop) -> Loop:
    # Without checks for a division by zero, so that loops that divide become vector instructions.
    compiled: Loop = numba.njit(loop, parallel=True, cache=True, error_model="numpy")
    return compiled


def _inlined(function: Loop) -> Loop:
    compiled: Loop = numba.njit(function, inline="always", error_model="numpy")
    return compiled


def _function(function: Loop) -> Loop:
    compiled: Loop = numba.njit(function, error_model="numpy")
    return compiled


def _reordered(function: Loop) -> Loop:
    """For what may be added up or compared in any order, and so side by side; no NaN may be among it."""
    compiled: Loop = numba.njit(function, fastmath={"reassoc", "contract", "nnan", "nsz"}, error_model="numpy")
    return compiled


def _ordinary(function: Loop) -> Loop:
    """For what is never NaN, so that the higher of two numbers is one instruction."""
    compiled: Loop = numba.njit(function, fastmath={"contract", "nnan", "nsz"}, error_model="numpy")
    return compiled


def use_threads(count: int) -> None:
    """How many threads the next loops run on; never more than numba started with."""
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # it is made when numba starts
    numba.set_num_threads(min(count, most))


@_inlined
def _mix(x: Any) -> Any:
    x ^= x >> uint32(16)
    x = uint32(x * uint32(0x7FEB352D))
    x ^= x >> uint32(15)
    x = uint32(x * uint32(0x846CA68B))
    return x ^ (x >> uint32(16))


@_inlined
def _log(x: Any) -> Any:
    """Natural logarithm of a positive normal number, to 1e-7 of itself: ln m = 2 artanh((m - 1) / (m + 1)) as a series.

    Every integer is cast: numba would widen it, and vector instructions would hold half as many.
    """
    bits = np.float32(x).view(np.int32)
    power = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))  # so that m lies in [0.707, 1.414]
    m = np.int32(bits - np.int32(power << np.int32(23))).view(np.float32)
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    t = s * s
    series = np.float32(2 / 7) + t * np.float32(2 / 9)
    series = np.float32(2.0) + t * (np.float32(2 / 3) + t * (np.float32(2 / 5) + t * series))
    return s * series + np.float32(0.6931471805599453) * np.float32(power)


@_inlined
def _exp(x: Any) -> Any:
    """e to the ``x <= 0``, to 3e-7 of itself; what is below 1e-37 counts as that."""
    x = max(x, np.float32(-85.0))
    power = np.int32(np.float32(x * np.float32(1.4426950408889634)) - np.float32(0.5))
    # The logarithm of 2 in two parts, of which the first is so short that products with it are exact.
    r = (x - np.float32(power) * np.float32(0.693359375)) + np.float32(power) * np.float32(2.12194440e-4)
    series = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
    series = np.float32(1.0) + r * (np.float32(1.0) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * series)))
    return series * np.int32(np.int32(power + np.int32(127)) << np.int32(23)).view(np.float32)


@_reordered
def _highest(values: NDArray[np.float32]) -> Any:
    highest = np.float32(-np.inf)
    for value in values:
        highest = max(highest, value)
    return highest


@_inlined
def _first_and_second(key: Any, step: Any, stream: int, world: int) -> Any:
    """The two words that a world's draws of this step and stream are hashed with."""
    counter = uint32(uint32(step[world % len(step)]) * uint32(0x9E3779B9))
    first = _mix(uint32(uint32(key[world, 0]) + uint32(stream * 0x85EBCA6B)))
    first = _mix(uint32(first + counter))
    return first, _mix(uint32(key[world, 1]) ^ first)


@_inlined
def _draw(first: Any, second: Any, index: Any) -> Any:
    """Draw number ``index``, in (0, 1)."""
    bits = uint32(uint32(uint32(index) * uint32(0x9E3779B9)) + first)
    bits ^= bits >> uint32(15)
    bits = _mix(uint32(bits * uint32(0x7FEB352D)) ^ second)
    return (np.float32(np.int32(bits >> uint32(9))) + np.float32(0.5)) * np.float32(2.0**-23)


@_reordered
def _first_place(values: NDArray[np.float32], wanted: Any) -> Any:
    """Where ``wanted`` first stands; the number of values if nowhere."""
    first = np.int32(len(values))
    for i in range(np.int32(len(values))):
        here = np.int32(i) if values[i] == wanted else np.int32(len(values))
        first = here if here < first else first
    return first


@_function
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


@_function
def _unused(place: NDArray[np.int64], count: int) -> int:
    """The lowest place that is not among the first ``count``: what is all -inf is given once, too."""
    lowest = 0
    while (place[:count] == lowest).any():
        lowest += 1
    return lowest


@_compiled
def uniform(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, offset: int,
            out: NDArray[np.float32]) -> None:
    """Fill ``out [B, n]``; see ``noise.uniform``, whose every line is here."""
    worlds, count = out.shape
    blocks = (count + _BLOCK - 1) // _BLOCK
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        first, second = _first_and_second(key, step, stream, world)
        for i in range(block * _BLOCK, min(count, (block + 1) * _BLOCK)):
            out[world, i] = _draw(first, second, offset + i)


@_compiled
def top_k(values: NDArray[np.float32], top: NDArray[np.float32], index: NDArray[np.int64]) -> None:
    """The highest of each row of ``values [R, M]``, descending, into ``top`` and ``index [R, K]``."""
    for row in prange(len(values)):
        _take_highest(values[row].copy(), top[row], index[row])


@_reordered
def _add_products(first: Any, second: Any, third: Any, fourth: Any, a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
    """Four at a time, so that ``out`` is read and written a fourth as often."""
    for i in range(len(out)):
        out[i] += a * first[i] + b * second[i] + c * third[i] + d * fourth[i]


@_reordered
def _add_product(values: Any, factor: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] += factor * values[i]


@_function
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


@_inlined
def _ordered(bits: Any) -> Any:
    """Bits of floats as integers of the same order, and back: vector instructions compare integers alone."""
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@_function
def _raise(highest: NDArray[np.int32], values: NDArray[np.float32]) -> None:
    for n in range(np.int32(len(values))):
        highest[n] = np.int32(max(highest[n], _ordered(np.float32(values[n]).view(np.int32))))


@_function
def _highest_of_each(score: NDArray[np.float32], work: NDArray[np.int32], highest: NDArray[np.float32]) -> None:
    """The highest score of each user."""
    work[:] = np.int32(-0x7FFFFFFF)
    for i in range(len(score)):
        _raise(work, score[i])
    for n in range(np.int32(len(highest))):
        highest[n] = _ordered(work[n]).view(np.float32)


@_ordinary
def _to_weight(score: NDArray[np.float32], highest: NDArray[np.float32]) -> None:
    """The exponential in place of the score."""
    for n in range(len(score)):
        score[n] = _exp(score[n] - highest[n])


@_ordinary
def _add(values: NDArray[np.float32], total: NDArray[np.float64]) -> None:
    for n in range(len(values)):
        total[n] += np.float64(values[n])


@_ordinary
def _arrive(first: Any, second: Any, start: Any, candidate: Any, low: Any, weight: Any, arrival: Any) -> None:
    """When the candidate comes to each user, at a speed of ``weight``: bits of a float, its number in the ``low``."""
    for n in range(np.int32(len(weight))):
        draw = _draw(first, second, uint32(start[n] + uint32(candidate)))
        bits = np.float32(-_log(draw) / weight[n]).view(np.int32)
        arrival[n] = np.int32(np.int32(bits & ~low) | np.int32(candidate))


@_function
def _let_in(arrival: NDArray[np.int32], earliest: NDArray[np.int32]) -> None:
    """Keep the earlier of each two in ``earliest``, and the later in ``arrival``."""
    for n in range(np.int32(len(arrival))):
        one, other = arrival[n], earliest[n]
        earliest[n], arrival[n] = np.int32(min(one, other)), np.int32(max(one, other))


@_function
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


@_function
def _settle(first: Any, second: Any, start: Any, weight: Any, n: int, margin: Any, shown: int, place: Any,
            times: Any) -> bool:
    """The places of user ``n`` to the last bit of the times, and whether another rounding could still change them."""
    times[:] = np.float32(np.inf)
    for candidate in range(len(weight)):
        draw = _draw(first, second, uint32(start + uint32(candidate)))
        time, here = -_log(draw) / weight[candidate, n], np.int32(candidate)
        for k in range(len(times)):
            if time < times[k]:
                times[k], time = time, times[k]
                place[k], here = here, place[k]
    close = False
    for k in range(min(shown, len(times) - 1)):
        close |= times[k + 1] < times[k] * (np.float32(1.0) + margin)
    return close


@_function
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


@_ordinary
def _add_log_chances(chosen: Any, left: Any, log_chance: Any) -> None:
    for n in range(len(chosen)):
        left[n] += np.float64(chosen[n])
        log_chance[n] += _log(np.float32(chosen[n] / left[n]))


@_ordinary
def _margins(earliest: Any, highest: Any, margin: Any) -> None:
    """Relative differences of times that float32 sums of score and noise may get wrong, raised to ``margin``."""
    for n in range(np.int32(len(highest))):
        power = abs(np.float32(np.int32(earliest[n] >> np.int32(23)) - np.int32(127)))
        here = np.float32(2e-6) * (np.float32(4.0) + power + np.float32(2.0) * abs(highest[n]))
        margin[n] = here if here > margin[n] else margin[n]


@_function
def _chunk(starts: NDArray[np.int64], lanes: int, number: int) -> tuple[int, int, int]:
    """The segment of a chunk of at most ``lanes`` users, the first and the last but one; no users if none is left."""
    for segment in range(len(starts) - 1):
        chunks = (starts[segment + 1] - starts[segment] + lanes - 1) // lanes
        if number < chunks:
            begin = starts[segment] + number * lanes
            return segment, begin, min(begin + lanes, starts[segment + 1])
        number -= chunks
    return 0, 0, 0


@_compiled
def slates(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, taste: NDArray[np.float32],
           order: NDArray[np.int64], starts: NDArray[np.int64], vectors: NDArray[np.float32], ids: NDArray[np.int64],
           offset: NDArray[np.float32], temperature: np.float32, items: NDArray[np.int64],
           valid: NDArray[np.bool_], log_propensity: NDArray[np.float32], close: NDArray[np.bool_]) -> None:
    """Draw every user's slate; see ``kernels.slates``. Chunks of users of one segment go side by side."""
    worlds, users, slots = items.shape
    count, segments = vectors.shape[3], starts.shape[1] - 1
    lanes = max(8, min(_LANES, _BLOCK * 4 // count))
    chunks = users // lanes + segments
    wanted = min(slots + 1, count)  # one more than is shown, to see how narrowly it was left out
    low = np.int32((1 << _bits(count)) - 1)
    for part in prange(worlds * chunks):
        world = part // chunks
        own, begin, end = _chunk(starts[world % len(starts)], lanes, part % chunks)
        size = end - begin
        who = order[world % len(order), begin:end]
        group = own % vectors.shape[1]
        some = offset[world, own]
        shown = min(slots, (some > np.float32(-np.inf)).sum())
        first, second = _first_and_second(key, step, stream, world)
        weight, own_taste = np.empty((count, size), np.float32), np.empty((taste.shape[2], size), np.float32)
        highest, margin = np.empty(size, np.float32), np.zeros(size, np.float32)
        work, earliest = np.empty(size, np.int32), np.empty((wanted, size), np.int32)
        total, log_chance = np.zeros(size, np.float64), np.zeros(size, np.float32)
        chosen, start = np.zeros((slots, size), np.float32), np.empty(size, np.uint32)
        place, times = np.zeros(wanted, np.int32), np.empty(wanted, np.float32)
        for n in range(size):
            start[n] = uint32(uint32(who[n]) * uint32(count))
            for d in range(len(own_taste)):
                own_taste[d, n] = taste[world % len(taste), who[n], d] / temperature
        if shown > 0:
            _score(own_taste, vectors[world % len(vectors), group], some, weight)
            _highest_of_each(weight, work, highest)
            for candidate in range(count):
                _to_weight(weight[candidate], highest)
                _add(weight[candidate], total)
            _race(first, second, start, weight, low, work, earliest)
            for k in range(shown):
                _margins(earliest[k], highest, margin)
        for n in range(size):
            unsure, left = False, total[n]
            for k in range(wanted):
                place[k] = earliest[k, n] & low if shown > 0 else k
            for k in range(min(shown, wanted - 1)):
                apart = np.float32(earliest[k + 1, n] - earliest[k, n] - low) * np.float32(2.0**-24)
                unsure |= apart < margin[n]
            if unsure:
                unsure = _settle(first, second, start[n], weight, n, margin[n], shown, place, times)
            for k in range(slots):
                items[world, who[n], k] = ids[world % len(ids), group, place[k]]
                valid[world, who[n], k] = k < shown
            for k in range(shown):
                chosen[k, n] = weight[place[k], n]
                left -= np.float64(chosen[k, n])
                unsure |= chosen[k, n] < np.float32(2e-22)
            total[n] = left if left > total[n] * 1e-8 else _rest(weight, n, place, slots)
            close[world, who[n]] = unsure
        for k in range(shown - 1, -1, -1):
            _add_log_chances(chosen[k], total, log_chance)
        for n in range(size):
            log_propensity[world, who[n]] = log_chance[n]


@_function
def _bits(count: int) -> int:
    """Bits that hold every number below ``count``."""
    bits = 0
    while (1 << bits) < count:
        bits += 1
    return bits


@_compiled
def options(rows: NDArray[np.float32], taste: NDArray[np.float32], first: int, items: NDArray[np.int64],
            valid: NDArray[np.bool_], segment: NDArray[np.int64], wearout: NDArray[np.float32],
            energy: NDArray[np.float32], popularity: NDArray[np.float32], examination: NDArray[np.float32],
            bound: np.float32, out: NDArray[np.float32]) -> None:
    """What users see of ``items [B, U, K]``; see ``kernels.options``."""
    worlds, users, slots = items.shape
    blocks = (users + _USERS - 1) // _USERS
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        people = rows[world % len(rows)]
        for user in range(block * _USERS, min(users, (block + 1) * _USERS)):
            for slot in range(slots):
                row = out[world, user, slot]
                if not valid[world, user, slot]:
                    row[:] = np.float32(0.0)
                    continue
                item = items[world, user, slot]
                row[0], row[1] = people[item, 1], people[item, 2]
                row[2] = wearout[world, item, segment[world, user]]
                row[3], row[4] = energy[world, item], popularity[world, item]
                row[5] = examination[slot]
                row[6:] = people[item, 3:]
                for d in range(taste.shape[2]):
                    row[first + d] *= taste[world, user, d]
                for column in range(len(row)):
                    row[column] = min(max(row[column], -bound), bound)
