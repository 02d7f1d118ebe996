"""The small runs that faults are tried on."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import NamedTuple

CONFIG, RESULTS = "config.json", "results.json"


class Subject(NamedTuple):
    """A run.

    Attributes:
        name: in the report.
        command: train or pretrain.
        arguments: the others.
        kept: files that are compared.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    kept: tuple[str, ...]

    def fresh(self, folder: Path) -> list[str]:
        """The command line of a new run in ``folder``."""
        return [self.command, *self.arguments, "--log-dir", str(folder.parent), "--name", folder.name]

    def resumed(self, folder: Path) -> list[str]:
        """The command line that continues the run in ``folder``; a new one where none was begun."""
        begun = (folder / CONFIG).is_file()
        return [self.command, "--resume", str(folder)] if begun else self.fresh(folder)


def write_log(path: Path) -> None:
    """A log of 40 users and 24 items. Users respond better to every second item, by the parity of their numbers."""
    draws = Random(1)
    lines = ["user,item,reward"]
    for user in range(40):
        for item in draws.sample(range(24), 10):
            liked = (user % 2 == item % 2) == (draws.random() < 0.8)
            lines.append(f"{user},{item},{5 if liked else draws.randint(1, 3)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def trained() -> list[Subject]:
    """Runs of train, of several agents on several markets."""
    # Never evaluated during training, so that a resumed run has as many steps of evaluation as a whole one.
    small = ("--num-worlds", "4", "--eval-worlds", "4", "--seed", "3", "--eval-every", "1000")
    kept = ("checkpoint.pt", "results.json", "curve.csv")
    return [
        Subject("train kale dqn", "train", ("--preset", "kale", "--users", "dqn", "--user-option", "warm_up=40",
                                            "--user-option", "batch_size=16", "--episodes", "3", *small), kept),
        Subject("train contest q-learning", "train", ("--preset", "contest", "--items", "q-learning", "--users",
                                                      "first", "--episodes", "4", *small), kept),
        Subject("train town pqn", "train", ("--preset", "town", "--users", "pqn", "--items", "linucb", "--episodes",
                                            "2", *small), kept)]


def pretrained(log: Path) -> list[Subject]:
    """Runs of pretrain on a log."""
    small = ("--log", str(log), "--size", "8", "--batch-size", "16", "--epochs", "6", "--patience", "2", "--seed", "3")
    kept = ("model.pt", "results.json")
    return [Subject("pretrain ranking", "pretrain", (*small, "--dropout", "0.3"), kept),
            Subject("pretrain gru", "pretrain", (*small, "--encoder", "gru", "--history-length", "6"), kept),
            Subject("pretrain responses", "pretrain", (*small, "--task", "responses", "--dropout", "0.4"), kept)]
