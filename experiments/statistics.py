"""Means and intervals, always by bootstrap, always seeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

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
    (row,) = _rows([values])
    centre = float(row.mean())
    if np.ptp(row) <= 1e-9 * max(1.0, abs(centre)):
        return Estimate(centre, (centre, centre))
    return _estimate(centre, _drawn(row, np.random.default_rng(0)).mean(1))


def interquartile_mean(*strata: ArrayLike) -> Estimate:
    """The mean of the middle half of all runs (Agarwal et al., "Deep RL at the statistical precipice", 2021).

    Args:
        strata: the runs' scores, ``[n]`` for each task. The bootstrap draws runs within each task, so that every
            resample has all tasks in it.
    """
    tasks = _rows(strata)
    rng = np.random.default_rng(0)
    resampled = np.concatenate([_drawn(task, rng) for task in tasks], axis=1)
    return _estimate(float(_middle_half(np.concatenate(tasks))), _middle_half(resampled))


def probability_of_improvement(pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> Estimate:
    """The chance that a run of X scores higher than one of Y, mean over tasks; ties count half (Agarwal et al. 2021).

    Args:
        pairs: for each task the scores of X ``[n]`` and of Y ``[m]``.
    """
    tasks = [(_rows([x])[0], _rows([y])[0]) for x, y in pairs]
    rng = np.random.default_rng(0)
    resampled = np.mean([_wins(_drawn(x, rng), _drawn(y, rng)) for x, y in tasks], axis=0)
    return _estimate(float(np.mean([_wins(x[None], y[None]) for x, y in tasks])), resampled)


def _wins(x: Floats, y: Floats) -> Floats:
    """Share of pairs in which x is larger, row by row: ``[R, n]`` and ``[R, m]`` to ``[R]``."""
    wins: Floats = (np.sign(x[:, :, None] - y[:, None]).mean((1, 2)) + 1.0) / 2.0
    return wins


def _drawn(row: Floats, rng: np.random.Generator) -> Floats:
    """Resamples of ``row [n]``, with replacement: ``[R, n]``."""
    return row[rng.integers(0, len(row), (_RESAMPLES, len(row)), dtype=np.uint32)]


def _estimate(centre: float, resampled: Floats) -> Estimate:
    """The percentile interval."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(centre, (float(low), float(high)))


def _rows(values: Sequence[ArrayLike]) -> list[Floats]:
    rows = [np.asarray(row, dtype=np.float64) for row in values]
    for row in rows:
        if row.ndim != 1 or len(row) == 0:
            raise ValueError(f"values of shape {row.shape}: give one row of at least one number")
    return rows


def _middle_half(values: Floats) -> Floats:
    """Over the last axis."""
    middle: Floats = stats.trim_mean(values, 0.25, axis=-1)
    return middle


def gini(amounts: ArrayLike) -> float:
    """How unequally ``amounts [n]`` (not negative) are spread: 0 = all alike, towards 1 = one has all."""
    ordered = np.sort(np.asarray(amounts, dtype=np.float64))
    total = ordered.sum()
    if total == 0.0:
        return 0.0
    rank = np.arange(1, len(ordered) + 1)
    return float(((2 * rank - len(ordered) - 1) * ordered).sum() / (len(ordered) * total))
