"""The core at work: both sides see the worlds, act at random and the worlds go on, in three ways to run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from interplay.envs.graphs import Graph, record
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

    def reset(self) -> None:
        """Begin the next episode, in worlds that have not been played."""


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
        market: whose step it is.
        num_worlds: side by side.
    """

    def __init__(self, work: Work, market: Market, num_worlds: int) -> None:
        self._work, self._market = work, market
        self._numbers = torch.arange(num_worlds, device=market.device)
        self._state = market.reset(self._numbers)

    def replay(self) -> Outputs:
        """One step."""
        self._state, outputs = self._work(self._state)
        return outputs

    def reset(self) -> None:
        """Begin the next episode."""
        self._numbers += len(self._numbers)
        self._state = self._market.reset(self._numbers)


class Captured:
    """By two graphs: one of a step, and one of a reset. Arguments as for ``Eager``."""

    def __init__(self, work: Work, market: Market, num_worlds: int) -> None:
        self._market, self._numbers = market, torch.arange(num_worlds, device=market.device)
        start = market.reset(self._numbers)
        work_of(market)(start)  # makes the tables that follow from others, which no compiler can
        self._graph = Graph(work, start)
        self._begin()  # once without a graph, as a step was, too
        self.reset = record(self._begin, market.device).replay

    def replay(self) -> Outputs:
        """One step."""
        outputs: Outputs = self._graph.replay()
        return outputs

    def _begin(self) -> None:
        self._numbers += len(self._numbers)
        self._graph.load(self._market.reset(self._numbers))


def loop_of(mode: str, market: Market, num_worlds: int) -> Loop:
    """Steps of a market with random actions, to be run in one of the three ways."""
    work = work_of(market)
    if mode == EAGER:
        return Eager(work, market, num_worlds)
    if mode == COMPILED:  # with all that a step gives, else the compiler would leave out what only that needs
        work = torch.compile(work, fullgraph=True, dynamic=False)
    return Captured(work, market, num_worlds)
