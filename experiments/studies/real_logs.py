"""The real logs that studies read: where each lies in the folder of data, and how it is read and trained on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from interplay.experiments.common.reports import known_rows, made_by, publish
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import with_agents
from interplay.experiments.studies.command_lines import typed

LOGS: dict[str, tuple[str, str]] = {
    "ml-100k": ("ml-100k", ""),
    "coat": ("coat", ""),
    "jester": ("jester", ""),
    "congress-trades": ("congress-trades/trades.csv", "--user-column Representative --item-column Ticker "
                        "--reward-column Amount --time-column TransactionDate --duplicates sum --scale-rewards log"),
    "sec-13f": ("sec-13f/holdings.csv", "--user-column cik --item-column cusip --reward-column value_k --time-column "
                "period_end --duplicates last --scale-rewards log"),
    "oulad": ("oulad/studentAssessment.csv", "--user-column id_student --item-column id_assessment --reward-column "
              "score --time-column date_submitted --time-format days"),
    "taobao": ("taobao/UserBehavior.csv", "--no-header --columns user item category behaviour time --reward-column "
               "behaviour --reward-map pv=1 cart=2 fav=3 buy=4 --time-column time"),
    "goodbooks-sample": ("goodbooks-sample/ratings.csv", "--user-column user_id --item-column book_id --reward-column "
                         "rating"),
    "heartsteps": ("heartsteps/choices.csv", "--item-column action --reward-column logsteps --propensity-column p"),
    "obd": ("obd/random/men", ""),
}
"""Path and flags of each log."""


@dataclass(frozen=True)
class LogStudySettings:
    """What studies share that train on real logs."""

    data: Path
    """Folder of the logs."""
    num_seeds: int = 5
    """Splits, each with a training of its own."""
    out: Path | None = None
    """Folder of the report, which may hold logs already."""


def study_logs(settings: LogStudySettings, which: Iterable[tuple[str, str]], module: str,
               play: Callable[[str, Path, int, str], dict[str, float]],
               text: Callable[[Path, Mapping[str, Any]], str]) -> str:
    """Play what the report in the folder does not have yet, write the report, and give its text.

    Args:
        settings: where logs and the report are, and how many splits there are.
        which: flags and log of each row.
        module: of the study.
        play: figures of one training, of a log, the folder of data, a seed and flags.
        text: the report, from its folder and source.
    """
    torch.set_num_threads(1)
    rows, made = known_rows(settings.out), made_by(typed(module))
    for flags, name in which:
        if (name, flags) not in {(row["log"], row.get("flags", "")) for row in rows}:
            seeds = [play(name, settings.data, seed, flags) for seed in range(settings.num_seeds)]
            rows.append({"log": name, "flags": flags} | {key: [each[key] for each in seeds] for key in seeds[0]})
            publish(settings.out, text, made, {"rows": rows})  # a study that is stopped keeps them
    report = publish(settings.out, text, made, {"rows": rows})
    print(report)
    return report


def read_words(name: str, folder: Path) -> list[str]:
    """``--log PATH`` and the flags of a log, for a command line."""
    path, flags = LOGS[name]
    return ["--log", str(folder / path), *shlex.split(flags)]


def trained(name: str, folder: Path, seed: int, flags: str) -> Run:
    """A whole training on a log, with these flags of ``train``."""
    words = [*read_words(name, folder), "--seed", str(seed), "--device", "cpu", *shlex.split(flags)]
    run = Run.start(with_agents(tyro.cli(TrainSettings, args=words)), Path())
    while not run.finished:
        run.step()
        if run.episode_ended:
            run.next_episode()
    return run
