"""Which slates depend on how float32 rounds: candidates whose times are too near to order by them. Numba compiles it.

See "Where rounding decides" in ``README.md``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import uint32
from numpy.typing import NDArray

from interplay.envs.kernels.jit import draw, finite, routine


@routine
def settle(first: Any, second: Any, start: Any, taste: Any, temperature: Any, vectors: Any, offset: Any, shown: int,
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


@finite
def margins(earliest: Any, reach: Any, margin: Any) -> None:
    """Relative differences of times that float32 sums of score and noise may get wrong, raised to ``margin``.

    No score is further from 0 than ``reach``; a sum of ten such terms is off by 6e-7 of it at most.
    """
    for n in range(np.int32(len(reach))):
        power = abs(np.float32(np.int32(earliest[n] >> np.int32(23)) - np.int32(127)))
        here = np.float32(5e-7) * (np.float32(4.0) + power + np.float32(2.0) * reach[n])
        margin[n] = here if here > margin[n] else margin[n]


@finite
def longest_of(vectors: NDArray[np.float32]) -> Any:
    """The length of the longest of the ``vectors [D, M]``."""
    longest = np.float32(0.0)
    for candidate in range(vectors.shape[1]):
        squares = np.float32(0.0)
        for d in range(len(vectors)):
            squares += vectors[d, candidate] * vectors[d, candidate]
        longest = max(longest, squares)
    return np.float32(math.sqrt(longest))


@routine
def mark_near(earlier: NDArray[np.int32], later: NDArray[np.int32], low: Any, margin: NDArray[np.float32],
              near: NDArray[np.bool_]) -> None:
    """Mark users with two candidates whose times are too near to order by their bits."""
    for n in range(np.int32(len(near))):
        near[n] |= np.float32(np.int32(later[n] - earlier[n]) - low) * np.float32(2.0**-24) < margin[n]
