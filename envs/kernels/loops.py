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
_USERS = 64  # users whose slates a thread draws at a time


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
    compiled: Loop = numba.njit(function, fastmath={"reassoc", "nnan", "nsz"}, error_model="numpy")
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
    """e to the ``x <= 0``, to 1e-6 of itself; what is below 1e-37 counts as that."""
    x = max(x, np.float32(-85.0))
    power = np.int32(np.float32(x * np.float32(1.4426950408889634)) - np.float32(0.5))
    r = x - np.float32(power) * np.float32(0.6931471805599453)
    series = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
    series = np.float32(1.0) + r * (np.float32(1.0) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * series)))
    return series * np.int32(np.int32(power + np.int32(127)) << np.int32(23)).view(np.float32)


@_reordered
def _total(values: NDArray[np.float32]) -> Any:
    total = np.float32(0.0)
    for value in values:
        total += value
    return total


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


@_function
def _slate(first: Any, second: Any, start: int, taste: Any, vectors: Any, offset: Any, temperature: Any, score: Any,
           value: Any, top: Any, place: Any) -> None:
    """Score candidates into ``score``, add noise from draw ``start`` on, and take the highest."""
    count = len(score)
    score[:] = offset
    for d in range(len(taste)):
        weight = taste[d] / temperature
        for i in range(count):
            score[i] += weight * vectors[d, i]
    for i in range(count):
        value[i] = _draw(first, second, np.uint32(start) + np.uint32(i))
    for i in range(count):
        value[i] = score[i] - _log(-_log(value[i]))
    _take_highest(value, top, place)


@_function
def _log_chance(score: Any, top: Any, place: Any, slots: int, weight: Any) -> Any:
    """The log-propensity of the slate ``place[:slots]``, and whether another rounding could make another slate."""
    highest = _highest(score)
    for i in range(len(score)):
        weight[i] = _exp(score[i] - highest)
    for slot in range(slots):
        weight[place[slot]] = np.float32(0.0)
    left, log_chance, unsure = _total(weight), np.float32(0.0), False
    for slot in range(slots - 1, -1, -1):
        if top[slot] > -np.inf:
            below = score[place[slot]] - highest
            left += _exp(below)
            log_chance += below - _log(left)
            margin = np.float32(2e-6) * (np.float32(4.0) + abs(top[slot]) + abs(highest))
            unsure |= below < np.float32(-50.0)
            unsure |= slot + 1 < len(top) and top[slot] - top[slot + 1] < margin
    return log_chance, unsure


@_compiled
def slates(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, taste: NDArray[np.float32],
           segment: NDArray[np.int64], vectors: NDArray[np.float32], ids: NDArray[np.int64],
           offset: NDArray[np.float32], temperature: np.float32, items: NDArray[np.int64],
           valid: NDArray[np.bool_], log_propensity: NDArray[np.float32], close: NDArray[np.bool_]) -> None:
    """Draw every user's slate; see ``kernels.slates``."""
    worlds, users = segment.shape
    count, slots = vectors.shape[3], items.shape[2]
    blocks = (users + _USERS - 1) // _USERS
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        first, second = _first_and_second(key, step, stream, world)
        score, value = np.empty(count, np.float32), np.empty(count, np.float32)
        wanted = min(slots + 1, count)  # one more than is shown, to see how narrowly it was left out
        top, place = np.empty(wanted, np.float32), np.empty(wanted, np.int64)
        for user in range(block * _USERS, min(users, (block + 1) * _USERS)):
            own = segment[world, user]
            group = own % vectors.shape[1]
            _slate(first, second, user * count, taste[world, user], vectors[world, group], offset[world, own],
                   temperature, score, value, top, place)
            log_propensity[world, user], close[world, user] = _log_chance(score, top, place, slots, value)
            for slot in range(slots):
                items[world, user, slot] = ids[world, group, place[slot]]
                valid[world, user, slot] = top[slot] > -np.inf


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
