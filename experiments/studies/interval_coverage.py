"""How often the intervals of ``statistics`` hold the truth, beside those of the percentile bootstrap.

Run as ``python -m interplay.experiments.studies.interval_coverage --out experiments/results/intervals``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import (
    FEWEST,
    INTERVALS,
    Estimate,
    Floats,
    interquartile_mean,
    mean_estimate,
    mean_over_tasks,
    probability_of_improvement,
)
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_lines import reported

SIZES = (3, 5, 10, 20)
_FAILS = 0.1  # of the runs
_LARGE = 600_000  # values whose mean is taken for the truth

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

KINDS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape),
    "heavy tail": lambda rng, shape: rng.lognormal(size=shape),
    "failing runs": lambda rng, shape: rng.normal(size=shape) - 10.0 * (rng.random(shape) < _FAILS)}
"""What a run scores, in units of its own."""

_LIKE = {"normal": "", "skewed": "exponential", "heavy tail": "log-normal, sigma = 1",
         "failing runs": f"normal, but {_FAILS:.0%} of the runs score 10 standard deviations less"}


@dataclass(frozen=True)
class CoverageSettings:
    """Draw values whose truth is known, and count how often intervals hold it."""

    out: Path | None = None
    """Folder of the report."""
    repeats: int = 4_000
    """Samples of each size; the bootstrap gets a quarter of them."""
    seed: int = 0
    """Of all draws."""


class Figure(NamedTuple):
    """A figure whose interval is judged.

    Attributes:
        tasks: how many tasks it is over.
        estimate: of samples ``[tasks, n]``.
        trim: share of the values that it cuts off at each end.
    """

    tasks: int
    estimate: Callable[[Floats], Estimate]
    trim: float


FIGURES = {"mean": Figure(1, lambda rows: mean_estimate(rows[0]), 0.0),
           "IQM": Figure(1, lambda rows: interquartile_mean(rows[0]), 0.25),
           "IQM over three tasks": Figure(3, lambda rows: interquartile_mean(*rows), 0.25),
           "mean over seven tasks": Figure(7, lambda rows: mean_over_tasks(*rows), 0.0)}


def study(settings: CoverageSettings) -> str:
    """Draw, count, and write ``report.md`` and ``report.json``; gives the report's text."""
    rows = [*_figures(settings), *_probabilities(settings)]
    return reported(settings.out, text, __name__, {"rows": rows})


def _figures(settings: CoverageSettings) -> Iterator[dict[str, Any]]:
    for label, figure in FIGURES.items():
        for kind, draw in KINDS.items():
            rng = np.random.default_rng(settings.seed)
            many = _tasks(draw(rng, (figure.tasks, _LARGE // figure.tasks)))
            truth = float(stats.trim_mean(many.ravel(), figure.trim))
            for n in SIZES:
                samples = _tasks(draw(rng, (settings.repeats, figure.tasks, n)))
                used = [_ends(figure.estimate(rows)) for rows in samples]
                resampled = [_bootstrap(rows, figure.trim, rng) for rows in samples[: settings.repeats // 4]]
                yield {"figure": label, "values": kind, "n": n, "used": _covered(used, truth),
                       "bootstrap": _covered(resampled, truth), "width": float(np.median(np.ptp(used, axis=1)))}


def _tasks(values: Floats) -> Floats:
    """Tasks of other scales and means, ``[..., tasks, n]``."""
    number = np.arange(values.shape[-2])[:, None]
    scaled: Floats = values * (1.0 + number) + number
    return scaled


def _ends(found: Estimate) -> tuple[float, float]:
    """Of the interval, or of the range where there is none."""
    ends = found.ci95 or found.range
    assert ends is not None, "every mean has one of them"
    return ends


def _bootstrap(rows: Floats, trim: float, rng: np.random.Generator, resamples: int = 1_000) -> tuple[float, float]:
    """The percentile interval, drawn within each task."""
    drawn = [row[rng.integers(0, len(row), (resamples, len(row)))] for row in rows]
    low, high = np.quantile(stats.trim_mean(np.concatenate(drawn, axis=1), trim, axis=1), [0.025, 0.975])
    return float(low), float(high)


def _covered(intervals: Sequence[tuple[float, float]], truth: float) -> float:
    low, high = np.transpose(intervals)
    return float(((low <= truth) & (truth <= high)).mean())


def _probabilities(settings: CoverageSettings) -> Iterator[dict[str, Any]]:
    """Of two agents with normal scores, one standard deviation apart, or none, or two and a half."""
    for tasks in (1, 3):
        for shift in (0.0, 1.0, 2.5):
            truth, rng = float(stats.norm.cdf(shift / np.sqrt(2.0))), np.random.default_rng(settings.seed)
            for n in SIZES[1:]:
                samples = rng.normal(size=(settings.repeats // 4, 2, tasks, n))
                found = [probability_of_improvement(list(zip(x + shift, y, strict=True))) for x, y in samples]
                ends = [estimate.ci95 for estimate in found if estimate.ci95 is not None]
                yield {"figure": "probability of improvement", "values": f"truth {truth:.2f}, tasks: {tasks}", "n": n,
                       "used": _covered(ends, truth), "bootstrap": None,
                       "width": float(np.median(np.ptp(ends, axis=1)))}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    parts = [made_line(source["made"]),
             f"How often the intervals that this project prints hold the truth, which should be 95 %. {INTERVALS}",
             "Each cell is the coverage of the interval that is printed for n runs of each task, and in brackets that "
             "of the percentile bootstrap, which was printed before. One task with three runs gets a range and no "
             "interval; the cell shows that a range is not one.",
             "\n".join(f"- {kind}: {like}" for kind, like in _LIKE.items() if like),
             *(f"## {figure}\n\n{_table([row for row in rows if row['figure'] == figure])}"
               for figure in dict.fromkeys(row["figure"] for row in rows)),
             f"## What is not covered\n\n{_missed(rows)}\n\n{_READING}"]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    sizes = list(dict.fromkeys(row["n"] for row in rows))
    cells = {(row["values"], row["n"]): _cell(row) for row in rows}
    return table(["values", *(f"n = {n}" for n in sizes)],
                 [[kind, *(cells[kind, n] for n in sizes)] for kind in dict.fromkeys(row["values"] for row in rows)])


def _cell(row: Mapping[str, Any]) -> str:
    before = "" if row["bootstrap"] is None else f" ({row['bootstrap']:.1%})"
    return f"{row['used']:.1%}{before}"


def _missed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Where printed intervals cover less than 90 %."""
    low = [f"{row['figure']} of {row['values']} at n = {row['n']} ({row['used']:.1%})" for row in rows
           if row["n"] >= FEWEST and row["used"] < 0.9]
    return f"Intervals that cover less than 90 %: {'; '.join(low) or 'none'}."


_READING = (f"Means of skewed or failing runs have no interval that holds at these sizes. Where {_FAILS:.0%} of the "
            f"runs fail, {(1 - _FAILS) ** 5:.0%} of all samples of five have no failure, and nothing in them shows "
            "it: read the column with each seed. The interquartile mean ignores failures that are rarer than a "
            "quarter, and its interval says nothing of them. Runs are taken to be independent, as seeds are. "
            "Off-policy estimates have bootstrap intervals over many rounds; `scripts/estimators.py` shows their "
            "coverage.")


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.interval_coverage:study"))
