"""The loops that draw slates, as numba compiles them: many users side by side, as vector instructions would have it.

A pass over a row is a function of its own: it has so few arrays that the compiler can see that they are distinct.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.close_calls import longest_of, margins, mark_near, settle
from interplay.envs.kernels.exponential_race import TOGETHER, level_off, race, score_all
from interplay.envs.kernels.jit import finite, first_and_second, highest_of, log, loop, routine

_LANES = 1280  # users whose slates a thread draws side by side
_SCORES = 1 << 16  # what they hold at most at once: 256 KiB of float32
_WORTH = 128  # users that are worth a thread
_AHEAD = 320  # users that the first thread serves while others wake: 40 microseconds


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


@routine
def _stretch_of(starts: NDArray[np.int64], place: int) -> int:
    """Which stretch of users of one segment the one in this place belongs to."""
    return int(np.searchsorted(starts, place, side="right")) - 1


@routine
def _place(users: int, pieces: int, piece: int) -> int:
    """Where a thread's piece begins. The first is longer, so that it does not fall asleep waiting for the others."""
    ahead = min(_AHEAD, users // 4) if pieces > 1 else 0
    return 0 if piece == 0 else ahead + (users - ahead) * piece // pieces


@routine
def _border(starts: NDArray[np.int64], place: int, slack: int) -> int:
    """Where the nearest stretch starts, if that is so near: a few users take as long as many side by side."""
    nearest = starts[0]
    for start in starts:
        if abs(start - place) < abs(nearest - place):
            nearest = start
    return nearest if abs(nearest - place) <= slack else place


@routine
def _chunk(begin: int, end: int, lanes: int) -> int:
    """How many users to serve side by side, at most ``lanes``, so that those left come in even chunks."""
    chunks = (end - begin + lanes - 1) // lanes
    return (end - begin + chunks - 1) // chunks


@routine
def _padded(count: int, step: int) -> int:
    """The lowest multiple of ``step`` that is not below ``count``."""
    return (count + step - 1) // step * step


@routine
def _bits(count: int) -> int:
    """Bits that hold every number below ``count``."""
    bits = 0
    while (1 << bits) < count:
        bits += 1
    return bits


@routine
def _offer(ids: NDArray[np.int64], alive: NDArray[np.bool_], log_factor: NDArray[np.float32], level: NDArray[np.int64],
           targeted: NDArray[np.int64], segment: int, offset: NDArray[np.float32]) -> int:
    """What boosts add to candidates' scores from ``segment`` on, -inf for the dead; how many are alive."""
    count = 0
    offset[:, -1] = np.float32(-np.inf)
    for candidate in range(len(ids)):
        item = ids[candidate]
        offset[:, candidate] = np.float32(0.0) if alive[item] else np.float32(-np.inf)
        if alive[item] and segment <= targeted[item] < segment + len(offset):
            offset[targeted[item] - segment, candidate] = log_factor[level[item]]
        count += alive[item]
    return count


@routine
def _parts(starts: NDArray[np.int64], begin: int, lanes: int, segments: int, bounds: NDArray[np.int64],
           rows: NDArray[np.int64]) -> int:
    """Where the lanes from ``begin`` on change their segment, and the row of offsets of each; how many there are."""
    count, at = 0, 0
    bounds[0] = 0
    while at < lanes:
        stretch = _stretch_of(starts, begin + at)
        at = min(lanes, starts[stretch + 1] - begin)
        rows[count], bounds[count + 1] = stretch % segments, at
        count += 1
    return count


@finite
def _column(users: NDArray[np.int64], taste: NDArray[np.float32], d: int, scale: np.float32,
            column: NDArray[np.float32], squares: NDArray[np.float32]) -> None:
    for n in range(np.uint64(len(users))):
        column[n] = taste[np.uint64(users[n]), np.uint64(d)] * scale
        squares[n] += column[n] * column[n]


@finite
def _reach(longest: np.float32, largest: np.float32, begin: int, end: int, reach: NDArray[np.float32]) -> None:
    for n in range(np.uint64(begin), np.uint64(end)):
        reach[n] = largest + longest * np.float32(math.sqrt(reach[n]))


@routine
def _ready(users: NDArray[np.int64], taste: NDArray[np.float32], temperature: np.float32, some: Any, offset: Any,
           bounds: Any, rows: Any, columns: NDArray[np.float32], reach: NDArray[np.float32]) -> None:
    """Tastes of the chunk's users, by temperature, as columns; how far from 0 their scores can be."""
    reach[:] = np.float32(0.0)
    for d in range(taste.shape[1]):
        _column(users, taste, d, np.float32(1.0) / temperature, columns[d], reach)
    longest = longest_of(some)
    for part in range(len(rows)):
        largest = max(np.float32(0.0), highest_of(offset[rows[part], :some.shape[1]]))
        _reach(longest, largest, bounds[part], bounds[part + 1], reach)


@routine
def _take_out(weight: NDArray[np.float32], place: NDArray[np.int32], chosen: NDArray[np.float32],
              left: NDArray[np.float64], unsure: NDArray[np.bool_]) -> None:
    """Weights of what users are shown in a slot leave those ``left``; those so small that bits are lost are marked."""
    for n in range(np.uint64(len(place))):
        chosen[n] = weight[np.uint64(place[n]), n]
        left[n] -= np.float64(chosen[n])
        unsure[n] |= chosen[n] < np.float32(2e-22)


@routine
def _recount(weight: NDArray[np.float32], place: NDArray[np.int32], slots: int, total: NDArray[np.float64],
                left: NDArray[np.float64]) -> None:
    """What is left, where next to nothing is, where the difference of two sums would lose precision."""
    for n in range(len(left)):
        if left[n] <= total[n] * 1e-8:
            left[n] = _rest(weight, n, place[:, n], slots)


@routine
def _log_propensities(weight: NDArray[np.float32], place: NDArray[np.int32], slots: int, shown: int,
                      total: NDArray[np.float64], unsure: NDArray[np.bool_], log_chance: NDArray[np.float32]) -> None:
    """Add the logarithm of the chance of each slot; where bits are lost, users become ``unsure``."""
    left, chosen = total.copy(), np.zeros((shown, len(total)), np.float32)
    for k in range(shown):
        _take_out(weight, place[k], chosen[k], left, unsure)
    _recount(weight, place, slots, total, left)
    for k in range(shown - 1, -1, -1):
        _add_log_chances(chosen[k], left, log_chance)


@routine
def _hand_over(users: NDArray[np.int64], place: NDArray[np.int32], ids: NDArray[np.int64], shown: int,
               unsure: NDArray[np.bool_], items: NDArray[np.int64], valid: NDArray[np.bool_],
               close: NDArray[np.bool_]) -> int:
    """Slates, from columns to the rows of their users; how many are close calls."""
    calls = 0
    for n in range(np.uint64(len(users))):
        user = np.uint64(users[n])
        for k in range(np.uint64(items.shape[1])):
            items[user, k], valid[user, k] = ids[np.uint64(place[k, n])], k < shown
        close[user] = unsure[n]
        calls += unsure[n]
    return calls


@routine
def _scatter(values: NDArray[np.float32], users: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    for n in range(np.uint64(len(users))):
        out[np.uint64(users[n])] = values[n]


@routine
def _serve(first: Any, second: Any, users: NDArray[np.int64], taste: NDArray[np.float32], some: NDArray[np.float32],
           ids: NDArray[np.int64], offset: NDArray[np.float32], bounds: NDArray[np.int64], rows: NDArray[np.int64],
           shown: int, low: Any, temperature: np.float32, items: NDArray[np.int64], valid: NDArray[np.bool_],
           log_propensity: NDArray[np.float32], close: NDArray[np.bool_]) -> int:
    """Slates of ``users``, which have the same candidates, side by side; how many are close calls.

    Those between two ``bounds`` have one of the ``rows`` of offsets.
    """
    count, size, lanes, slots = some.shape[1], len(some), len(users), items.shape[1]
    wanted = min(slots + 1, count)  # one more than is shown, to see how narrowly it was left out
    table = np.zeros((_padded(size, TOGETHER), offset.shape[1]), np.float32)
    table[:size, :count] = some
    scores, columns = np.empty((offset.shape[1], lanes), np.float32), np.zeros((len(table), lanes), np.float32)
    weight = scores[:count]
    reach, margin = np.empty(lanes, np.float32), np.zeros(lanes, np.float32)
    highest, unsure = np.empty(lanes, np.float32), np.zeros(lanes, np.bool_)
    total, log_chance = np.zeros(lanes, np.float64), np.zeros(lanes, np.float32)
    work, earliest = np.empty(lanes, np.int32), np.zeros((wanted, lanes), np.int32)
    value, error = np.empty(wanted, np.float64), np.empty(wanted, np.float64)
    start = (users * count).astype(np.uint32)
    if shown > 0:
        _ready(users, taste, temperature, some, offset, bounds, rows, columns, reach)
        score_all(columns, table, offset, bounds, rows, scores)
        level_off(weight, reach, work, highest)
        race(first, second, start, low, highest, weight, total, work, earliest)
        for k in range(shown):
            margins(earliest[k], reach, margin)
    place = earliest & low
    for k in range(min(shown, wanted - 1)):
        mark_near(earliest[k], earliest[k + 1], low, margin, unsure)
    for n in range(lanes):
        if unsure[n]:
            own = rows[np.searchsorted(bounds, n, side="right") - 1]
            unsure[n] = settle(first, second, start[n], taste[users[n]], temperature, some, offset[own, :count], shown,
                               place[:, n], value, error)
    _log_propensities(weight, place, slots, shown, total, unsure, log_chance)
    _scatter(log_chance, users, log_propensity)
    return _hand_over(users, place, ids, shown, unsure, items, valid, close)


@loop
def slates(numbers: Any, taste: NDArray[np.float32], alive: NDArray[np.bool_], level: NDArray[np.int64],
           targeted: NDArray[np.int64], threads: int, key: NDArray[np.int32], step: NDArray[np.int32], stream: int,
           order: NDArray[np.int64], starts: NDArray[np.int64], vectors: NDArray[np.float32], ids: NDArray[np.int64],
           log_factor: NDArray[np.float32], items: NDArray[np.int64], valid: NDArray[np.bool_],
           log_propensity: NDArray[np.float32], close: NDArray[np.bool_]) -> int:
    """Draw every user's slate, and count the close calls; see ``dispatch.draw_slates`` and ``Population.by_segment``.

    Each of the ``threads`` gets a piece of a world's users, in their order by segment; those with the same candidates
    go side by side, so many at a time.
    """
    worlds, users, slots = items.shape
    count, segments, temperature = vectors.shape[3], numbers[0].num_segments, numbers[0].temperature
    lanes = max(8, min(_LANES, _SCORES // count))
    low = np.int32((1 << _bits(count)) - 1)
    pieces, groups = max(1, min(threads, users // _WORTH)), vectors.shape[1]
    calls = 0
    for part in prange(worlds * pieces):
        world, piece = part // pieces, part % pieces
        own_starts, own_order = starts[world % len(starts)], order[world % len(order)]
        slack = users // (10 * pieces)
        begin = _border(own_starts, _place(users, pieces, piece), slack)
        behind = _border(own_starts, _place(users, pieces, piece + 1), slack)
        offset = np.empty((segments if groups == 1 else 1, _padded(count, 2)), np.float32)
        bounds, rows = np.empty(len(own_starts), np.int64), np.empty(len(own_starts), np.int64)
        first, second = first_and_second(key, step, stream, world)
        while begin < behind:
            stretch = _stretch_of(own_starts, begin)
            segment = stretch % segments if groups > 1 else 0
            own_ids = ids[world % len(ids), segment]
            shown = min(slots, _offer(own_ids, alive[world], log_factor, level[world], targeted[world], segment,
                                      offset))
            end = begin + _chunk(begin, behind if groups == 1 else min(own_starts[stretch + 1], behind), lanes)
            parts = _parts(own_starts, begin, end - begin, len(offset), bounds, rows)
            calls += _serve(first, second, own_order[begin:end], taste[world], vectors[world % len(vectors), segment],
                            own_ids, offset, bounds[:parts + 1], rows[:parts], shown, low, temperature, items[world],
                            valid[world], log_propensity[world], close[world])
            begin = end
    return calls
