"""Means with intervals that cover the truth at the sizes that are used here; results/intervals has the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit  # scipy.stats, which has the same, takes a second to import

from interplay.envs.types import InterplayError

Floats = NDArray[np.float64]

FEWEST = 5
"""Fewer values than this get their range in place of an interval."""

INTERVALS = (f"Intervals [low, high] are 95 %: Student's t for means, Tukey and McLaughlin's for interquartile means "
             f"(IQM). Fewer than {FEWEST} values have no interval: (lowest to highest, n) is their range.")
"""What the brackets in tables mean."""

_MIDDLE_HALF = 0.25  # of the values are cut off at each end
_Z = float(ndtri(0.975))


class Estimate(NamedTuple):
    """A figure with its 95 % interval, or with the range of the values where these are too few for an interval.

    Attributes:
        mean: the figure.
        ci95: its interval; None where there is none.
        range: the lowest and the highest value; None where there is an interval, or nothing is known.
        n: how many values there are; None where that is not counted.
    """

    mean: float
    ci95: tuple[float, float] | None = None
    range: tuple[float, float] | None = None
    n: int | None = None

    def __str__(self) -> str:
        return self.text(3 if abs(self.mean) < 100.0 else 1)

    def text(self, digits: int) -> str:
        """``1.0 [0.9, 1.1]`` with an interval, ``1.0 (0.9 to 1.1, n = 3)`` with a range, ``1.0`` with neither."""
        if self.ci95 is not None:
            return f"{self.mean:.{digits}f} [{self.ci95[0]:.{digits}f}, {self.ci95[1]:.{digits}f}]"
        if self.range is not None:
            return f"{self.mean:.{digits}f} ({self.range[0]:.{digits}f} to {self.range[1]:.{digits}f}, n = {self.n})"
        return f"{self.mean:.{digits}f}"


def check_finite(values: ArrayLike, what: str, fix: str = "the model diverged; lower its learning rate") -> None:
    """Check that all figures of a model or a world are finite, before any of them counts.

    Args:
        values: the figures.
        what: they are, for the error.
        fix: what is wrong if they are not, and what to do.

    Raises:
        InterplayError: one is not.
    """
    array = np.asarray(values)
    wrong = array[~np.isfinite(array)]
    if len(wrong):
        raise InterplayError(f"{what}: {len(wrong):,} of {array.size:,} values are not finite (the first is "
                             f"{wrong[0]}): {fix}")


def mean_estimate(values: ArrayLike) -> Estimate:
    """The mean of ``values [n]`` with Student's t interval, which is exact for normal values."""
    return _trimmed(_rows([values]), 0.0)


def mean_over_tasks(*strata: ArrayLike) -> Estimate:
    """The mean of all runs of several tasks, ``[n]`` for each, all of one size: only the spread within tasks counts.

    The interval is Student's with Welch and Satterthwaite's degrees of freedom, so that tasks may differ in spread.
    """
    return _trimmed(_rows(strata), 0.0)


def interquartile_mean(*strata: ArrayLike) -> Estimate:
    """The mean of the middle half of all runs (Agarwal et al., "Deep RL at the statistical precipice", 2021).

    The interval is that of Tukey and McLaughlin (Sankhya A 25, 1963), in which values that are cut off count as the
    nearest value that is kept. With several tasks only the spread within tasks counts.

    Args:
        strata: the runs' scores, ``[n]`` for each task.
    """
    return _trimmed(_rows(strata), _MIDDLE_HALF)


def probability_of_improvement(pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> Estimate:
    """The chance that a run of X scores higher than one of Y, mean over tasks; ties count half (Agarwal et al. 2021).

    The interval of each task is Newcombe's (Statistics in Medicine 25, 2006, part 2, method 5), which is not empty if
    one agent wins all comparisons. The mean's is made of those by the square-and-add rule (Zou and Donner 2008).

    Args:
        pairs: for each task the scores of X ``[n]`` and of Y ``[m]``.
    """
    tasks = [(_rows([x])[0], _rows([y])[0]) for x, y in pairs]
    fewest = min(min(len(x), len(y)) for x, y in tasks)
    won = np.array([_wins(x, y) for x, y in tasks])
    mean = float(won.mean())
    if fewest < FEWEST:
        return Estimate(mean, n=fewest)
    low, high = np.array([_score_interval(p, len(x), len(y)) for p, (x, y) in zip(won, tasks, strict=True)]).T
    below, above = (float(np.sqrt(np.square(end - won).sum())) / len(won) for end in (low, high))
    return Estimate(mean, (max(0.0, mean - below), min(1.0, mean + above)), n=fewest)


def _wins(x: Floats, y: Floats) -> float:
    """Share of pairs in which x is larger."""
    return float((np.sign(x[:, None] - y).mean() + 1.0) / 2.0)


def _score_interval(p: float, n: int, m: int) -> tuple[float, float]:
    """Where ``p`` is at the edge of what chance allows: the roots of ``(p - q)^2 = z^2 var(q)`` on its two sides."""
    others = (n + m) / 2.0 - 1.0

    def off(q: float) -> float:
        return (p - q) ** 2 - _Z**2 * q * (1 - q) * (1 + others * ((1 - q) / (2 - q) + q / (1 + q))) / (n * m)

    edge = 1e-9
    low = 0.0 if p <= edge else float(brentq(off, edge**2, p - edge))
    high = 1.0 if p >= 1.0 - edge else float(brentq(off, p + edge, 1.0 - 1e-15))
    return low, high


def _trimmed(strata: Sequence[Floats], share: float) -> Estimate:
    """The mean of all values without ``share`` of them at each end."""
    values = np.sort(np.concatenate(strata))
    cut = int(share * len(values))
    kept = values[cut : len(values) - cut]
    mean, low, high = float(kept.mean()), float(kept[0]), float(kept[-1])
    if len(values) < FEWEST:
        return Estimate(mean, range=(float(values[0]), float(values[-1])), n=len(values))
    parts = [_squared_error(row, low, high, len(kept)) for row in strata]
    variance = sum(error for error, _ in parts)
    if variance <= (1e-9 * np.abs(values).max()) ** 2:  # nothing varies but for rounding
        return Estimate(mean, (mean, mean), n=len(values))
    # Welch and Satterthwaite's degrees of freedom; one task has those of its values that are kept, less 1.
    freedom = variance**2 / sum(error**2 / free for error, free in parts)
    half = float(stdtrit(freedom, 0.975) * np.sqrt(variance))
    return Estimate(mean, (mean - half, mean + half), n=len(values))


def _squared_error(row: Floats, low: float, high: float, kept: int) -> tuple[float, int]:
    """A task's part of the mean's squared standard error, and its degrees of freedom."""
    winsorised = row.clip(low, high)
    spread = float(np.square(winsorised - winsorised.mean()).sum())
    own = max(2, min(kept, int(((row >= low) & (row <= high)).sum())))
    return spread * own / (own - 1) / kept**2, own - 1


def _rows(values: Sequence[ArrayLike]) -> list[Floats]:
    rows = [np.asarray(row, dtype=np.float64) for row in values]
    for row in rows:
        if row.ndim != 1 or len(row) == 0:
            raise ValueError(f"values of shape {row.shape}: give one row of at least one number")
        check_finite(row, "values to average", "there is no mean of them")
    return rows


def gini(amounts: ArrayLike) -> float:
    """How unequally ``amounts [n]`` (not negative) are spread: 0 = all alike, towards 1 = one has all."""
    ordered = np.sort(np.asarray(amounts, dtype=np.float64))
    total = ordered.sum()
    if total == 0.0:
        return 0.0
    rank = np.arange(1, len(ordered) + 1)
    return float(((2 * rank - len(ordered) - 1) * ordered).sum() / (len(ordered) * total))
