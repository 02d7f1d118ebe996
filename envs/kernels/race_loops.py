"""Who comes first to each of many users side by side: scores, noise and order, as numba compiles them.

A pass over a row is a function of its own: so few arrays meet in it that the compiler can tell that none is another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint32
from numpy.typing import NDArray

from interplay.envs.kernels.parts import draw, exp, finite, highest_of, inlined, log, reordered, routine

TOGETHER = 8
"""Dimensions that one pass adds up."""

_FAR = np.float32(20.0)  # from 0: e to the twice is what float32 can well hold


@reordered
def _add_products(taste: Any, a: Any, b: Any, i: int, one: Any, other: Any) -> None:
    """What ``TOGETHER`` dimensions add to the scores of two candidates, so that tastes are read half as often."""
    p, q, r, s, t, u, v, w = taste[0], taste[1], taste[2], taste[3], taste[4], taste[5], taste[6], taste[7]
    a0, a1, a2, a3, a4, a5, a6, a7 = a[0, i], a[1, i], a[2, i], a[3, i], a[4, i], a[5, i], a[6, i], a[7, i]
    b0, b1, b2, b3, b4, b5, b6, b7 = b[0, i], b[1, i], b[2, i], b[3, i], b[4, i], b[5, i], b[6, i], b[7, i]
    for n in range(np.int32(len(one))):
        one[n] += (a0 * p[n] + a1 * q[n] + a2 * r[n] + a3 * s[n] + a4 * t[n] + a5 * u[n] + a6 * v[n] + a7 * w[n])
        other[n] += (b0 * p[n] + b1 * q[n] + b2 * r[n] + b3 * s[n] + b4 * t[n] + b5 * u[n] + b6 * v[n] + b7 * w[n])


@routine
def score_all(taste: Any, vectors: Any, offset: Any, score: Any) -> None:
    """Scores ``[M, N]`` of candidates with ``vectors [D, M]`` for users with ``taste [D, N]``; all but N are padded."""
    for i in range(0, len(score), 2):
        score[i][:], score[i + 1][:] = offset[i], offset[i + 1]
        for d in range(0, len(taste), TOGETHER):
            some = vectors[d:d + TOGETHER]
            _add_products(taste[d:d + TOGETHER], some, some[:, 1:], i, score[i], score[i + 1])


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
def _add(values: NDArray[np.float32], total: NDArray[np.float64]) -> None:
    for n in range(len(values)):
        total[n] += np.float64(values[n])


@finite
def _arrive(first: Any, second: Any, start: Any, candidate: Any, low: Any, level: Any, weight: Any,
            arrival: Any) -> None:
    """When the candidate comes to each user: bits of a float, its number in the ``low``.

    Its speed is the exponential of the score less ``level``, and takes the score's place in ``weight``.
    """
    for n in range(np.int32(len(weight))):
        speed = exp(weight[n] - level[n])
        weight[n] = speed
        drawn = draw(first, second, uint32(start[n] + uint32(candidate)))
        bits = np.float32(-log(drawn) / speed).view(np.int32)
        arrival[n] = np.int32(np.int32(bits & ~low) | np.int32(candidate))


@routine
def _let_in(arrival: NDArray[np.int32], earliest: NDArray[np.int32]) -> None:
    """Keep the earlier of each two in ``earliest``, and the later in ``arrival``."""
    for n in range(np.int32(len(arrival))):
        one, other = arrival[n], earliest[n]
        earliest[n], arrival[n] = np.int32(min(one, other)), np.int32(max(one, other))


@routine
def _let_in_four(arrival: NDArray[np.int32], a: Any, b: Any, c: Any, d: Any) -> None:
    """The same with ``a``, ``b``, ``c`` and ``d`` in turn, in one pass."""
    for n in range(np.int32(len(arrival))):
        late = arrival[n]
        early, late = np.int32(min(late, a[n])), np.int32(max(late, a[n]))
        a[n] = early
        early, late = np.int32(min(late, b[n])), np.int32(max(late, b[n]))
        b[n] = early
        early, late = np.int32(min(late, c[n])), np.int32(max(late, c[n]))
        c[n] = early
        early, late = np.int32(min(late, d[n])), np.int32(max(late, d[n]))
        d[n], arrival[n] = early, late


@routine
def race(first: Any, second: Any, start: Any, low: Any, level: Any, weight: Any, total: Any, arrival: Any,
          earliest: Any) -> None:
    """Who comes first to each user, if the time each takes is exponential: those ``earliest [W, N]``, ascending.

    That is the order of score + Gumbel noise, which is minus the logarithm of the time, but takes one logarithm in
    place of two. Scores become weights, which are summed up in ``total``.
    """
    earliest[:] = np.int32(0x7FFFFFFF)
    fours = len(earliest) // 4 * 4
    for candidate in range(len(weight)):
        _arrive(first, second, start, candidate, low, level, weight[candidate], arrival)
        _add(weight[candidate], total)
        for k in range(0, fours, 4):
            _let_in_four(arrival, earliest[k], earliest[k + 1], earliest[k + 2], earliest[k + 3])
        for k in range(fours, len(earliest)):
            _let_in(arrival, earliest[k])
