"""Means and intervals, always by bootstrap, always seeded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_RESAMPLES = 2_000


class Estimate(NamedTuple):
    """A figure and its 95 % bootstrap interval."""

    mean: float
    ci95: tuple[float, float]

    def __str__(self) -> str:
        digits = 3 if abs(self.mean) < 100.0 else 1
        low, high = self.ci95
        return f"{self.mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

    def overlaps(self, other: Estimate) -> bool:
        """Whether the two intervals share a point."""
        return self.ci95[0] <= other.ci95[1] and other.ci95[0] <= self.ci95[1]


def mean_estimate(values: ArrayLike) -> Estimate:
    """The mean of ``values [n]``; the interval is the value itself where nothing varies."""
    return _estimate(np.asarray(values, dtype=np.float64), _mean)


def interquartile_mean(values: ArrayLike) -> Estimate:
    """The mean of the middle half (Agarwal et al., "Deep RL at the edge of the statistical precipice", 2021)."""
    return _estimate(np.asarray(values, dtype=np.float64), _middle_half)


def _estimate(values: NDArray[np.float64], statistic: object) -> Estimate:
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values of shape {values.shape}: give one row of at least one number")
    centre = float(statistic(values, axis=0))  # type: ignore[operator]
    if np.ptp(values) <= 1e-9 * max(1.0, abs(centre)):
        return Estimate(centre, (centre, centre))
    rng = np.random.default_rng(0)
    found = stats.bootstrap((values,), statistic, n_resamples=_RESAMPLES, method="percentile", rng=rng, batch=100)
    return Estimate(centre, (float(found.confidence_interval.low), float(found.confidence_interval.high)))


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = values.mean(axis=axis)
    return mean


def _middle_half(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    trimmed: NDArray[np.float64] = stats.trim_mean(values, 0.25, axis=axis)
    return trimmed


def gini(amounts: ArrayLike) -> float:
    """How unequally ``amounts [n]`` (not negative) are spread: 0 = all alike, towards 1 = one has all."""
    ordered = np.sort(np.asarray(amounts, dtype=np.float64))
    total = ordered.sum()
    if total == 0.0:
        return 0.0
    rank = np.arange(1, len(ordered) + 1)
    return float(((2 * rank - len(ordered) - 1) * ordered).sum() / (len(ordered) * total))
