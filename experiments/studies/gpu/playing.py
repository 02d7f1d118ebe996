"""The core at work: both sides see the worlds, act at random and the worlds go on, in three ways to run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from interplay.envs.graphs import Graph
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of
from interplay.envs.types import SIDES, Observation
from interplay.envs.world import State, Step

EAGER, CAPTURED, COMPILED = "eager", "captured", "compiled"


class Outputs(NamedTuple):
    """What a step gives beside the next state: all of it is computed in every way of running."""

    users: Observation
    items: Observation
    step: Step


Work = Callable[[State], tuple[State, Outputs]]


class Loop(Protocol):
    """Something that plays step by step."""

    def replay(self) -> Any:
        """One step."""

    def load(self, start: State) -> None:
        """Go on from this state."""


def random_actions(state: State, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Any allowed action of each user and item, drawn with the worlds' own noise: no counter on the host moves.

    Args:
        state: the worlds.
        users: bool ``[B, U, A]``, the users' mask.
        items: bool ``[B, I, A]``, the items' mask.
    """
    return (any_of(state.key, state.time, Stream.ACTION, users),
            any_of(state.key, state.time, Stream.ACTION, items, offset=users[0].numel()))


def work_of(market: Market) -> Work:
    """One step of a market with random actions."""
    def work(state: State) -> tuple[State, Outputs]:
        users, items = (market.observe(state, side) for side in SIDES)
        after, step = market.step(state, *random_actions(state, users.mask, items.mask))
        return after, Outputs(users, items, step)

    return work


class Eager:
    """Operator by operator.

    Args:
        work: a step.
        state: the worlds at the start.
    """

    def __init__(self, work: Work, state: State) -> None:
        self._work, self._state = work, state

    def replay(self) -> Outputs:
        """One step."""
        self._state, outputs = self._work(self._state)
        return outputs

    def load(self, start: State) -> None:
        """Go on from this state."""
        self._state = start


def loop_of(mode: str, market: Market, state: State) -> Loop:
    """The step of ``market`` from ``state``, to be run in one of the three ways."""
    if mode == EAGER:
        return Eager(work_of(market), state)
    work = work_of(market)
    if mode == CAPTURED:
        return Graph(work, state)
    work(state)  # makes the tables that follow from others, which no compiler can
    # All outputs are returned: else the compiler would leave out what only they need.
    return Graph(torch.compile(work, fullgraph=True, dynamic=False), state)
