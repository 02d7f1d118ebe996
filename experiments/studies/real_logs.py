"""The real logs that studies read: where each lies in the folder of data, and how it is read and trained on."""

from __future__ import annotations

import shlex
from pathlib import Path

import tyro

from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import with_agents

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
