"""Adam's step, and gradients of a bounded length, as loops that numba compiles for a CPU; torch's are the reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from interplay.envs.kernels.jit import routine, whole


@routine
def shorten(gradient: Any, max_norm: float) -> None:
    """Scale a gradient ``[P]`` down to this length, if it is longer."""
    length = math.sqrt(np.dot(gradient, gradient)) + 1e-6
    if not length <= max_norm:
        gradient *= np.float32(max_norm / length)


@routine
def adam(weights: Any, gradient: Any, first: Any, second: Any, count: float, rate: float, betas: Any,
         tiny: float) -> None:
    """Move ``weights [P]``, and the moments of their gradients, in the step with this number."""
    size, root = np.float32(rate / (1.0 - betas[0]**count)), np.float32(math.sqrt(1.0 - betas[1]**count))
    new, newer = np.float32(1.0 - betas[0]), np.float32(1.0 - betas[1])
    old, least = np.float32(betas[1]), np.float32(tiny)
    for i in range(len(weights)):
        slope = gradient[i]
        first[i] += new * (slope - first[i])
        second[i] = old * second[i] + newer * slope * slope
        weights[i] -= size * first[i] / (np.sqrt(second[i]) / root + least)


@routine
def come_nearer(slow: Any, fast: Any, share: float) -> None:
    """Move the weights ``slow [P]`` by a share of the way to others."""
    part = np.float32(share)
    for i in range(len(slow)):
        slow[i] += part * (fast[i] - slow[i])


@whole
def follow(slow: Any, fast: Any, share: float) -> None:
    """``come_nearer`` for Python."""
    come_nearer(slow, fast, share)


@whole
def move(gradient: Any, weights: Any, first: Any, second: Any, counts: Any, rate: float, betas: Any,
         tiny: float) -> None:
    """A step of all parameters, which counts it."""
    counts += np.float32(1.0)
    adam(weights, gradient, first, second, counts[0], rate, betas, tiny)
