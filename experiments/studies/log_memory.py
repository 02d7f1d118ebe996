"""Memory of trainings on logs with a few very long histories, the longest of which no table may be as wide as.

Each log is made up, of a size and with a longest history as given: the shape of MovieLens 25M, and a small log with one
heavy user. Each training runs in a process of its own. Run as
``python -m interplay.experiments.studies.log_memory --out FOLDER``. Rows that the report has already are kept.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_costs import measured
from interplay.experiments.studies.command_lines import typed


@dataclass(frozen=True)
class Shape:
    """How many rows, users and items a log has, and how long its longest and shortest histories are."""

    rows: int
    users: int
    items: int
    longest: int
    shortest: int = 1


SHAPES = {"heavy-user": Shape(60_000, 3_000, 20_000, 13_600),
          "movielens-25m": Shape(25_000_095, 162_541, 59_047, 32_202, 20)}

TRAININGS = ("--users popularity --items rest --platform dqn", "--users dqn --items q-learning")
"""Flags of ``train``."""

_SHORT = {"heavy-user": "--episodes 1 --eval-worlds 1",
          "movielens-25m": "--episodes 1 --eval-worlds 1 --market horizon=2"}  # one step fills dqn's memory here
_SPREAD = 1.3  # of the logarithm of the lengths of histories, about that of MovieLens


@dataclass(frozen=True)
class LogMemorySettings:
    """Train on large logs and measure memory."""

    shapes: tuple[str, ...] = tuple(SHAPES)
    """Which logs."""
    trainings: tuple[str, ...] = TRAININGS
    """Flags of ``train``, each with a row of its own."""
    out: Path | None = None
    """Folder of the report, which may hold rows already."""


def lengths(shape: Shape) -> NDArray[np.int64]:
    """Rows of each user, int64 ``[U]``: log-normal and never below the shortest; the first user has the longest."""
    normal = np.exp(_SPREAD * ndtri((np.arange(shape.users - 1) + 0.5) / (shape.users - 1)))
    spare = shape.rows - shape.longest - shape.shortest * (shape.users - 1)
    extra = np.minimum(normal / normal.sum() * spare, shape.longest - shape.shortest).astype(np.int64)
    extra[:spare - int(extra.sum())] += 1  # what rounding left
    found: NDArray[np.int64] = np.r_[shape.longest, shape.shortest + extra]
    return found


def made_up(shape: Shape) -> pl.DataFrame:
    """A log of this shape, in which no user has an item twice."""
    rng = np.random.default_rng(0)
    length = lengths(shape)
    user = np.repeat(np.arange(shape.users), length)
    place = np.arange(len(user)) - np.repeat(np.cumsum(length) - length, length)
    steps = np.flatnonzero(np.gcd(np.arange(shape.items), shape.items) == 1)  # each leads to every item once
    first, step = rng.integers(shape.items, size=shape.users), rng.choice(steps, size=shape.users)
    return pl.DataFrame({"user": user, "item": (first[user] + step[user] * place) % shape.items,
                         "reward": rng.integers(1, 11, size=len(user)) / 2})


def _write(shape: Shape, file: Path) -> None:
    made_up(shape).write_parquet(file)


def study(settings: LogMemorySettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    rows, made = known_rows(settings.out), made_by(typed(__name__))
    for name in settings.shapes:
        wanted = [flags for flags in settings.trainings
                  if (name, flags) not in {(row["log"], row["flags"]) for row in rows}]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.parquet"
            if wanted:  # in another process: threads of polars do not survive the fork that is measured
                writing = get_context("spawn").Process(target=_write, args=(SHAPES[name], file))
                writing.start()
                writing.join()
            for flags in wanted:
                rows.append(_row(name, flags, file))
                publish(settings.out, text, made, {"rows": rows})  # a study that is stopped keeps them
    report = publish(settings.out, text, made, {"rows": rows})
    print(report)
    return report


def _row(name: str, flags: str, file: Path) -> dict[str, Any]:
    words = ["train", "--log", str(file), "--log-dir", str(file.parent), "--device", "cpu"]
    found = measured([*words, *shlex.split(flags), *shlex.split(_SHORT[name])])
    return {"log": name, "flags": flags, "error": found.error, "seconds": found.seconds, "megabytes": found.megabytes}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    short = ", ".join(f"{name} with `{flags}`" for name, flags in _SHORT.items())
    parts = ["# Memory of trainings on large logs", made_line(source["made"]),
             f"Made-up logs, each training short: {short}. Memory is the process's highest, libraries included, which "
             "are about 0.4 GB; seconds are CPU time, reading included.",
             table(["log", "rows", "users", "items", "longest history", "flags", "GB", "seconds"],
                   [_cells(row) for row in source["data"]["rows"]])]
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    shape = SHAPES[row["log"]]
    counts = [f"{count:,}" for count in (shape.rows, shape.users, shape.items, shape.longest)]
    return [row["log"], *counts, f"`{row['flags']}`", row["error"] or f"{row['megabytes'] * 2**20 / 1e9:.2f}",
            f"{row['seconds']:.0f}"]


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.log_memory:study"))
