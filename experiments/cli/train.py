"""``interplay train``."""

from __future__ import annotations

from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate.finishing import finish
from interplay.experiments.loop.training import train


def command(settings: TrainSettings) -> None:
    """Train users and items against each other, then evaluate them on held-out worlds."""
    train(settings, finish)
