"""Rankings of real logs: two towers beside baselines whose strengths are chosen on a part of the training part.

Run as ``python -m interplay.experiments.studies.ranking --data FOLDER --out FOLDER``. Logs that the report in the
folder has already are not trained again.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interplay.envs.data import read_log
from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.saving import RESULTS, read_sealed
from interplay.experiments.common.statistics import Estimate
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_lines import reported, typed
from interplay.experiments.studies.real_logs import read_words

Row = Mapping[str, Any]

_LIKED: dict[str, list[str]] = {
    "sec-13f": [], "congress-trades": [], "taobao": [], "coat": [], "oulad": [], "jester": ["--liked-above", "5"],
    "ml-100k": []}
"""The logs, short ones first, and which of their pairs count as liked; by default all."""

_ONE_USER_OF = {"jester": 10}
"""Logs of which one user of so many is read, by its number in the log, so that the study takes minutes."""

_FIGURE = "ndcg@10"


@dataclass(frozen=True)
class RankingSettings:
    """Train two towers and fit baselines on real logs, and compare their lists."""

    data: Path
    """Folder of the logs."""
    logs: tuple[str, ...] = tuple(_LIKED)
    """Which of them."""
    out: Path | None = None
    """Folder of the report, which may hold logs already."""


def study(settings: RankingSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    rows, made = known_rows(settings.out), made_by(typed(__name__))
    for name in settings.logs:
        if name not in {row["log"] for row in rows}:
            rows += _rows(name, settings.data)
            publish(settings.out, text, made, {"rows": rows})  # a study that is stopped keeps them
    return reported(settings.out, text, __name__, {"rows": rows})


def _rows(name: str, data: Path) -> list[Row]:
    """Figures of all models on one log."""
    with tempfile.TemporaryDirectory() as folder:
        words = _log_words(name, data, Path(folder))
        if main(["pretrain", *words, *_LIKED[name], "--log-dir", folder, "--name", "run"]) != 0:
            raise InterplayError(f"{name}: pretrain failed; see the line above")
        found = read_sealed(Path(folder) / "run" / RESULTS)
    strengths = found["strengths"]
    return [{"log": name, "liked": " ".join(_LIKED[name]) or "all pairs", "model": model, "epochs": found["epochs"],
             "seconds": found["seconds"], "strengths": strengths.get(model, {}), **figures[_FIGURE]}
            for model, figures in found["models"].items()]


def _log_words(name: str, data: Path, folder: Path) -> list[str]:
    """``--log PATH`` and flags; of a long log, the path of a table of some of its users."""
    words = read_words(name, data)
    if name not in _ONE_USER_OF:
        return words
    log, path = read_log(Path(words[1])), folder / "some.csv"
    kept = log.user % _ONE_USER_OF[name] == 0
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("user", "item", "reward"), *zip(
            log.user[kept].tolist(), log.item[kept].tolist(), log.reward[kept].tolist(), strict=True)])
    return ["--log", str(path)]


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows: Sequence[Row] = source["data"]["rows"]
    some = ", ".join(f"of {name} one user of {number}" for name, number in _ONE_USER_OF.items())
    names = list(dict.fromkeys(row["log"] for row in rows))
    level = [name for name in names if _level([row for row in rows if row["log"] == name])]
    lines = [made_line(source["made"]),
             f"NDCG@10 in the full catalogue, with 95 % intervals over users, on one random split of each log (20 % of "
             f"the pairs held out; {some}). Items that a user met in training are not listed. Strengths of baselines "
             "and epochs of two towers are chosen on a tenth of the training part. Two towers begin at the vectors "
             "of the ALS and are then trained with a softmax over the catalogue.",
             f"Two towers are level with the best baseline (intervals overlap) or above on {len(level)} of "
             f"{len(names)} logs: {', '.join(level)}. Where no epoch was trained, none was better than the ALS vectors "
             "by two standard errors on the validation part: the towers are then ALS whose users are sums over what "
             "they like.",
             table(["log", "liked", *_models(rows), "epochs", "seconds"], [_line(rows, name) for name in names]),
             "Strengths that were chosen:",
             table(["log", "model", "strengths"], [_strengths(row) for row in rows if row["strengths"]])]
    return "\n\n".join(lines) + "\n"


def _models(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["model"] for row in rows))


def _line(rows: Sequence[Row], name: str) -> list[str]:
    own = {row["model"]: row for row in rows if row["log"] == name}
    first = next(iter(own.values()))
    return [name, first["liked"], *(str(_estimate(own[model])) for model in _models(rows)), str(first["epochs"]),
            f"{first['seconds']:.0f}"]


def _strengths(row: Row) -> list[str]:
    return [row["log"], row["model"], ", ".join(f"{name} {value:g}" for name, value in row["strengths"].items())]


def _estimate(row: Row) -> Estimate:
    return Estimate(row["mean"], tuple(row["ci95"]), n=row["n"])


def _level(rows: Sequence[Row]) -> bool:
    """Whether the interval of the last model, the learned one, reaches that of the best baseline."""
    *baselines, learned = rows
    best = max(baselines, key=lambda row: float(row["mean"]))
    return bool(learned["ci95"][1] >= best["ci95"][0])


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.ranking:study"))
