"""What a picture shows: one world at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from interplay.envs.world import State, Step

Earned = Sequence[tuple[float, float]]
"""What all users and all items earned in each step so far."""


class Scene(NamedTuple):
    """One world at one moment.

    Attributes:
        state: of this world alone, ``[1, ...]``; the slates in it are those that users choose from next.
        step: what happened last, ``[1, ...]``; None at the start.
        earned: in each step so far, by this world.
        horizon: steps of an episode.
        title: of the market.
        players: a line on the agents; empty where they are not known.
        beside: what another world earned that is drawn beside this one.
        limits: lowest and highest sum of the strip of returns; None = as this world's own ask for.
    """

    state: State
    step: Step | None
    earned: Earned
    horizon: int
    title: str
    players: str = ""
    beside: Earned = ()
    limits: tuple[float, float] | None = None

    @classmethod
    def of_world(cls, world: int, state: State, step: Step | None, earned: Earned, horizon: int, title: str) -> Self:
        """The scene of one world of a batch."""
        happened = None if step is None else step.map(lambda table: table[world:world + 1])
        return cls(state.of_one(world), happened, earned, horizon, title)
