"""``interplay pretrain``."""

from __future__ import annotations

from interplay.experiments.recommend.command import pretrain
from interplay.experiments.representation.settings import PretrainSettings


def command(settings: PretrainSettings) -> None:
    """Train two towers on a log, beside the baselines that they have to beat."""
    pretrain(settings)
