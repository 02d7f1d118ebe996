"""Matrix factorisation, the baseline of predicted responses. Its ridge is chosen on the training part."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import Factors, InteractionLog, fit_factors

Floats = NDArray[np.float64]

SIZES = {"biases": 0, "als": 10}
"""Names of what is fitted, and how long its vectors are."""

RIDGES = (0.15, 0.25, 0.33, 0.45, 0.6, 0.8)
"""Penalties to choose from, see ``fit_factors``: from one that overfits ratings of films to one that leaves only the
biases."""


class Factorised(NamedTuple):
    """Predictions in the log's units, which may lie a little outside its scale.

    Attributes:
        ridge: the penalty of least validation error.
        validation: float64 ``[V]``, of the validation part, by a fit without it.
        held_out: float64 ``[N]``, of the held-out part, by the fit to all of the training part.
    """

    ridge: float
    validation: Floats
    held_out: Floats


def factorise(inner: InteractionLog, validation: InteractionLog, train: InteractionLog, held_out: InteractionLog,
              size: int, ridges: tuple[float, ...] = RIDGES) -> Factorised:
    """Fit with every ridge to ``inner``, and with the best for ``validation`` to ``train``, which is both.

    Args:
        inner: the part to learn from while the ridge is chosen.
        validation: the part that chooses it.
        train: both together.
        held_out: the part to predict; it chooses nothing.
        size: of the vectors; 0 fits only biases.
        ridges: to choose from.
    """
    tried = [predicted(fit_factors(inner, size, ridge), validation) for ridge in ridges]
    best = int(np.argmin([np.square(guess - validation.reward).mean() for guess in tried]))
    return Factorised(ridges[best], tried[best], predicted(fit_factors(train, size, ridges[best]), held_out))


def predicted(factors: Factors, log: InteractionLog) -> Floats:
    """Of the log's rows, in its units: float64 ``[N]``."""
    low, high = log.reward_range
    found: Floats = low + (high - low) * factors.predict(log.user, log.item)
    return found
