"""Lists of items for users, as a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from interplay.envs.checking import shown
from interplay.envs.types import InterplayError
from interplay.experiments.loop.run import Run
from interplay.experiments.recommend.preferences import Preferences
from interplay.experiments.recommend.recommending import Catalogue, Recommendation


def frame_of(catalogue: Catalogue, users: Sequence[object], k: int) -> pl.DataFrame:
    """Lists of ``k`` for these users, or for all where there are none: the columns of ``Recommendation``."""
    rows = list(catalogue.lists([str(user) for user in users], k))
    return pl.DataFrame(rows, schema=Recommendation._fields, orient="row")


def check_users(users: object) -> None:
    """Check that they are ids in a list.

    Raises:
        InterplayError: they are not.
    """
    if isinstance(users, str) or not isinstance(users, Sequence) or not all(map(_is_id, users)):
        raise InterplayError(f"users={shown(users)} must be a list of ids, as in users=['ann', 'bob']")


def _is_id(user: object) -> bool:
    return isinstance(user, str | int | np.integer) or (isinstance(user, float) and math.isfinite(user))


def catalogue_of_agent(run: Run) -> Catalogue:
    """With the scores of the agent that plays a run's users."""
    agent = Preferences(run)
    return Catalogue(agent.parts.whole, agent.liked, "agent", agent.scores, agent.known)
