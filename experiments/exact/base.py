"""What an exact answer is, and what a file with one defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from interplay.envs.market import Market
from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.types import Side
from interplay.envs.world import State

Array = NDArray[np.float64]
Actions = NDArray[np.int64]
Tabulate = Callable[[State, Side], Actions]
"""Actions ``[states, N]`` that the agents of a side take, without exploration, in each world of a batch."""


@dataclass(frozen=True)
class Oracle:
    """What is known exactly about a game.

    Attributes:
        name: ``optimum``, ``equilibrium`` or another word for it.
        user_return: total return of a world's users, per episode.
        greedy: the same of users who take the best response now.
        random: the same of users who take any allowed action; None where it was not computed.
        item_return: total return of a world's items, per episode; None where no agent plays them.
        mean_boost: mean boost factor of the equilibrium; None but in a contest.
        measures: exact values of what mechanisms measure, by name.
        others: what else is known, such as an equilibrium beside an optimum; reports have a line for each.
    """

    name: str
    user_return: float
    greedy: float | None = None
    random: float | None = None
    item_return: float | None = None
    mean_boost: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    others: tuple[Oracle, ...] = ()


Rule = TypeVar("Rule", bound=Mechanism)


def only_mechanism(market: Market, kind: type[Rule], beside: type[Mechanism] | None = None) -> Rule | None:
    """The mechanism of a market that has one alone, but for one of the kind ``beside``; None if it is no ``kind``."""
    found = [mechanism for mechanism in market.config.mechanisms if type(mechanism) is not beside]
    return found[0] if len(found) == 1 and type(found[0]) is kind else None


class ExactGame(ABC):
    """A kind of market that has an exact answer. Files of this package define subclasses, which are found by ``name``.

    Must be overridden: ``of`` and ``oracle``. May be overridden: ``gap``.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def of(cls, market: Market) -> Self | None:
        """The game that ``market`` is; None where it is no game of this kind."""

    @abstractmethod
    def oracle(self) -> Oracle | None:
        """What is known exactly."""

    def gap(self, market: Market, actions: Tabulate) -> float | None:
        """The largest gain in own return, per episode, that any single agent has from its best response.

        Args:
            market: the one that the game was made of.
            actions: tabulates the policies.

        Returns:
            None where it is not known.
        """
        return None


def gains(reward: Array, following: Actions, action: Actions, horizon: int) -> Array:
    """What the best response earns more than a policy until the horizon, ``[states]`` by where it starts.

    Args:
        reward: ``[A, states]``; -inf where an action is not allowed.
        following: ``[A, states]``, the next state.
        action: ``[states]``, the policy.
        horizon: steps.
    """
    best, own, place = np.zeros(len(action)), np.zeros(len(action)), np.arange(len(action))
    for _ in range(horizon):
        best = (reward + best[following]).max(0)
        own = (reward + own[following])[action, place]
    more: Array = best - own
    return more
