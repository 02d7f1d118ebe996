"""What an exact answer is, and what a file with one defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from interplay.envs.behaviour.synthetic import SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.sizes import MarketSizes
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


# Fields that say what agents see, and nothing of what they earn.
_SEEING = ("history_length", "user_sees", "user_state", "item_state", "response_mode")
_SILENT = -17.0  # an appeal at which float32 responds once in 20 million times


def only_mechanism(market: Market, kind: type[Rule], *, beside: type[Mechanism] | None = None, slates: str = "fixed",
                   appeal: float | None = -np.inf) -> Rule | None:
    """The mechanism of a market in which nothing else decides what is earned; None for any other market.

    All other numbers of the market must have the values at which they do nothing, so that a number that is added to
    ``MarketConfig`` later is looked at as well.

    Args:
        market: any.
        kind: the mechanism; a subclass is another one.
        beside: a kind of mechanism that may be there too.
        slates: ``slate_order`` that it needs.
        appeal: -inf = no user may respond, inf = all must; None = the mechanism decides what responses are worth.
    """
    found = [each for each in market.config.mechanisms if type(each) is not beside and not each.is_idle]
    known = len(found) == 1 and type(found[0]) is kind and _is_neutral(market.config, slates)
    return found[0] if known and (appeal is None or _responds(market) == appeal) else None  # type: ignore[return-value]


def acting(config: MarketConfig) -> set[type[Mechanism]]:
    """Kinds of the mechanisms on which something depends that is earned."""
    return {type(mechanism) for mechanism in config.mechanisms if not mechanism.is_idle}


def _is_neutral(config: MarketConfig, slates: str) -> bool:
    """Whether all numbers but sizes, mechanisms and what is seen are those that do nothing."""
    wanted = {"slate_order": slates}
    free = {*_SEEING, "mechanisms", *(f.name for f in fields(MarketSizes))}
    return all(getattr(config, f.name) == wanted.get(f.name, f.default) for f in fields(config) if f.name not in free)


def _responds(market: Market) -> float:
    """-inf where no user ever responds, inf where each does to anything it takes, and 0 between."""
    behaviour = market.behaviour
    if not (isinstance(behaviour, SyntheticBehaviour) and behaviour.same_population
            and behaviour.formula == "preference"):
        return 0.0
    people = market.reset([0]).population
    alike = not (people.item_vector.any() or people.popularity.any())
    sign = people.appeal.sign()
    return float(sign[0, 0]) * np.inf if alike and bool((people.appeal * sign[0, 0] >= -_SILENT).all()) else 0.0


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
