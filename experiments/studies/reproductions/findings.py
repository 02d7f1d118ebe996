"""Figures that were published, beside what is found here: rows for ``report.json``, and the table made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from interplay.experiments.common.statistics import INTERVALS, mean_estimate
from interplay.experiments.common.tables import table

READING = ("A figure is reached if what is found lies within the tolerance of what was published. " + INTERVALS)
"""What the table of findings means."""

Row = dict[str, Any]


def finding(where: str, figure: str, values: Sequence[float] | float, published: float | None = None,
            tolerance: float = 0.0, digits: int = 1, at_least: bool = False) -> Row:
    """A row.

    Args:
        where: the environment.
        figure: in words.
        values: one for each seed, session or other unit that chance decides about; a number is exact.
        published: what was published; None = nothing was.
        tolerance: how far from it still counts as the same.
        digits: of the table.
        at_least: whether more is no difference: what was published is a bound.
    """
    exact = isinstance(values, int | float)
    listed = [values] if isinstance(values, int | float) else list(values)
    row = {"where": where, "figure": figure, "values": listed, "exact": exact,
           "published": published, "tolerance": tolerance, "digits": digits}
    return row | ({"at_least": True} if at_least else {})


def beside(values: Sequence[float], of_one: bool = True) -> float:
    """How far from the mean of ``values`` another value lies in 95 of 100 cases, if all are normal.

    With ``of_one=False``: how far the true mean does.
    """
    n = len(values)
    if n < 2:
        return 0.0
    width = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
    return width * (n + 1.0) ** 0.5 if of_one else width


def reached(row: Mapping[str, Any]) -> bool | None:
    """Whether the published figure is reached; None where there is none."""
    if row["published"] is None:
        return None
    above = sum(row["values"]) / len(row["values"]) - row["published"]
    return bool(above >= -row["tolerance"] and (above <= row["tolerance"] or row.get("at_least", False)))


def findings_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each row: published, found with its interval, verdict. Where rows name their study, it comes first."""
    verdicts = {None: "", True: "reached", False: "not reached"}
    lines = [[row["where"], row["figure"], _published(row), _found(row), verdicts[reached(row)]] for row in rows]
    header = ["environment", "figure", "published", "found [95 %]", "verdict"]
    if all("study" in row for row in rows):
        header, lines = ["study", *header], [[row["study"], *line] for row, line in zip(rows, lines, strict=True)]
    return table(header, lines)


def _published(row: Mapping[str, Any]) -> str:
    if row["published"] is None:
        return ""
    figure = f"{row['published']:.{row['digits']}f}"
    return f"at least {figure}" if row.get("at_least") else f"{figure} ± {row['tolerance']:.{row['digits']}f}"


def _found(row: Mapping[str, Any]) -> str:
    if row["exact"]:
        return f"{row['values'][0]:.{row['digits']}f} (exact)"
    return mean_estimate(row["values"]).text(row["digits"])
