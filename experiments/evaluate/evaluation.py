"""Evaluation: exploration off, worlds that no training has seen, baselines and oracles in the learners' place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interplay.agents import Player, Setting, find_agent
from interplay.envs.market import Market
from interplay.envs.types import Side
from interplay.envs.world import State
from interplay.experiments.common.finite import check_market
from interplay.experiments.common.progress import advance as advance_bar
from interplay.experiments.common.progress import progress
from interplay.experiments.common.statistics import Estimate, check_finite, gini, mean_estimate
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.measuring import Measures
from interplay.experiments.exact.base import Oracle
from interplay.experiments.exact.oracles import greedy_is_optimal, solve
from interplay.experiments.loop.play import EpisodeStats, Played, advance, look
from interplay.experiments.loop.players import PLACKETT_LUCE, Players

HELD_OUT_SEED = (1 << 62) + 12_345
"""Seed of all evaluation worlds. Training may use any other seed."""

Watch = Callable[[Played], None]
"""Called with each step."""

BASELINES: dict[Side, tuple[str, ...]] = {"users": ("random", "popularity", "greedy"),
                                          "items": ("random", "rest", "greedy"),
                                          "platform": (PLACKETT_LUCE, "random", "popularity", "greedy")}


@dataclass(frozen=True)
class Score:
    """What agents did in the held-out worlds. Each figure is a mean over worlds, of one episode each.

    Attributes:
        users, items, platform: names of the agents.
        user_return, item_return: summed over the agents of the side.
        welfare: sum of the two.
        click_through: responses for each item taken.
        session_length: steps until a user first leaves, the horizon if it never does; mean over users.
        users_stay: share of users who never left.
        users_return: share of the users that left and came back; None where no user leaves.
        coverage: share of items that were shown at least once.
        exposure_gini: how unequally items were shown.
        items_alive: share of items that are alive at the end.
        mean_boost: boost factor, mean over items and the steps in which a boost could be served.
        rent_dissipation: boost costs for each unit of items' income before costs.
        of_worlds: user return in each world, for paired comparisons.
        measures: what mechanisms measure, by name: means over steps, and values at the end.
    """

    users: str
    items: str
    platform: str
    user_return: Estimate
    item_return: Estimate
    welfare: Estimate
    click_through: Estimate
    session_length: Estimate
    users_stay: Estimate
    users_return: Estimate | None
    coverage: Estimate
    exposure_gini: Estimate
    items_alive: Estimate
    mean_boost: Estimate
    rent_dissipation: Estimate
    of_worlds: tuple[float, ...] = field(repr=False)
    measures: Mapping[str, Estimate] = field(default_factory=dict)

    def names(self) -> dict[Side, str]:
        """Names of the agents by side."""
        return {"users": self.users, "items": self.items, "platform": self.platform}

    def as_dict(self) -> dict[str, Any]:
        """Nested, ready for JSON."""
        found = {name: value._asdict() if isinstance(value, Estimate) else value for name, value in vars(self).items()
                 if name != "of_worlds"}
        return found | {"measures": {name: value._asdict() for name, value in self.measures.items()}}

    def __str__(self) -> str:
        names = ", ".join(f"{side} {name}" for side, name in self.names().items())
        return f"{names}: user return {self.user_return}, item return {self.item_return}"

    def less(self, other: Score) -> Estimate:
        """This user return less that of ``other``, which played the same worlds: paired, world by world."""
        return mean_estimate(np.subtract(self.of_worlds, other.of_worlds))


@dataclass(frozen=True, repr=False)
class Report:
    """An evaluation with what it is to be compared with.

    Attributes:
        score: of the agents themselves.
        baselines: with baselines in the place of one side.
        oracle: the exact answer, where there is one.
        best_response_gap: what the agent that could gain most would gain by deviating, where it is known.
        greedy_is_optimal: whether no user can do better than greedy ones from the slates that they are shown.
        greedy_knows_rewards: whether greedy users know what users earn, and not their responses alone.
    """

    score: Score
    baselines: tuple[Score, ...]
    oracle: Oracle | None
    best_response_gap: float | None
    greedy_is_optimal: bool
    greedy_knows_rewards: bool = True

    @property
    def reference(self) -> tuple[str, float]:
        """Name and user return of what counts as 1.

        It is the optimum where that is known, otherwise that of greedy users, or of the market's own slates where
        platforms are compared: a myopic platform may do worse than one that picks by chance.
        """
        if self.oracle is not None:
            return self.oracle.name, self.oracle.user_return
        name = "greedy" if self.side == "users" else PLACKETT_LUCE
        return "optimum (greedy)" if self.greedy_is_optimal else name, self._of(name)

    @property
    def random(self) -> float:
        """User return of what counts as 0: random users or platforms, exactly where that is known."""
        exact = None if self.oracle is None else self.oracle.random
        return self._of("random") if exact is None else exact

    @property
    def user_return(self) -> Estimate:
        """Of the agents themselves, summed over the users."""
        return self.score.user_return

    @property
    def item_return(self) -> Estimate:
        """Of the agents themselves, summed over the items."""
        return self.score.item_return

    def levels(self) -> dict[str, float]:
        """User returns of others in the users' place, or the platform's, by name; exact where they are known."""
        name, best = self.reference
        greedy = self._of("greedy") if self.oracle is None or self.oracle.greedy is None else self.oracle.greedy
        return {name: best} | ({} if name == "greedy" else {"greedy": greedy}) | {"random": self.random}

    def __str__(self) -> str:
        (name, best), *others = self.levels().items()
        beside = ", ".join(f"{other} {value:.5g}" for other, value in others)
        interval = "" if self.user_return.ci95 is None else ", 95 % interval"
        return f"user return {self.user_return}{interval}; {name} {best:.5g} ({beside})"

    __repr__ = __str__

    @property
    def normalised_score(self) -> float | None:
        """(R - random) / (reference - random) of user return; None where users' choices earn nothing more.

        None also where a mechanism changes users' rewards and no optimum is known, since greedy users know responses
        alone.

        Both ends are the exact values where the oracle knows them, so that luck in their worlds does not enter.
        """
        return self.normalised(self.score.user_return.mean)

    def normalised(self, user_return: float) -> float | None:
        """The same of another user return."""
        random, (_, best) = self.random, self.reference
        equilibrium = self.oracle is not None and self.oracle.name != "optimum"
        knows_rewards = self.greedy_knows_rewards or self.oracle is not None
        if equilibrium or not knows_rewards or abs(best - random) < 1e-6:
            return None
        return (user_return - random) / (best - random)

    def _of(self, name: str) -> float:
        """User return of the baseline called so in the place of the users, or of the platform if there is one."""
        return next(b.user_return.mean for b in self.baselines if b.names() == self.score.names() | {self.side: name})

    @property
    def side(self) -> Side:
        """The side whose baselines show what users could get."""
        return "users" if self.score.platform == PLACKETT_LUCE else "platform"


def report(market: Market, players: Players, num_worlds: int, seed: int, watch: Watch | None = None) -> Report:
    """Evaluate ``players`` and the baselines of each side that learns, of the platform if there is one, else of users.

    ``watch`` sees each step of ``players`` itself, and none of a baseline. Copies play, so that what is evaluated later
    does not depend on how many draws were taken here.
    """
    players = players.copied()
    others = [(side, name) for side in _compared(players) for name in BASELINES[side]]
    with progress("evaluation beside baselines", (len(others) + 1) * market.config.horizon):
        baselines = [evaluate(market, players.replaced(side, stand_in(market, side, name, seed)), num_worlds)
                     for side, name in others]
        own = evaluate(market, players, num_worlds, watch)
    # What is exact is so for slates that the market draws.
    exact = (None, None) if players.has_platform else (solve(market), best_response_gap(market, players))
    unnoticed = not players.has_platform and players.names()["items"] == "rest"
    return Report(own, tuple(baselines), *exact,
                  unnoticed and greedy_is_optimal(market), market.constants.mechanisms.expect_user_rewards)


def _compared(players: Players) -> list[Side]:
    sides: list[Side] = ["users"] if players["users"].learns or not players.has_platform else []
    return sides + (["items"] if players["items"].learns else []) + (["platform"] if players.has_platform else [])


def stand_in(market: Market, side: Side, name: str, seed: int) -> Player | None:
    """A baseline; None for the market's own slates."""
    if name == PLACKETT_LUCE:
        return None
    return find_agent(name).of({side: market.spec_of(side)}, Setting(seed, market.device))


@torch.no_grad()
def evaluate(market: Market, players: Players, num_worlds: int, watch: Watch | None = None,
             explore: bool = False) -> Score:
    """Play one episode in each of the first ``num_worlds`` held-out worlds; ``watch`` sees it.

    Scores are of agents that do not explore; logs for off-policy evaluation are better of those that do.
    """
    now = look(market, players, market.reset(range(num_worlds), HELD_OUT_SEED), explore)
    _check_population(now.state)
    check_market(market, now.state)
    stats = EpisodeStats.empty(now.state)
    measures = Measures(market)
    for _ in range(market.config.horizon):
        after, step, action = advance(market, players, now, explore)
        stats = stats.add(market, now.state, step)
        if watch is not None:
            watch(Played(now, action, step, after, players, explore))
        now = after
        advance_bar()
        measures.add(now.state)
    check_market(market, now.state)
    return replace(_score(players, stats, now.state), measures=measures.estimates())


def _check_population(state: State) -> None:
    """Check the numbers that worlds are made of.

    Raises:
        InterplayError: one is not finite.
    """
    for name, value in vars(state.population).items():
        if isinstance(value, Tensor) and value.is_floating_point():
            check_finite(value.cpu().numpy(), f"{name} in the population of the held-out worlds",
                         "correct the market's behaviour")


def _score(players: Players, stats: EpisodeStats, end: State) -> Score:
    """The episode's sums as means over worlds."""
    users, items = (x.double().sum(1) for x in (stats.user_return, stats.item_return))
    check_finite(torch.stack([users, items]).cpu().numpy(), "returns in the held-out worlds",
                 "correct the market's numbers or behaviour")
    names = players.names()
    left, cost = stats.left | ~end.active, stats.cost.double().sum(1)
    returned = stats.returned | (stats.left & end.active)
    leavers = left.sum(1)
    some = leavers > 0
    return Score(
        users=names["users"], items=names["items"], platform=names["platform"],
        user_return=_mean(users), item_return=_mean(items), welfare=_mean(users + items),
        click_through=_mean(stats.responses / stats.taken.clamp(min=1.0)),
        session_length=_mean(stats.session.mean(1)),
        users_stay=_mean(1.0 - left.double().mean(1)),
        users_return=_mean((returned.sum(1) / leavers)[some]) if bool(some.any()) else None,
        coverage=_mean((stats.exposure > 0.0).double().mean(1)),
        exposure_gini=mean_estimate([gini(row) for row in stats.exposure.cpu().numpy()]),
        items_alive=_mean(end.alive.double().mean(1)),
        mean_boost=_mean(stats.boost.mean(1) / max(1, int(stats.steps) - 1)),
        rent_dissipation=_mean(cost / (items + cost).clamp(min=1e-9)),
        of_worlds=tuple(users.tolist()))


def _mean(values: Tensor) -> Estimate:
    """Over worlds, ``[B]``."""
    return mean_estimate(values.double().cpu())
