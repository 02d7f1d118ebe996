"""What it costs to ignore how a log came about: matrix factorisation with and without inverse propensities.

Schnabel et al., "Recommendations as treatments: debiasing learning and evaluation" (ICML 2016): users choose what they
rate, so that the error on what they rated is not the error on all they could rate. Their equation 8 divides each
squared error by the chance that the pair was rated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import Factors, InteractionLog, fit_factors, split_log
from interplay.envs.data.propensity import popularity_propensity
from interplay.envs.targets import inverse_propensity
from interplay.envs.types import InterplayError
from interplay.experiments.common.statistics import Estimate, mean_estimate

Floats = NDArray[np.float64]
Weighting = Callable[[InteractionLog], Floats]

VALIDATION = 0.2
"""Share of the training part's pairs that hyper-parameters are chosen on."""

_ITERATIONS = 15


@dataclass(frozen=True)
class Grid:
    """Hyper-parameters to try, and the seeds to try each with.

    Attributes:
        sizes: of the vectors; 0 fits biases alone.
        ridges: penalties, see ``fit_factors``.
        seeds: how many starts; each also draws its own validation part.
    """

    sizes: tuple[int, ...] = (0, 4, 16)
    ridges: tuple[float, ...] = (0.1, 0.3, 0.5, 1.0, 3.0)
    seeds: int = 10

    def __post_init__(self) -> None:
        if not self.sizes or not self.ridges or self.seeds < 1:
            raise InterplayError(f"sizes={self.sizes}, ridges={self.ridges}, seeds={self.seeds}: give at least one of "
                                 "each")

    @property
    def points(self) -> list[tuple[int, float]]:
        """Every (size, ridge), ``H`` of them."""
        return list(product(self.sizes, self.ridges))


class Errors(NamedTuple):
    """What one way of weighting rows came to. ``S`` seeds, ``H`` hyper-parameters, ``U`` users, as in ``Grid``.

    Attributes:
        held_out: float64 ``[S, H]``, mean squared error of the held-out rows, in the reward's own units.
        validation: float64 ``[S, H]``, that of the validation part, weighted as the fit was (self-normalised).
        shift: float64 ``[S, H]``, mean of prediction - reward over the held-out rows: the part of the error that one
            constant would correct.
        by_user: float64 ``[S, H, U]``, summed squared error of each user's held-out rows.
    """

    held_out: Floats
    validation: Floats
    shift: Floats
    by_user: Floats

    @property
    def chosen(self) -> NDArray[np.int64]:
        """For each seed the hyper-parameters of least validation error, int64 ``[S]``."""
        return np.asarray(self.validation.argmin(1), dtype=np.int64)

    def at_chosen(self, values: Floats) -> Floats:
        """One of the fields above there, float64 ``[S, ...]``."""
        there: Floats = values[np.arange(len(values)), self.chosen]
        return there

    @property
    def by_user_at_chosen(self) -> Floats:
        """Summed squared error of each user's held-out rows there, mean over seeds: float64 ``[U]``."""
        mean: Floats = self.at_chosen(self.by_user).mean(0)
        return mean


def naive(log: InteractionLog) -> Floats:
    """All rows alike, as if users had rated at random: float64 ``[N]``."""
    return np.ones(len(log))


def known_propensities(clip: float) -> Weighting:
    """The inverse of the log's own propensities, and ``clip`` at most.

    Raises:
        InterplayError: when it is used: the log has none.
    """

    def weight(log: InteractionLog) -> Floats:
        if log.propensity is None:
            raise InterplayError("the log has no propensities: name their column, or weight by popularity")
        return inverse_propensity(log.propensity, clip)

    return weight


def popularity_propensities(clip: float) -> Weighting:
    """The inverse of what the log's own counts say, and ``clip`` at most; see ``popularity_propensity``."""
    return lambda log: inverse_propensity(popularity_propensity(log), clip)


def compare(train: InteractionLog, held_out: InteractionLog, ways: Mapping[str, Weighting],
            grid: Grid) -> dict[str, Errors]:
    """Fit every way of weighting at every point of the grid with every seed.

    Held-out errors are of fits to all of ``train``; validation errors of fits to the rest of it, so that no held-out
    row has a say in what is chosen.

    Raises:
        InterplayError: a way cannot weight this log, or a hyper-parameter is out of its range.
    """
    return {name: _errors(train, held_out, way, grid) for name, way in ways.items()}


def gap(one: Floats, other: Floats, rows: NDArray[np.int64]) -> Estimate:
    """How much larger the held-out error of one way is than that of another. The interval resamples users.

    Args:
        one: float64 ``[U]``, ``Errors.by_user_at_chosen``.
        other: the same of the other way.
        rows: int64 ``[U]``, held-out rows of each user.
    """
    difference = (one - other)[rows > 0]
    # Users with many rows count for as many: the mean over users is the mean over rows.
    return mean_estimate(difference / rows[rows > 0].mean())


def _errors(train: InteractionLog, held_out: InteractionLog, way: Weighting, grid: Grid) -> Errors:
    # Like the log's propensities, weights are split with their rows, and need no second estimate from fewer.
    train = replace(train, propensity=1.0 / way(train))
    found = [_fits(train, held_out, grid, seed) for seed in range(grid.seeds)]
    wrong, validation = np.array([w for w, _ in found]), np.array([v for _, v in found])
    by_user = np.array([[np.bincount(held_out.user, row**2, held_out.num_users) for row in rows] for rows in wrong])
    return Errors((wrong**2).mean(2), validation, wrong.mean(2), by_user)


def _fits(train: InteractionLog, held_out: InteractionLog, grid: Grid, seed: int) -> tuple[Floats, Floats]:
    """At every point of the grid the held-out rows' errors ``[H, N]``, and the weighted validation error ``[H]``."""
    rest, validation = split_log(train, VALIDATION, "random", seed)
    wrong, weighted = [], []
    for size, ridge in grid.points:
        wrong.append(deviation(fit_factors(train, size, ridge, _ITERATIONS, seed, _weight(train)), held_out))
        early = fit_factors(rest, size, ridge, _ITERATIONS, seed, _weight(rest))
        weighted.append(np.average(deviation(early, validation) ** 2, weights=_weight(validation)))
    return np.array(wrong), np.array(weighted)


def _weight(log: InteractionLog) -> Floats:
    assert log.propensity is not None
    weight: Floats = 1.0 / log.propensity
    return weight


def deviation(factors: Factors, log: InteractionLog) -> Floats:
    """Prediction - reward of each row, in the reward's own units: float64 ``[N]``. Predictions keep to the scale."""
    low, high = log.reward_range
    wrong: Floats = low + (high - low) * factors.predict(log.user, log.item).clip(0.0, 1.0) - log.reward
    return wrong
