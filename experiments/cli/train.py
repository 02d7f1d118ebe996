"""``interplay train``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from interplay.agents.parts.ranks import Ranks, joined
from interplay.envs.types import InterplayError
from interplay.experiments.cli.screen import Announce, say_report
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import safe_path_in_processes
from interplay.experiments.evaluate.during import Glances
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.evaluate.spreading import num_processes, train_spread
from interplay.experiments.loop.progress import Progress
from interplay.experiments.loop.training import train_all


def command(settings: TrainSettings) -> int:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    several = settings.of_seeds()
    with joined() as ranks:
        if not ranks.first:
            return _silently(several, ranks)
        count = num_processes(settings) if ranks.size == 1 else 1
        if count > 1:
            return _spread(several, count)
        callbacks = [[Announce(brief=number > 0), Glances(), Progress()] for number in range(len(several))]
        for run, report in train_and_evaluate_all(several, callbacks, ranks):
            say_report(run, report)
    return 0


def _spread(several: Sequence[TrainSettings], count: int) -> int:
    """Train in several processes."""
    announced = iter(Announce(brief=number > 0) for number in range(len(several)))
    with safe_path_in_processes():
        found = train_spread(several, count, [Glances()], begin=lambda run: next(announced).begin(run), shown=True)
    for run, report in found:
        say_report(run, report)
    return 0


def _silently(several: Sequence[TrainSettings], ranks: Ranks) -> int:
    """Train in a process that only learns: the first one says what there is to say, also of what is wrong."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            train_all(several, [[]] * len(several), ranks)
        except (InterplayError, KeyboardInterrupt):
            return 2
    return 0
