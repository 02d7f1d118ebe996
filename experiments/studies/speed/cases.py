"""What the benchmark measures of ours: each case sets a game up and gives a function that plays a piece of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from interplay.agents import Setting, agents
from interplay.agents.random import RandomAgent
from interplay.envs import market_v0
from interplay.envs.market import Market
from interplay.envs.messages import listed
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES, InterplayError
from interplay.envs.world import State
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.speed.roofline import Roofline
from interplay.experiments.studies.speed.single import SINGLES

Play = Callable[[], object]

_STEPS = 100  # of a single world in one piece


@dataclass(frozen=True)
class Case:
    """Something to be measured.

    Attributes:
        name: what the command line and the report call it.
        what: sizes, in words.
        users: users that answer a slate in one piece, in all worlds.
        agents: agents that take a step in one piece.
        make: sets the game up; what it gives plays one piece.
        held: bytes of a state and its observations, by the number of agents, where that is a figure of the case.
    """

    name: str
    what: str
    users: int
    agents: int
    make: Callable[[], Play]
    held: Callable[[], float] | None = None


class Core:
    """The market alone: observations of both sides, random actions that masks allow, a step; reset at the horizon."""

    def __init__(self, preset: str, num_worlds: int, **changes: Any) -> None:
        self.preset, self.num_worlds, self.changes = preset, num_worlds, changes
        config = replace(find_preset(preset).config, **changes)
        self.users, self.items = num_worlds * config.num_users, num_worlds * config.num_items

    def make(self) -> Play:
        """See ``Case``."""
        market, state = self.state()
        players = {side: RandomAgent(market.specs[side], Setting(0, market.device, 1, 0.9)) for side in SIDES}
        steps = 0

        def play() -> None:
            nonlocal state, steps
            action = {side: player.act(market.observe(state, side), True) for side, player in players.items()}
            state, _ = market.step(state, action["users"], action["items"])
            steps += 1
            if steps % market.config.horizon == 0:
                first = steps // market.config.horizon * self.num_worlds
                state = market.reset(range(first, first + self.num_worlds))

        return play

    def bytes_per_agent(self) -> float:
        """Of a state and both sides' observations."""
        market, state = self.state()
        seen = [market.observe(state, side) for side in SIDES]
        held = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
                for record in (state, *seen) for x in record.tensors()}
        return sum(held.values()) / (self.users + self.items)

    def case(self, name: str, what: str) -> Case:
        """The case."""
        return Case(name, what, self.users, self.users + self.items, self.make, self.bytes_per_agent)

    def state(self) -> tuple[Market, State]:
        """The market and its first state."""
        market = find_preset(self.preset).market(**self.changes)
        return market, market.reset(range(self.num_worlds))


def _facade(num_users: int, num_items: int) -> Case:
    """The PettingZoo environment of one town: five fresh dicts in each step."""

    def make() -> Play:
        env = market_v0.parallel_env("town", num_users=num_users, num_items=num_items)
        env.reset(seed=0)
        count = np.array([env.action_space(agent).n for agent in env.possible_agents])
        rng = np.random.default_rng(0)

        def play() -> None:
            if not env.agents:
                env.reset()
            env.step(dict(zip(env.agents, (rng.random(len(count)) * count).astype(np.int64).tolist(), strict=True)))

        return play

    total = num_users + num_items
    return Case(f"pettingzoo-{total}", f"PettingZoo facade, one town of {num_users:,} users and {num_items} items",
                num_users, total, make)


def _vector(num_envs: int) -> Case:
    """The Gymnasium vector view: one recommender in each world, all others simulated."""

    def make() -> Play:
        env = gymnasium.make_vec("interplay/Recommend-v0", num_envs=num_envs, preset="town")
        _, info = env.reset(seed=0)
        rng = np.random.default_rng(0)

        def play() -> None:
            nonlocal info
            mask = info["action_mask"]
            *_, info = env.step(np.argmax(rng.random(mask.shape) * mask, axis=1))

        return play

    return Case(f"gymnasium-{num_envs}", f"Gymnasium vector view of town, {num_envs} worlds", num_envs, num_envs, make)


def _gymnasium(name: str, what: str, **options: Any) -> Case:
    """An environment of Gymnasium with one world and random actions, as clients step it; reset at the end."""

    def make() -> Play:
        env = gymnasium.make(**options)
        env.reset(seed=0)
        assert isinstance(env.action_space, gymnasium.spaces.Discrete)
        count = int(env.action_space.n)
        rng = np.random.default_rng(0)

        def play() -> None:
            for action in rng.integers(count, size=_STEPS):
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()

        return play

    return Case(name, what, _STEPS, _STEPS, make)


def _training(agent: str, preset: str) -> Case:
    """Environment and learning: the users' side of a preset as ``train`` plays it."""
    training, config = find_preset(preset).training, find_preset(preset).config
    worlds = training.num_worlds

    def make() -> Play:
        run = Run.start(TrainSettings(preset=preset, users=agent, device="cpu"), Path(tempfile.gettempdir()))
        return partial(advance, run)

    return Case(f"train-{agent}-{preset}", f"training {agent} users on {preset}, {worlds} worlds",
                worlds * config.num_users, worlds * (config.num_users + config.num_items), make)


def _single(name: str, preset: str) -> Case:
    return Case(f"{name}-{preset}", f"{name.partition('-')[2]} in single-file style on the Gymnasium view of {preset}, "
                "one world", 1, 1, lambda: SINGLES[name](preset).play)


def _fused(core: Core) -> Play:
    from interplay.experiments.studies.speed.fused_loop import Fused  # which needs numba

    return Fused(*core.state()).play


def cases() -> dict[str, Case]:
    """All cases by name."""
    return {case.name: case for case in _cases()}


def find_case(name: str) -> Case:
    """The case of that name.

    Raises:
        InterplayError: there is none.
    """
    known = cases()
    if name not in known:
        raise InterplayError(f"case {name!r} is unknown: choose from {listed(known, name)}")
    return known[name]


def _cases() -> Iterator[Case]:
    town = {"num_items": 50, "slate_size": 3}
    yield Core("town", 1, num_users=2_000, **town).case("core-2000", "one town of 2,000 users x 50 items, slate 3")
    yield Core("town", 16, num_users=2_000, **town).case(
        "core-16x2000", "16 towns of 2,000 users x 50 items, slate 3")
    yield Core("kale", 32_768).case("core-kale", "32,768 worlds of kale, 5 agents each")
    yield Core("town", 1, num_users=12_750, **town).case("core-12800", "one town of 12,750 users x 50 items, slate 3")
    large = Core("town", 1, num_users=100_000, num_items=10_000, slate_size=3, num_candidates=50)
    yield large.case("core-100000", "one town of 100,000 users x 10,000 items, slate 3 of 50 candidates")
    yield Case("roofline-100000", "gathers, scatters and observation writes of the same town, and nothing else",
               large.users, large.users + large.items, lambda: Roofline(*large.state()).play)
    yield Case("fused-100000", "all draws of the same town, and scores, order and gathers by hand in one loop",
               large.users, large.users + large.items, lambda: _fused(large))
    yield _facade(12, 9)
    yield _facade(900, 100)
    yield _facade(9_900, 100)
    yield _vector(64)
    yield _gymnasium("gymnasium-kale", "Gymnasium view of kale, one world", id="interplay/Recommend-v0", preset="kale")
    yield _gymnasium("gymnasium-cartpole", "CartPole of Gymnasium, beside it", id="CartPole-v1")
    for name, kind in agents().items():
        if kind.learns and "users" in kind.plays:
            yield _training(name, "town")
    yield from (_training("dqn", "kale"), _training("pqn", "kale"))
    yield from (_single(name, preset) for name in SINGLES for preset in ("town", "kale"))
