"""Lists of items for users, as a frame."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from interplay.experiments.loop.run import Run
from interplay.experiments.recommend.preferences import Preferences
from interplay.experiments.recommend.recommending import Catalogue, Recommendation


def frame_of(catalogue: Catalogue, users: Sequence[object], k: int) -> pl.DataFrame:
    """Lists of ``k`` for these users, or for all where there are none: the columns of ``Recommendation``."""
    rows = list(catalogue.lists([str(user) for user in users], k))
    return pl.DataFrame(rows, schema=Recommendation._fields, orient="row")


def catalogue_of_agent(run: Run) -> Catalogue:
    """With the scores of the agent that plays a run's users."""
    agent = Preferences(run)
    return Catalogue(agent.parts.whole, agent.liked, "agent", agent.scores, agent.known)
