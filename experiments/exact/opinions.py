"""Where opinions come to rest that friends alone move: ``x = (I - A W)^-1 (I - A) x0`` (Friedkin and Johnsen 1990)."""

from __future__ import annotations

import numpy as np

from interplay.experiments.exact.base import Actions, Array


def resting_opinions(innate: Array, susceptible: Array, friends: Actions) -> Array:
    """The fixed point, ``[U]``.

    Args:
        innate: ``[U]``, x0.
        susceptible: ``[U]`` below 1, the diagonal of A.
        friends: ``[U, k]``; each counts 1 / k in a row of W.
    """
    count, size = friends.shape
    influence = np.zeros((count, count))
    np.add.at(influence, (np.arange(count)[:, None], friends), 1.0 / size)
    resting = np.linalg.solve(np.eye(count) - susceptible[:, None] * influence, (1.0 - susceptible) * innate)
    return np.asarray(resting, dtype=np.float64)
