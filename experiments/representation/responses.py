"""How well responses to held-out pairs are predicted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    root_mean_squared_error,
)

from interplay.envs.types import InterplayError
from interplay.experiments.common.logistic import fit_logistic
from interplay.experiments.common.statistics import check_finite

Floats = NDArray[np.float64]

_BINS = 10  # of the calibration error
_PLATT_RIDGE = 1e-6  # keeps the slope finite where a threshold separates liked from others
_CERTAIN = 1e-6  # probabilities are kept this far from 0 and 1 where their logarithm is needed


class Responses(NamedTuple):
    """Figures over the held-out pairs. "Liked" is a response above the threshold.

    Attributes:
        rmse: root mean squared error, in the log's own units.
        accuracy, precision, recall, f1: of calling liked what is predicted above the threshold.
        auc: chance that a liked pair is predicted higher than another; 0.5 = by chance.
        log_loss: mean cross-entropy of the predicted probability of being liked, in nats.
        calibration: expected calibration error (Naeini et al., AAAI 2015): mean gap between probability and frequency
            over ten bins of probability.
    """

    rmse: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    log_loss: float
    calibration: float


def judge(predicted: Floats, actual: Floats, liked_above: float, probability: Floats | None = None) -> Responses:
    """Compare predictions with what happened.

    Args:
        predicted: float64 ``[N]``, in the log's units.
        actual: float64 ``[N]``.
        liked_above: responses above it are liked.
        probability: float64 ``[N]``, of being liked, for the last two figures; where a model predicts only the
            response, ``probability_of`` gives it.

    Raises:
        InterplayError: all or none of the pairs are liked, or a prediction is not finite.
    """
    check_finite(predicted, "predicted responses to the held-out part")
    liked = liked_of(actual, liked_above)
    called = predicted > liked_above
    precision, recall, f1, _ = precision_recall_fscore_support(liked, called, average="binary", zero_division=0.0)
    chance = np.clip(predicted if probability is None else probability, _CERTAIN, 1.0 - _CERTAIN)
    return Responses(
        rmse=float(root_mean_squared_error(actual, predicted)), accuracy=float(accuracy_score(liked, called)),
        precision=float(precision), recall=float(recall), f1=float(f1), auc=float(roc_auc_score(liked, predicted)),
        log_loss=float(log_loss(liked, chance)), calibration=calibration_error(chance, liked))


def liked_of(actual: NDArray[np.floating], liked_above: float) -> NDArray[np.bool_]:
    """Which held-out responses ``[N]`` are liked.

    Raises:
        InterplayError: all or none of them are.
    """
    liked: NDArray[np.bool_] = actual > liked_above
    if liked.all() or not liked.any():
        raise InterplayError(f"liked_above={liked_above:g}: {int(liked.sum())} of {len(liked)} held-out responses are "
                             "above it: choose a threshold that separates them")
    return liked


def calibration_error(chance: Floats, liked: NDArray[np.bool_]) -> float:
    """Gap between mean probability and frequency in each of ten equal bins, weighted by their sizes."""
    place = np.minimum((chance * _BINS).astype(np.int64), _BINS - 1)
    gap = np.bincount(place, weights=chance - liked, minlength=_BINS)
    return float(np.abs(gap).sum() / len(chance))


def probability_of(predicted: Floats, actual: Floats, liked_above: float, wanted: Floats) -> Floats:
    """Probabilities of being liked for predicted responses, by logistic regression on pairs that are known.

    Platt, "Probabilistic outputs for support vector machines" (1999), without his smoothing of the labels.

    Args:
        predicted: float64 ``[N]``, of pairs that are known: never the held-out ones.
        actual: float64 ``[N]``, their responses.
        liked_above: responses above it are liked.
        wanted: float64 ``[M]``, predictions to translate.
    """
    centre, scale = predicted.mean(), max(1e-9, float(predicted.std()))
    model = fit_logistic(((predicted - centre) / scale)[:, None], actual > liked_above, ridge=_PLATT_RIDGE)
    return model.probability(((wanted - centre) / scale)[:, None])
