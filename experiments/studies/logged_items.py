"""Items that learn in markets made of real logs: what they earn together, beside resting in the same worlds.

Each seed is a split of the log and a training at the default budget. Run as
``python -m interplay.experiments.studies.logged_items --data FOLDER --out FOLDER``. What the report in the folder has
already is not trained again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import INTERVALS, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import evaluate, stand_in
from interplay.experiments.studies.real_logs import LogStudySettings, study_logs, trained

LOGS = ("sec-13f", "congress-trades", "taobao", "oulad", "coat", "ml-100k", "jester")
"""The logs, short ones first."""

USERS = "--users random"
"""Flags of ``train``: users who do not learn, so that what items learn is seen alone, and soon."""


@dataclass(frozen=True)
class LoggedItemsSettings(LogStudySettings):
    """Train items on real logs and compare them with items that rest."""

    logs: tuple[str, ...] = LOGS
    """Which of them."""
    flags: tuple[str, ...] = (USERS, f"{USERS} --market boosts.cost=0.05")
    """Flags of ``train``, each with a row of its own."""


def study(settings: LoggedItemsSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    return study_logs(settings, product(settings.flags, settings.logs), __name__, _seed, text)


def _seed(name: str, data: Path, seed: int, flags: str) -> dict[str, float]:
    """Returns of all items together on the held-out part, and what boosts cost there."""
    run = trained(name, data, seed, flags)
    market, worlds = run.task.held_out, run.task.training.eval_worlds
    learnt = evaluate(market, run.players, worlds)
    resting = evaluate(market, run.players.replaced("items", stand_in(market, "items", "rest", seed)), worlds)
    return {"price": market.config.built_in.boosts.cost, "learnt": learnt.item_return.mean,
            "boost": learnt.mean_boost.mean, "resting": resting.item_return.mean}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    header = ["log", "price", "items that learn", "resting", "learnt less resting, by split", "mean boost", "verdict"]
    parts = ["# Items that learn on real logs", made_line(source["made"]), f"{_READING} {INTERVALS}"]
    for flags in dict.fromkeys(row["flags"] for row in rows):
        own = [row for row in rows if row["flags"] == flags]
        below = sum(_verdict(row) == "below" for row in own)
        parts += [f"## `{flags}`", table(header, [_cells(row) for row in own]),
                  f"Below resting: {below} of {len(own)} logs."]
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    returns = [str(mean_estimate(row[name])) for name in ("learnt", "resting")]
    gain = str(mean_estimate(np.subtract(row["learnt"], row["resting"])))
    return [row["log"], f"{np.mean(row['price']):.3g}", *returns, gain, f"{np.mean(row['boost']):.2f}", _verdict(row)]


def _verdict(row: Mapping[str, Any]) -> str:
    """Whether the interval of the difference lies below 0."""
    found = mean_estimate(np.subtract(row["learnt"], row["resting"])).ci95
    if found is None:
        return "too few splits"
    return "below" if found[1] < 0.0 else "above" if found[0] > 0.0 else "level"


_READING = """\
Returns are sums over all items in held-out worlds, which answer from the held-out part alone: responses less what
boosts cost. *Resting*: the same users in the same worlds, in which no item boosts. *Price*: of a unit of boost in a
step. Each seed is a random split and a training at the default budget. *Below*: the interval of the difference lies
below 0."""


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.logged_items:study"))
