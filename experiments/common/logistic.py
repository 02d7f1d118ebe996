"""Logistic regression, by scikit-learn, that also accepts outcomes that are all alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]

_LOGIT_OF_CERTAIN = 30.0  # where all outcomes are alike, the likelihood has no maximum


class Logistic(NamedTuple):
    """A fitted model.

    Attributes:
        intercept: the logit where all features are 0.
        coefficients: float64 ``[F]``.
    """

    intercept: float
    coefficients: Floats

    def logit(self, features: Floats) -> Floats:
        """Logits ``[N]`` for features ``[N, F]``."""
        logits: Floats = self.intercept + features @ self.coefficients
        return logits

    def probability(self, features: Floats) -> Floats:
        """Probabilities ``[N]`` for features ``[N, F]``."""
        chances: Floats = expit(self.logit(features))
        return chances


def fit_logistic(features: Floats | csr_matrix, outcome: NDArray[np.bool_], ridge: float,
                 weight: Floats | None = None) -> Logistic:
    """The model of least log-loss, summed over rows, plus ``ridge / 2`` times the squared coefficients.

    Args:
        features: ``[N, F]``.
        outcome: ``[N]``.
        ridge: the intercept has none.
        weight: ``[N]``, how often each row counts; None = once.
    """
    if outcome.all() or not outcome.any():
        return Logistic(_LOGIT_OF_CERTAIN if outcome.all() else -_LOGIT_OF_CERTAIN, np.zeros(features.shape[1]))
    model = LogisticRegression(C=1.0 / ridge if ridge else np.inf, tol=1e-6, max_iter=1000)
    model.fit(features, outcome, weight)
    return Logistic(float(model.intercept_[0]), model.coef_[0])
