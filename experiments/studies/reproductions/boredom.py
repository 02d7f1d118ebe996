"""SARDINE's environments with boredom and influence (Deffayet et al., TORS 2024): random and greedy recommendations.

Run as ``python -m interplay.experiments.studies.reproductions.boredom --out
experiments/results/reproductions/boredom``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.boredom_sessions import (
    Boredom,
    Policy,
    any_items,
    careful,
    catalogue,
    greedy,
    returns,
)
from interplay.experiments.studies.reproductions.findings import READING, Row, beside, finding, findings_table
from interplay.experiments.studies.reproductions.settings import ReproductionSettings

ENVIRONMENTS = {"SingleItem-BoredInf": 1, "SlateTopK-BoredInf": 10}
"""Sizes of slates."""
PUBLISHED = {("SingleItem-BoredInf", "random"): 9.3, ("SingleItem-BoredInf", "greedy"): 50.7,
             ("SlateTopK-BoredInf", "random"): 42.4, ("SlateTopK-BoredInf", "greedy"): 147.2}
_POLICIES: Mapping[str, Policy] = {"random": any_items, "greedy": greedy, "greedy, but never boring": careful}
_INFLUENCE = {True: "", False: ", influence by the mean vector"}


@dataclass(frozen=True)
class BoredomSettings(ReproductionSettings):
    """Show random and greedy slates to SARDINE's users, which get bored."""

    catalogues: int = 20
    """Catalogues that are drawn; SARDINE has one."""
    users: int = 125
    """Users of each; published figures are means over as many."""
    seed: int = 0
    """Of all chance."""


def study(settings: BoredomSettings) -> str:
    """Play, and write ``report.md``, ``report.json`` and ``clicks.png``; gives the report's text."""
    rows = list(_rows(settings))
    data = {"rows": rows, "catalogues": settings.catalogues, "users": settings.users}
    report = publish(settings.out, text, made_by(typed(__name__)), data)
    return settings.ended(report, "clicks.png", lambda: draw(rows))


def _rows(settings: BoredomSettings) -> Iterator[Row]:
    for name, slate_size in ENVIRONMENTS.items():
        for averages, note in _INFLUENCE.items():
            rules = Boredom(slate_size=slate_size, averages_numbers=averages)
            for policy, show in _POLICIES.items():
                found = [_mean(rules, show, settings, number) for number in range(settings.catalogues)]
                published = PUBLISHED.get((name, policy))
                yield finding(name, policy + note, found, published, beside(found) if published else 0.0)


def _mean(rules: Boredom, show: Policy, settings: BoredomSettings, number: int) -> float:
    """Mean return in one catalogue, which is the same for all policies."""
    items = catalogue(rules, np.random.default_rng([settings.seed, number]))
    rng = np.random.default_rng([settings.seed, number, 1])
    return round(float(returns(rules, show, items, settings.users, rng).mean()), 3)


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    return "\n\n".join([
        made_line(source["made"]),
        f"Clicks in 100 steps, mean over {data['users']} users in each of {data['catalogues']} catalogues of 1,000 "
        "items that are drawn as SARDINE draws its one. Clicks influence interests by the mean of all "
        "numbers of clicked items, as in SARDINE's code, or by their mean vector, which its comment asks for, where "
        "that is said. The tolerance is what 95 of 100 catalogues differ from the mean: a "
        f"figure is reached if SARDINE's catalogue can be one of these. {READING}",
        findings_table(data["rows"]), "![clicks by policy](clicks.png)"]) + "\n"


def draw(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Every catalogue as a point, and what was published as a line."""
    figure = Picture(figsize=(9.0, 3.6), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(ENVIRONMENTS)), ENVIRONMENTS, strict=True):
        shown = [row for row in rows if row["where"] == name]
        for place, row in enumerate(shown):
            axis.plot(row["values"], [place] * len(row["values"]), "o", color="#0072b2", markersize=3, alpha=0.5)
            if row["published"] is not None:
                axis.plot([row["published"]] * 2, [place - 0.35, place + 0.35], color="#d55e00", linewidth=2)
        axis.set_yticks(range(len(shown)), [row["figure"].replace(", influence", ",\ninfluence") for row in shown])
        axis.invert_yaxis()
        axis.set_title(name)
        axis.set_xlabel("clicks (orange: published)")
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.boredom:study"))
