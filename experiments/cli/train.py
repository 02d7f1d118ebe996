"""``interplay train``."""

from __future__ import annotations

from interplay.experiments.cli.screen import Announce
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.evaluate.tables import report_table
from interplay.experiments.loop.progress import Progress


def command(settings: TrainSettings) -> None:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    several = settings.of_seeds()
    for run, report in train_and_evaluate_all(several, [[Announce(), Progress()]] * len(several)):
        print(report_table(run, report))
