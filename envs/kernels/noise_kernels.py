"""The loops of noise and of rows' highest. Numba compiles each at its first call, for seconds, and keeps it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange, uint32
from numpy.typing import NDArray

from interplay.envs.kernels.jit import (
    USERS,
    draw,
    finite,
    first_and_second,
    highest_of,
    loop,
    reordered,
    routine,
)

_BLOCK = 4096  # draws that a thread makes at a time
_MANY = np.float32(0.2)  # share of rows that explore from which draws for all take less time than for some


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

    Searching again for each takes less time than inserting into the highest so far, whose branches are unpredictable.
    """
    for k in range(len(top)):
        top[k] = highest_of(values)
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
def uniform_rows(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, start: NDArray[np.int32],
                 out: NDArray[np.float32]) -> None:
    """Fill the rows of ``out [B, R, n]``, each with draws from its own ``start`` on; see ``noise.uniform_rows``."""
    worlds, rows, _ = out.shape
    blocks = (rows + USERS - 1) // USERS
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        first, second = first_and_second(key, step, stream, world)
        for row in range(begin, min(rows, begin + USERS)):
            _fill(first, second, uint32(start[row]), out[world, row])


@routine
def _fill_angles(first: Any, second: Any, start: Any, out: NDArray[np.float32]) -> None:
    for i in range(np.int32(len(out))):
        out[i] = draw(first, second, uint32(start + uint32(i))) * np.float32(2.0 * math.pi)


@loop
def radius_and_angle(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, radius: NDArray[np.float32],
                     angle: NDArray[np.float32]) -> None:
    """Fill ``radius [B, n]`` with the first half of ``2 n`` draws, and ``angle`` with 2 pi times the second."""
    worlds, count = radius.shape
    blocks = (count + _BLOCK - 1) // _BLOCK
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        first, second = first_and_second(key, step, stream, world)
        start, end = block * _BLOCK, min(count, (block + 1) * _BLOCK)
        _fill(first, second, uint32(start), radius[world, start:end])
        _fill_angles(first, second, uint32(count + start), angle[world, start:end])


@finite
def _fill_allowed(first: Any, second: Any, start: Any, mask: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    for i in range(np.int32(len(out))):
        drawn = draw(first, second, uint32(start + uint32(i)))
        out[i] = drawn if mask[i] else np.float32(-1.0)


@routine
def _highest(draws: NDArray[np.float32]) -> int:
    highest, where = np.float32(-1.0), 0
    for i in range(len(draws)):
        ahead = draws[i] > highest
        highest, where = draws[i] if ahead else highest, i if ahead else where
    return where


@loop
def any_of(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, offset: int, mask: NDArray[np.bool_],
           place: NDArray[np.int64]) -> None:
    """The ``place [B, R]`` of the highest of the draws that each row of ``mask [B, R, A]`` allows."""
    worlds, rows, count = mask.shape
    blocks = (rows + USERS - 1) // USERS
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        end = min(rows, begin + USERS)
        first, second = first_and_second(key, step, stream, world)
        draws = np.empty((end - begin, count), np.float32)
        start = uint32(offset + begin * count)
        _fill_allowed(first, second, start, mask[world, begin:end].ravel(), draws.ravel())
        for row in range(end - begin):
            place[world, begin + row] = _highest(draws[row])


@loop
def top_k(values: NDArray[np.float32], top: NDArray[np.float32], index: NDArray[np.int64]) -> None:
    """The highest of each row of ``values [R, M]``, descending, into ``top`` and ``index [R, K]``."""
    for row in prange(len(values)):
        _take_highest(values[row].copy(), top[row], index[row])


@routine
def _best(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> int:
    highest, where = np.float32(-np.inf), 0
    for i in range(len(values)):
        value = values[i]
        if mask[i] and (value > highest or (value != value and highest == highest)):
            highest, where = value, i
    return where


@loop
def best(values: NDArray[np.float32], mask: NDArray[np.bool_], place: NDArray[np.int64]) -> None:
    """The ``place [R]`` of the highest of ``values [R, A]`` that the mask allows; NaN counts as the highest."""
    rows = len(values)
    for block in prange((rows + USERS - 1) // USERS):
        for row in range(block * USERS, min(rows, (block + 1) * USERS)):
            place[row] = _best(values[row], mask[row])


@loop
def epsilon_greedy(key: NDArray[np.int32], step: NDArray[np.int32], stream: int, offset: tuple[int, int], epsilon: Any,
                   values: NDArray[np.float32], mask: NDArray[np.bool_], place: NDArray[np.int64]) -> None:
    """What ``any_of`` draws where a draw is below ``epsilon``, elsewhere what ``best`` gives.

    Args:
        key: int32 ``[B, 2]``.
        step: int32 ``[2]``, of the draws for whether a row explores, and of those for its action.
        stream: of both.
        offset: of both.
        epsilon: float32.
        values: ``[B, R, A]``.
        mask: ``[B, R, A]``.
        place: ``[B, R]``, is written.
    """
    keys, rows, count = values.shape
    blocks = (rows + USERS - 1) // USERS
    for part in prange(keys * blocks):
        one, begin = part // blocks, part % blocks * USERS
        end = min(rows, begin + USERS)
        first, second = first_and_second(key, step[:1], stream, one)
        share, draws = np.empty(end - begin, np.float32), np.empty((end - begin, count), np.float32)
        _fill(first, second, uint32(offset[0] + begin), share)
        first, second = first_and_second(key, step[1:], stream, one)
        if epsilon > _MANY:
            _fill_allowed(first, second, uint32(offset[1] + begin * count), mask[one, begin:end].ravel(), draws.ravel())
        for row in range(end - begin):
            here = begin + row
            if share[row] >= epsilon:
                place[one, here] = _best(values[one, here], mask[one, here])
                continue
            if epsilon <= _MANY:
                _fill_allowed(first, second, uint32(offset[1] + here * count), mask[one, here], draws[row])
            place[one, here] = _highest(draws[row])
