"""``interplay recommend``."""

from __future__ import annotations

from interplay.experiments.recommend.recommending import RecommendSettings, recommend


def command(settings: RecommendSettings) -> None:
    """Lists of items for users of a log, from a folder that pretrain or train wrote."""
    recommend(settings)
