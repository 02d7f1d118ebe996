"""``interplay train``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from interplay.agents.parts.ranks import Ranks, joined
from interplay.envs.types import InterplayError
from interplay.experiments.cli.screen import Announce, say_report
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.during import Glances
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.loop.progress import Progress
from interplay.experiments.loop.training import train_all


def command(settings: TrainSettings) -> int:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    several = settings.of_seeds()
    with joined() as ranks:
        if not ranks.first:
            return _silently(several, ranks)
        callbacks = [[Announce(brief=number > 0), Glances(), Progress()] for number in range(len(several))]
        for run, report in train_and_evaluate_all(several, callbacks, ranks):
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
