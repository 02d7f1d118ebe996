"""How likely a pair was to get into a log, and what weights follow from it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data.log import InteractionLog
from interplay.envs.targets import inverse_propensity

Floats = NDArray[np.float64]


class PairWeights(NamedTuple):
    """Inverse propensities of a log's pairs.

    Attributes:
        weight: float64 ``[P]``, ``min(1 / propensity, clip)``, in the order of ``InteractionLog.pairs``.
        clipped: share of the pairs whose weight was cut off.
        source: where the propensities come from, in words.
    """

    weight: Floats
    clipped: float
    source: str

    @property
    def effective(self) -> float:
        """Effective sample size for each pair, ``sum(w)^2 / sum(w^2) / P`` (Kish 1965): 1 = all alike."""
        return float(self.weight.sum() ** 2 / (self.weight**2).sum() / len(self.weight))


def pair_weights(log: InteractionLog, clip: float = np.inf) -> PairWeights:
    """Weights from the log's own propensities, or else from its counts (``popularity_propensity``).

    A pair of several rows has the mean of their propensities.

    Raises:
        InterplayError: ``clip`` is below 1, the weight of what is certain.
    """
    propensity = row_propensity(log)
    _, pair, rows = np.unique(log.pair_key, return_inverse=True, return_counts=True)
    mean = np.minimum(np.bincount(pair, propensity) / rows, 1.0)  # which rounding may carry beyond 1
    weight = inverse_propensity(mean, clip)
    source = "by popularity" if log.propensity is None else "of the log"
    return PairWeights(weight, float((1.0 / mean > clip).mean()), source)


def row_propensity(log: InteractionLog) -> Floats:
    """The log's own propensities, or else estimates from its counts: float64 ``[N]``."""
    return popularity_propensity(log) if log.propensity is None else log.propensity


def popularity_propensity(log: InteractionLog) -> Floats:
    """Estimates from the log alone: the chance of each row's pair if users and items are met independently.

    ``rows of the user * rows of the item / rows``, 1 at most: float64 ``[N]``. It knows that popular items are rated
    more, and not that liked ones are: an item's propensity is the same for all users who rate as much.
    """
    users, items = np.bincount(log.user), np.bincount(log.item)
    estimate: Floats = np.minimum(users[log.user] * items[log.item] / len(log), 1.0)
    return estimate


def thinned(train: InteractionLog, whole: InteractionLog) -> InteractionLog:
    """The training part with propensities of being in it, rather than in the log that it was split from.

    The log's own are multiplied by the share of its pairs that the split left for training; rows that the data set
    itself holds out are no part of that log. It is exact for random splits. Estimates are made from the training part
    itself, and need none.
    """
    if train.propensity is None:
        return train
    candidates = whole.pair_key if whole.split is None or whole.split.all() else whole.pair_key[~whole.split]
    share = len(np.unique(train.pair_key)) / len(np.unique(candidates))
    return replace(train, propensity=train.propensity * min(share, 1.0))
