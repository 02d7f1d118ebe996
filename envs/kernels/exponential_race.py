"""The first arrivals at many users side by side: scores, noise and order, as numba compiles them.

A pass over a row is a function of its own: it has so few arrays that the compiler can see that they are distinct.
It gets tables and the row's number: to make an array of a row takes longer than a pass over a hundred users.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint32
from numpy.typing import NDArray

from interplay.envs.kernels.jit import draw, exp, finite, highest_of, inlined, log, reordered, routine

TOGETHER = 8
"""Dimensions that one pass adds up."""

_FAR = np.float32(20.0)  # from 0: e to the twice is what float32 can well hold


@reordered
def _add_products(taste: NDArray[np.float32], vectors: NDArray[np.float32], d: int, i: int,
                  score: NDArray[np.float32]) -> None:
    """What dimensions from ``d`` on add to the scores of two candidates, so that tastes are read half as often."""
    e, f, g, h, k, m, o, j = d + 1, d + 2, d + 3, d + 4, d + 5, d + 6, d + 7, i + 1
    a0, a1, a2, a3 = vectors[d, i], vectors[e, i], vectors[f, i], vectors[g, i]
    a4, a5, a6, a7 = vectors[h, i], vectors[k, i], vectors[m, i], vectors[o, i]
    b0, b1, b2, b3 = vectors[d, j], vectors[e, j], vectors[f, j], vectors[g, j]
    b4, b5, b6, b7 = vectors[h, j], vectors[k, j], vectors[m, j], vectors[o, j]
    for n in range(np.int32(score.shape[1])):
        p, q, r, s = taste[d, n], taste[e, n], taste[f, n], taste[g, n]
        t, u, v, w = taste[h, n], taste[k, n], taste[m, n], taste[o, n]
        score[i, n] += a0 * p + a1 * q + a2 * r + a3 * s + a4 * t + a5 * u + a6 * v + a7 * w
        score[j, n] += b0 * p + b1 * q + b2 * r + b3 * s + b4 * t + b5 * u + b6 * v + b7 * w


@routine
def score_all(taste: Any, vectors: Any, offset: Any, bounds: Any, rows: Any, score: Any) -> None:
    """Scores ``[M, N]`` of candidates with ``vectors [D, M]`` for users with ``taste [D, N]``; all but N are padded.

    Users between two ``bounds`` have one of the ``rows`` of ``offset``.
    """
    for i in range(0, len(score), 2):
        for part in range(len(rows)):
            begin, end, own = bounds[part], bounds[part + 1], rows[part]
            score[i, begin:end], score[i + 1, begin:end] = offset[own, i], offset[own, i + 1]
        for d in range(0, len(taste), TOGETHER):
            _add_products(taste, vectors, d, i, score)


@inlined
def _ordered(bits: Any) -> Any:
    """Bits of floats as integers of the same order, and back: vector instructions compare integers alone."""
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@routine
def _raise(highest: NDArray[np.int32], values: NDArray[np.float32]) -> None:
    for n in range(np.int32(len(values))):
        highest[n] = np.int32(max(highest[n], _ordered(np.float32(values[n]).view(np.int32))))


@routine
def level_off(score: NDArray[np.float32], reach: NDArray[np.float32], work: NDArray[np.int32],
           level: NDArray[np.float32]) -> None:
    """What to take off each user's scores, so that no exponential is above 1, and not all of them vanish.

    That is the most that they can be, ``reach``, or where that may be too far from what they are, the highest.
    """
    furthest = highest_of(reach)
    level[:] = reach
    if furthest > _FAR:
        work[:] = np.int32(-0x7FFFFFFF)
        for i in range(len(score)):
            _raise(work, score[i])
        for n in range(np.int32(len(level))):
            level[n] = _ordered(work[n]).view(np.float32)


@finite
def _add(values: NDArray[np.float32], i: int, total: NDArray[np.float64]) -> None:
    for n in range(len(total)):
        total[n] += np.float64(values[i, n])


@finite
def _arrive(first: Any, second: Any, start: NDArray[np.uint32], candidate: int, low: Any, level: NDArray[np.float32],
            weight: NDArray[np.float32], arrival: NDArray[np.int32]) -> None:
    """When the candidate comes to each user: bits of a float, its number in the ``low``.

    Its speed is the exponential of the score less ``level``, and takes the score's place in ``weight``.
    """
    for n in range(np.int32(len(arrival))):
        speed = exp(weight[candidate, n] - level[n])
        weight[candidate, n] = speed
        drawn = draw(first, second, uint32(start[n] + uint32(candidate)))
        bits = np.float32(-log(drawn) / speed).view(np.int32)
        arrival[n] = np.int32(np.int32(bits & ~low) | np.int32(candidate))


@inlined
def _swap(arrival: Any, kept: Any) -> tuple[Any, Any]:
    """The later of two, and the earlier."""
    return np.int32(max(arrival, kept)), np.int32(min(arrival, kept))


@routine
def _let_in(arrival: NDArray[np.int32], earliest: NDArray[np.int32], k: int) -> None:
    """Keep the earlier of each two in row ``k`` of ``earliest``, and the later in ``arrival``."""
    for n in range(np.int32(len(arrival))):
        arrival[n], earliest[k, n] = _swap(arrival[n], earliest[k, n])


@routine
def _let_in_four(arrival: NDArray[np.int32], earliest: NDArray[np.int32], k: int) -> None:
    """The same with four rows from ``k`` on in turn, in one pass."""
    for n in range(np.int32(len(arrival))):
        late, earliest[k, n] = _swap(arrival[n], earliest[k, n])
        late, earliest[k + 1, n] = _swap(late, earliest[k + 1, n])
        late, earliest[k + 2, n] = _swap(late, earliest[k + 2, n])
        arrival[n], earliest[k + 3, n] = _swap(late, earliest[k + 3, n])


@routine
def race(first: Any, second: Any, start: Any, low: Any, level: Any, weight: Any, total: Any, arrival: Any,
         earliest: Any) -> None:
    """The candidates that arrive first at each user, if times are exponential: those ``earliest [W, N]``, ascending.

    That is the order of score + Gumbel noise, which is minus the logarithm of the time, but takes one logarithm in
    place of two. Scores become weights, which are summed up in ``total``.
    """
    earliest[:] = np.int32(0x7FFFFFFF)
    fours = len(earliest) // 4 * 4
    for candidate in range(len(weight)):
        _arrive(first, second, start, candidate, low, level, weight, arrival)
        _add(weight, candidate, total)
        for k in range(0, fours, 4):
            _let_in_four(arrival, earliest, k)
        for k in range(fours, len(earliest)):
            _let_in(arrival, earliest, k)
