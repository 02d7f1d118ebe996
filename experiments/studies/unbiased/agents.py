"""What it costs agents to learn from a log that users selected: a synthetic world with known truth and selection.

Every user has an opinion of every item. Users rate each hit that they meet; of niche items they rate what they like
and keep silent about the rest. So the mean of its ratings flatters a niche item, and popularity does not show by how
much. Agents train in the market of such a log and are judged in the market of all opinions, where nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from interplay.agents import Setting, find_agent
from interplay.envs.behaviour.logged import LoggedBehaviour, Missing, TargetsOf, logged_market_config
from interplay.envs.data import InteractionLog, make_log
from interplay.envs.market import Market
from interplay.envs.types import InterplayError
from interplay.experiments.common.options import make_options, parse_pairs, split_agent
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import BASELINES, evaluate
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players, check_plays


class Way(NamedTuple):
    """How a log becomes a market and targets: see ``LoggedBehaviour``."""

    missing: Missing
    targets: TargetsOf


WAYS: Mapping[str, Way] = {
    "naive": Way("zero", "replay"), "IPS": Way("zero", "ips"), "doubly robust": Way("zero", "doubly-robust")}


@dataclass(frozen=True)
class World:
    """Sizes of a made world, and how it selects.

    Attributes:
        num_users, num_items: how many.
        hit: chance that an opinion of a hit is logged, also if it is negative.
        niche: the same of a niche item that is liked, and of one that is not.
        hits: share of the items that are hits.
    """

    num_users: int = 200
    num_items: int = 40
    hit: float = 0.3
    niche: tuple[float, float] = (0.6, 0.1)
    hits: float = 0.5

    def draw(self, seed: int) -> tuple[InteractionLog, InteractionLog]:
        """The log, with its true propensities, and the truth: every pair's chance of being liked, [0, 1].

        Items differ in quality and in the users they suit; hits are no better than niche items.
        """
        rng = np.random.default_rng(seed)
        shape = (self.num_users, self.num_items)
        taste = rng.standard_normal((self.num_users, 3)) @ rng.standard_normal((3, self.num_items)) / 3**0.5
        chance = 1.0 / (1.0 + np.exp(-(1.2 * taste + 0.7 * rng.standard_normal(self.num_items) - 0.5)))
        liked = rng.random(shape) < chance
        is_hit = rng.permutation(self.num_items) < round(self.hits * self.num_items)
        propensity = np.where(is_hit, self.hit, np.where(liked, *self.niche))
        truth = replace(_log(chance), propensity=None)
        opinions = replace(_log(liked.astype(np.float64)), propensity=propensity.ravel())
        return opinions.take((rng.random(shape) < propensity).ravel(), "not logged"), truth


def _log(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> InteractionLog:
    """Every cell of ``[U, I]`` as a row, on a scale of 0 to 1."""
    user, item = (axis.ravel() for axis in np.indices(values.shape))
    frame = pl.DataFrame({"user": user, "item": item, "reward": values.ravel()})
    return replace(make_log(frame), reward_range=(0.0, 1.0))


def compare_agents(agents: Sequence[str], world: World, seeds: range, episodes: int) -> dict[str, Any]:
    """The rows of the report: user returns of every agent, by every way of learning, in the worlds of ``seeds``.

    Raises:
        InterplayError: an unknown agent or option, or no seed or episode.
    """
    if not seeds or episodes < 1:
        raise InterplayError(f"seeds={len(seeds)} and episodes={episodes} must be at least 1")
    found: dict[str, list[dict[str, float]]] = {agent: [] for agent in agents}
    for agent, rows in found.items():
        for seed in seeds:
            rows.append(returns(agent, world, seed, episodes))
            print(f"{agent}, seed {seed}: " + ", ".join(f"{k} {v:.1f}" for k, v in rows[-1].items()), flush=True)
    return {"world": asdict(world), "episodes": episodes, "seeds": list(seeds), "returns": found}


def agents_report(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from what ``compare_agents`` gave."""
    data = source["data"]
    world, seeds = World(**data["world"]), data["seeds"]
    high, low = world.niche
    intro = (f"{world.num_users} users, {world.num_items} items, {world.hits:.0%} of them hits. An opinion of a hit is "
             f"logged with probability {world.hit:g}; one of a niche item with {high:g} if the user likes it and "
             f"{low:g} if not. {data['episodes']} episodes of training in each of {len(seeds)} worlds (seeds "
             f"{seeds[0]} to {seeds[-1]}). User return in the market of all opinions, exploration off. Choices do not "
             "change later rewards here, so greedy users that know the truth are the optimum. Intervals are over "
             "worlds; differences are paired by world.")
    tables = [f"## {agent}\n\n{_returns_table(rows)}" for agent, rows in data["returns"].items()]
    return "\n\n".join([made_line(source["made"]), intro, *tables]) + "\n"


def _returns_table(found: Sequence[Mapping[str, float]]) -> str:
    """A row for each way of learning and each baseline, of returns by name for each seed."""
    naive = next(iter(WAYS))
    rows = []
    for name in found[0]:
        values = [one[name] for one in found]
        more = [one[name] - one[naive] for one in found]
        won = f"{sum(value > 0.0 for value in more)} of {len(more)}"
        part = [(one[name] - one["random"]) / (one["greedy"] - one["random"]) for one in found]
        rows.append([name, str(mean_estimate(values)), f"{sum(part) / len(part):.3f}",
                     *(["", ""] if name == naive else [str(mean_estimate(more)), won])])
    return table(["learnt from, or baseline", "user return [95 %]", "normalised", f"more than {naive} [95 %]",
                  "better in"], rows)


def returns(agent: str, world: World, seed: int, episodes: int, ways: Mapping[str, Way] = WAYS) -> dict[str, float]:
    """User return in the truth of ``agent`` by each way of learning, and of the baselines.

    Args:
        agent: of the users, as NAME,OPTION=VALUE.
        world: sizes and selection.
        seed: of the world, the training and the agent.
        episodes: of training.
        ways: what the log is taken for.

    Raises:
        InterplayError: an unknown agent or option.
    """
    log, truth = world.draw(seed)
    config = logged_market_config(log, horizon=10, embedding_size=4)
    found: dict[str, float] = {}
    for name, way in ways.items():
        behaviour = LoggedBehaviour(log, log, config, way.missing, targets=way.targets, seed=seed)
        market, whole = Market(config, behaviour), Market(config, behaviour.answering(truth))
        players = _cast(agent, market, Setting(seed, total_steps=episodes * config.horizon, discount=0.0))
        _train(market, players, seed, episodes)
        found[name] = evaluate(whole, players, _EVAL_WORLDS).user_return.mean
    for name in BASELINES["users"]:
        players = _cast(name, whole, Setting(seed))
        found[name] = evaluate(whole, players, _EVAL_WORLDS).user_return.mean
    return found


_WORLDS = 4
_EVAL_WORLDS = 4


def _cast(agent: str, market: Market, setting: Setting) -> Players:
    """``agent`` as the users, and items that rest."""
    name, pairs = split_agent(agent)
    kind, rest = find_agent(name), find_agent("rest")
    check_plays(kind, "users", name)
    options = make_options(kind.Options, parse_pairs(pairs, f"agent {agent!r}"), f"agent {name!r}")
    return Players({"users": kind.of({"users": market.specs["users"]}, setting, options),
                 "items": rest.of({"items": market.specs["items"]}, setting)})


def _train(market: Market, players: Players, seed: int, episodes: int) -> None:
    for episode in range(episodes):
        worlds = range(_WORLDS * episode, _WORLDS * (episode + 1))
        now = look(market, players, market.reset(worlds, seed), explore=True)
        for _ in range(market.config.horizon):
            now, _, _ = iterate(market, players, now)
