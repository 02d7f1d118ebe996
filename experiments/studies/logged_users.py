"""Users who learn in markets made of real logs: DQN at the default budget beside popularity, on held-out pairs.

Each seed is a split of the log and a training; items rest. Run as
``python -m interplay.experiments.studies.logged_users --data FOLDER --out FOLDER``. What the report in the folder has
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

LOGS = ("taobao", "coat", "sec-13f", "congress-trades", "ml-100k", "oulad", "jester")
"""The logs, short ones first."""

FLAGS = "--cross-fit 5 --mechanism experience"
"""Of trainings for logs with few rows for each item, in whose markets users remember what items paid them."""

_OTHERS = ("popularity", "random", "greedy")


@dataclass(frozen=True)
class LoggedUsersSettings(LogStudySettings):
    """Train users on real logs and compare them with popularity."""

    logs: tuple[str, ...] = LOGS
    """Which of them."""
    flags: tuple[str, ...] = (FLAGS, "")
    """Flags of ``train``, each with a row of its own."""


def study(settings: LoggedUsersSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    return study_logs(settings, product(settings.flags, settings.logs), __name__, _returns, text)


def _returns(name: str, data: Path, seed: int, flags: str) -> dict[str, float]:
    """Users' returns on the held-out part, by agent."""
    run = trained(name, data, seed, f"--items rest {flags}")
    market, worlds = run.task.held_out, run.task.training.eval_worlds
    found = {"dqn": evaluate(market, run.players, worlds).user_return.mean}
    for other in _OTHERS:
        players = run.players.replaced("users", stand_in(market, "users", other, seed))
        found[other] = evaluate(market, players, worlds).user_return.mean
    return found


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows = source["data"]["rows"]
    header = ["log", "dqn", "popularity", "random", "greedy", "dqn less popularity, by split", "intervals",
              "of greedy and popularity"]
    parts = ["# Users who learn on real logs", made_line(source["made"]), f"{_READING} {INTERVALS}"]
    for flags in dict.fromkeys(row.get("flags", "") for row in rows):
        own = [row for row in rows if row.get("flags", "") == flags]
        apart = sum(_verdict(row) == "apart, dqn above" for row in own)
        parts += [f"## `{flags}`" if flags else "## No flags", table(header, [_cells(row) for row in own]),
                  f"Intervals apart, with dqn above: {apart} of {len(own)} logs."]
    above = {row["log"]: row.get("flags", "") for row in reversed(rows) if _verdict(row) == "apart, dqn above"}
    by_flags = [f"{', '.join(sorted(log for log in above if above[log] == flags))} with "
                f"{f'`{flags}`' if flags else 'no flags'}" for flags in sorted({*above.values()})]
    parts.append(f"Apart, with dqn above, in one of these trainings at least: {len(above)} of "
                 f"{len({row['log'] for row in rows})} logs: {'; '.join(by_flags)}.")
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    gain = np.subtract(row["dqn"], row["popularity"])
    return [row["log"], *(str(mean_estimate(row[name])) for name in ("dqn", "popularity")),
            *(f"{np.mean(row[name]):.1f}" for name in ("random", "greedy")), str(mean_estimate(gain)), _verdict(row),
            _verdict({**row, "dqn": row["greedy"]}).replace("dqn", "greedy")]


def _verdict(row: Mapping[str, Any]) -> str:
    """Whether the intervals of both returns are apart."""
    dqn, other = (mean_estimate(row[name]).ci95 for name in ("dqn", "popularity"))
    if dqn is None or other is None:
        return "too few splits"
    if dqn[0] > other[1]:
        return "apart, dqn above"
    return "apart, dqn below" if dqn[1] < other[0] else "overlap"


_READING = """\
Returns are sums over the users of a log in held-out worlds, which answer from the held-out part alone; each seed is a
random split and a training at the default budget. *Greedy* knows the answers. *By split*: the mean difference on the
same split, which leaves out what splits have in common. Where even the interval of *greedy* overlaps with that of
popularity, splits differ by more than any agent can gain."""


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.logged_users:study"))
