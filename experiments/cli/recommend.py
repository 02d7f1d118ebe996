"""``interplay recommend``."""

from __future__ import annotations

import sys

from interplay.experiments.recommend.recommending import RecommendSettings, recommend


def command(settings: RecommendSettings) -> None:
    """Lists of items for users of a log, from a folder that pretrain or train wrote."""
    text, notes = recommend(settings)
    print(notes, end="", file=sys.stderr)
    print(text, end="")
