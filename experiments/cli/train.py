"""``interplay train``."""

from __future__ import annotations

from interplay.experiments.cli.screen import Announce, say_report
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.loop.progress import Progress


def command(settings: TrainSettings) -> None:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    several = settings.of_seeds()
    callbacks = [[Announce(brief=number > 0), Progress()] for number in range(len(several))]
    for run, report in train_and_evaluate_all(several, callbacks):
        say_report(run, report)
