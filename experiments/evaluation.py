"""Evaluation: exploration off, worlds that no training has seen, baselines and oracles in the learners' place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.market import Market
from interplay.envs.types import SIDES, Side, State
from interplay.experiments.cast import Cast
from interplay.experiments.oracles import Oracle, solve
from interplay.experiments.play import Tally, advance, look
from interplay.experiments.statistics import Estimate, gini, mean_estimate

HELD_OUT_SEED = (1 << 62) + 12_345
"""Seed of all evaluation worlds. Training may use any other seed."""

BASELINES: dict[Side, tuple[str, ...]] = {"users": ("random", "popularity", "greedy"),
                                          "items": ("random", "rest", "greedy")}


@dataclass(frozen=True)
class Score:
    """What a pair of agents earned in the held-out worlds, each figure per world and episode.

    Attributes:
        users, items: names of the agents.
        user_return, item_return: summed over the agents of the side.
        welfare: sum of the two.
        click_through: responses for each item taken.
        exposure_gini: how unequally items were shown.
        items_alive, users_active: share at the end of the episode.
        mean_boost: boost factor, mean over items and the steps in which a boost could be served.
    """

    users: str
    items: str
    user_return: Estimate
    item_return: Estimate
    welfare: Estimate
    click_through: float
    exposure_gini: float
    items_alive: float
    users_active: float
    mean_boost: float

    def as_dict(self) -> dict[str, Any]:
        """Nested, ready for JSON."""
        return {name: value._asdict() if isinstance(value, Estimate) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Report:
    """An evaluation with what it is to be compared with.

    Attributes:
        score: of the agents themselves.
        baselines: with baselines in the place of one side.
        oracle: the exact answer, where there is one.
    """

    score: Score
    baselines: tuple[Score, ...]
    oracle: Oracle | None

    @property
    def reference(self) -> tuple[str, float]:
        """Name and user return of what counts as 1: the optimum where it is known, otherwise greedy users."""
        if self.oracle is not None:
            return self.oracle.name, self.oracle.user_return
        return "greedy", self._of("greedy")

    @property
    def normalised_score(self) -> float | None:
        """(R - random) / (reference - random) of user return; None where users' choices earn nothing more."""
        random = self._of("random")
        _, best = self.reference
        if abs(best - random) < 1e-6 or (self.oracle is not None and self.oracle.name != "optimum"):
            return None
        return (self.score.user_return.mean - random) / (best - random)

    def _of(self, users: str) -> float:
        """User return of the baseline users called so, against the run's items."""
        return next(s.user_return.mean for s in self.baselines if s.users == users and s.items == self.score.items)


def report(market: Market, cast: Cast, num_worlds: int, seed: int) -> Report:
    """Evaluate ``agents`` and the baselines of each side that learns (of the users' side always)."""
    baselines = []
    for side in SIDES:
        if side == "items" and not cast[side].learns:
            continue
        for name in BASELINES[side]:
            kind = find_agent(name)
            assert issubclass(kind, Agent)
            stand_in = kind(market.specs[side], Setting(seed, market.device))
            baselines.append(evaluate(market, cast.replaced(side, stand_in), num_worlds))
    return Report(evaluate(market, cast, num_worlds), tuple(baselines), solve(market))


@torch.no_grad()
def evaluate(market: Market, cast: Cast, num_worlds: int) -> Score:
    """Play one episode in each of the first ``num_worlds`` held-out worlds, exploration off."""
    now = look(market, cast, market.reset(range(num_worlds), HELD_OUT_SEED))
    tally = Tally.empty(now.state)
    for _ in range(market.config.horizon):
        after, step, _ = advance(market, cast, now, explore=False)
        tally = tally.add(market, now.state, step)
        now = after
    return _score(cast, tally, now.state)


def _score(cast: Cast, tally: Tally, end: State) -> Score:
    users, items = tally.user_return.double().sum(1).cpu(), tally.item_return.double().sum(1).cpu()
    boosted = max(1, int(tally.steps) - 1)
    return Score(
        **cast.names(),
        user_return=mean_estimate(users), item_return=mean_estimate(items), welfare=mean_estimate(users + items),
        click_through=float(tally.responses.sum() / tally.taken.sum().clamp(min=1.0)),
        exposure_gini=sum(gini(row) for row in tally.exposure.cpu().numpy()) / len(users),
        items_alive=float(end.alive.float().mean()), users_active=float(end.active.float().mean()),
        mean_boost=float(tally.boost.mean() / boosted))
