"""The accuracy of estimators over many logs with a known truth: errors, and how often intervals hold it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from interplay.experiments.common.tables import table
from interplay.experiments.offpolicy.evaluation import Evaluation


class Accuracy(NamedTuple):
    """How an estimator did over many logs of one bandit.

    Attributes:
        name: of the estimator.
        relative_error: mean of the absolute value of (estimate - truth) / truth.
        bias: mean of (estimate - truth) / truth.
        covered: intervals that hold the truth; None where the estimator has no interval.
        repeats: logs.
        width: mean width of the intervals, in units of the truth; None where there is none.
        effective_size: mean, in rounds.
        clipped: mean share of weights above the bound of clipping.
        warned: logs with a warning.
    """

    name: str
    relative_error: float
    bias: float
    covered: int | None
    repeats: int
    width: float | None
    effective_size: float
    clipped: float
    warned: int


def accuracies(found: Iterable[list[Evaluation]], truth: float) -> list[Accuracy]:
    """Every estimator's, from what all of them said of each log."""
    return [_accuracy(list(column), truth) for column in zip(*found, strict=True)]


def _accuracy(found: list[Evaluation], truth: float) -> Accuracy:
    """One estimator's."""
    off = np.array([e.estimate.mean for e in found]) / truth - 1.0
    # In a log whose rewards do not vary where weights count, even an estimator with intervals has none.
    intervals = [e.estimate.ci95 for e in found if e.estimate.ci95 is not None]
    covered = sum(low <= truth <= high for low, high in intervals) if intervals else None
    width = float(np.ptp(intervals, axis=1).mean() / truth) if intervals else None
    return Accuracy(found[0].name, float(np.abs(off).mean()), float(off.mean()), covered, len(found), width,
                    float(np.mean([e.effective_size for e in found])), float(np.mean([e.clipped for e in found])),
                    sum(e.warning != "" for e in found))


ACCURACY_HEADER = ("estimator", "relative error", "bias", "covered", "interval width", "effective size", "clipped",
                   "warned")


def accuracy_table(found: list[Accuracy]) -> str:
    """One row for each estimator, in Markdown."""
    return table(ACCURACY_HEADER, [
        [a.name, f"{a.relative_error:.2%}", f"{a.bias:+.2%}",
         "-" if a.covered is None else f"{a.covered} of {a.repeats}", "-" if a.width is None else f"{a.width:.2%}",
         f"{a.effective_size:,.0f}", f"{a.clipped:.2%}", f"{a.warned} of {a.repeats}"] for a in found])
