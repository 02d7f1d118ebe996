"""The market as a PettingZoo environment: ``parallel_env()``, ``env()`` (agent by agent) and ``raw_env()``.

The only place in which agents have names and meet in dicts. To train on many worlds at once, or on a GPU,
use ``interplay.envs.market.Market`` itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv  # type: ignore[import-untyped]
from pettingzoo.utils import OrderEnforcingWrapper  # type: ignore[import-untyped]
from pettingzoo.utils.conversions import parallel_to_aec_wrapper  # type: ignore[import-untyped]

from interplay.envs.checking import as_integer, check_arguments, check_value, shown
from interplay.envs.facade import (
    Flat,
    check_render_mode,
    describe,
    feature_box,
    flat_shape,
    flat_sides,
    make_market,
    num_features,
)
from interplay.envs.market import Market
from interplay.envs.pictures.show import RenderMode, Show
from interplay.envs.presets import Preset
from interplay.envs.roster import Roster
from interplay.envs.threads import on_own_threads
from interplay.envs.types import SIDES, InterplayError, SideSpec
from interplay.envs.world import State, Step

ActionMask = Literal["info", "obs", "none"]

Space = TypeVar("Space")

_AGENT = {"users": "user", "items": "item"}


def _vectors(env: MarketParallelEnv, *_arguments: object) -> int:
    """Numbers of all users' and items' vectors."""
    return env.market.num_vector_numbers


class MarketParallelEnv(ParallelEnv):  # type: ignore[misc]  # PettingZoo publishes no types
    """One world of a market in which users and items act, all at once.

    Agents: ``user_0 ..`` and ``item_0 ..``, all of them alive after ``reset``.

    Observation: a flat float32 vector in [-4, 4], the agent's own features, then those of each option (slots of
    the slate for a user, segments of users for an item). ``market.specs["users"].own_features`` and so on name
    the columns. All users have one space, all items another.

    Action: a user's is 0 = skip or k = take the item in slot k; an item's is 0 = rest or ``1 + c * L + l`` =
    boost segment c at the l-th of L levels, which shapes the slates of the next step. Python and numpy integers
    and arrays without axes will do. An action that the mask forbids, that is out of range, missing or None
    counts as 0; ``illegal_actions`` counts them.

    Reward: a user's is its response; an item's its margin times the responses to it, minus what its boost cost
    when it was served; blended with the welfare of all agents as the market's ``team`` says.

    Start: ``reset(seed=s)`` gives world 0 under seed s, and each ``reset()`` after it the next world under that
    seed: a seed stands for the whole stream of episodes. The very first ``reset()`` takes a seed from the
    system. Global random state is neither read nor changed.

    End: after ``max_cycles`` steps ``truncated`` is True for every agent that is left. Before that no agent goes: a
    user who has left the market can only skip, earns nothing, and may return; an item without budget can only
    rest. With ``deaths=True`` both are ``terminated`` at once and for good, and an agent is never terminated and
    truncated in one step. After the end ``agents`` is empty and ``step`` gives
    five empty dicts.

    Each step's five dicts, the infos and all arrays in them are the caller's own.

    Args:
        market: the market; its horizon gives ``max_cycles`` unless that is set.
        action_mask: ``"info"`` = int8 vector ``infos[agent]["action_mask"]``, 1 = allowed; ``"obs"`` =
            observations are ``{"observation", "action_mask"}``; ``"none"`` = no mask.
        deaths: whether agents can terminate. Users then cannot return: ``mood.return_rate`` is taken as 0.
        render_mode: ``"rgb_array"`` = ``render()`` returns a picture of the world, uint8 ``[480, 640, 3]``;
            ``"human"`` = a window shows it after each step, which needs pygame; ``"ansi"`` = ``render()`` returns a
            short text.
        max_cycles: steps of an episode.

    Attributes:
        market: the core that is played.
        max_cycles: steps of an episode; may be changed between steps.
        illegal_actions: how many actions became 0 since the environment was made, by reason: ``"forbidden"`` by
            the mask or out of range, ``"missing"``, or for a ``"dead"`` agent that is no longer in ``agents``.

    Versions: v0, the first.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "market_v0", "render_modes": ["human", "rgb_array", "ansi"],
                                          "render_fps": 4, "is_parallelizable": True}

    def __init__(self, market: Market, *, action_mask: ActionMask = "info", deaths: bool = False,
                 render_mode: RenderMode | None = None, max_cycles: int | None = None) -> None:
        check_arguments(MarketParallelEnv.__init__, market=market, action_mask=action_mask, deaths=deaths)
        check_render_mode("parallel_env", render_mode, self.metadata["render_modes"])
        max_cycles = market.config.horizon if max_cycles is None else as_integer("max_cycles", max_cycles, least=1)
        self.market = _without_return(market) if deaths else market
        self.action_mask, self.deaths, self.render_mode = action_mask, deaths, render_mode
        self.max_cycles = max_cycles
        self.possible_agents = [f"{_AGENT[side]}_{k}" for side in SIDES
                                for k in range(market.specs[side].num_agents)]
        self.agents: list[str] = []
        self._roster = Roster(self.possible_agents)
        self.illegal_actions = self._roster.illegal
        self._make_spaces()
        self._show = Show(self.market, render_mode, self.metadata["render_fps"])
        self._seed: int | None = None
        self._world = 0
        self._state: State | None = None
        self._happened: Step | None = None

    @on_own_threads()
    def reset(self, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode, see ``Start`` above; ``options`` are not used.

        Returns:
            Observations and infos by agent.
        """
        check_arguments(MarketParallelEnv.reset, options=options)
        if seed is None and self._seed is not None:
            self._world += 1
        else:
            # One bit less than the seed of held-out evaluation worlds has, so that chance cannot hit them.
            self._seed, self._world = secrets.randbits(62) if seed is None else as_integer("seed", seed), 0
        self.agents = self.possible_agents[:]
        state = self.market.reset([self._world], self._seed)
        self._state, self._happened = state, None
        self._show.begin()
        self._show.update(state, None, self.max_cycles)
        return self._observations_and_infos(self.agents)

    @on_own_threads(_vectors)
    def step(self, actions: Mapping[str, Any]) -> tuple[
            dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Let all agents act at once.

        Returns:
            Observations, rewards, terminated, truncated and infos, for each agent that was alive before it: five empty
            dicts after the end of the episode.

        Raises:
            InterplayError: before the first reset, an agent does not exist, or an action is not an integer.
        """
        before = self._begun("step")
        if type(actions) is not dict:  # most clients' type; others take a while to check
            check_value("actions", actions, Mapping)
        if not self.agents:
            return {}, {}, {}, {}, {}
        row, users = self._roster.row(actions, self.agents)[None], self.market.config.num_users
        state, happened = self.market.advance(before, row[:, :users], row[:, users:])
        self._state, self._happened = state, happened
        self._show.add(happened)
        self._show.update(state, happened, self.max_cycles)
        *illegal, user_reward, item_reward = happened.arrays("illegal_users", "illegal_items", "user_reward",
                                                             "item_reward")
        self.illegal_actions["forbidden"] += sum(table.item() for table in illegal)
        acted, over = self.agents, int(state.arrays("time")[0][0]) >= self.max_cycles
        reward = self._roster.keep(user_reward[0].tolist() + item_reward[0].tolist(), acted)
        observations, infos = self._observations_and_infos(acted)
        terminated, truncated = self._roster.flagged(acted, False), self._roster.flagged(acted, over)
        self.agents = [] if over else acted[:]
        ended = _joined(happened, "user_terminated", "item_terminated") if self.deaths else []
        if any(ended):
            terminated = self._roster.keep(ended, acted)
            truncated = {agent: over and not gone for agent, gone in terminated.items()}
            self.agents = [agent for agent in self.agents if not terminated[agent]]
        return observations, reward, terminated, truncated, infos

    def observation_space(self, agent: str) -> Box | Dict:
        """The same object at each call, one for all users and one for all items."""
        return self._of(agent, self.observation_spaces)

    def action_space(self, agent: str) -> Discrete:
        """The same object at each call, each agent its own, so that each can be seeded."""
        return self._of(agent, self.action_spaces)

    @on_own_threads(_vectors)
    def state(self) -> NDArray[np.float32]:
        """The whole world: the observations of all possible agents in their order, one flat float32 vector."""
        return np.concatenate([seen.features.ravel() for seen in self._seen(self._begun("state"))])

    def render(self) -> NDArray[np.uint8] | str | None:
        """The world as a picture or a text; see ``render_mode`` above. None if a window shows it."""
        now = self._begun("render"), self._happened, self.max_cycles
        if self.render_mode == "ansi":
            return describe(*now)
        return self._show.frame(*now) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, if there is one."""
        self._show.close()

    def _make_spaces(self) -> None:
        specs = [self.market.specs[side] for side in SIDES]
        self.observation_spaces: dict[str, Box | Dict] = {}
        self.action_spaces: dict[str, Discrete] = {}
        for side, spec in zip(SIDES, specs, strict=True):
            space, names = self._space_of(spec), [f"{_AGENT[side]}_{k}" for k in range(spec.num_agents)]
            self.observation_spaces |= dict.fromkeys(names, space)
            self.action_spaces |= {name: Discrete(spec.num_actions) for name in names}
        self._shapes = [flat_shape(spec) for spec in specs]
        self.state_space = feature_box(sum(agents * features for agents, features, _ in self._shapes))

    def _space_of(self, spec: SideSpec) -> Box | Dict:
        box = feature_box(num_features(spec))
        if self.action_mask != "obs":
            return box
        return Dict({"observation": box, "action_mask": Box(0, 1, (spec.num_actions,), np.int8)})

    @staticmethod
    def _of(agent: str, spaces: Mapping[str, Space]) -> Space:
        try:
            return spaces[agent]
        except (KeyError, TypeError) as error:
            raise InterplayError(f"agent {shown(agent)} does not exist: use names of possible_agents") from error

    def _begun(self, call: str) -> State:
        if self._state is None:
            raise InterplayError(f"{call}() before the first reset(): call reset() first")
        return self._state

    def _seen(self, state: State) -> list[Flat]:
        """What both sides see, in new arrays: callers write into what they get."""
        return flat_sides(self.market.constants, state, self._shapes)

    def _observations_and_infos(self, agents: list[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Observations and infos of ``agents``: each side's arrays are only cut into rows."""
        seen = self._seen(self._begun("step"))
        rows = self._roster.keep(chain.from_iterable(flat.features[0] for flat in seen), agents)
        if self.action_mask == "none":
            return rows, {agent: {} for agent in agents}
        masks = self._roster.kept(chain.from_iterable(flat.mask[0] for flat in seen), agents)
        if self.action_mask == "info":
            return rows, {agent: {"action_mask": row} for agent, row in masks}
        return ({agent: {"observation": rows[agent], "action_mask": row} for agent, row in masks},
                {agent: {} for agent in agents})


def _joined(happened: Step, *names: str) -> list[Any]:
    """The only world's values of tables as Python numbers, one table after the other."""
    return list(chain.from_iterable(table.ravel().tolist() for table in happened.arrays(*names)))


def _without_return(market: Market) -> Market:
    """The same market, but agents that leave have left for good."""
    if not market.config.users_return:
        return market
    return Market(market.config.without_return(), market.behaviour, market.device, market.name)


def parallel_env(preset: str | Preset = "town", *, market: Market | None = None,
                 action_mask: ActionMask = "info", deaths: bool = False, render_mode: RenderMode | None = None,
                 max_cycles: int | None = None, **market_options: Any) -> MarketParallelEnv:
    """One world in which all agents act at once; ``MarketParallelEnv`` is the specification.

    Args:
        preset: a preset, its name, or ``"module:attribute"``.
        market: a ready market instead, which takes no options.
        action_mask: where agents find their masks.
        deaths: whether agents can terminate.
        render_mode: what ``render()`` does.
        max_cycles: steps of an episode; None = the market's horizon.
        **market_options: fields of ``MarketConfig`` that should differ from the preset's, as ``num_users=8``.
    """
    made = make_market("parallel_env", preset, market, market_options)
    return MarketParallelEnv(made, action_mask=action_mask, deaths=deaths, render_mode=render_mode,
                             max_cycles=max_cycles)


def env(preset: str | Preset = "town", **options: Any) -> AECEnv:
    """The same world agent by agent (PettingZoo's AEC API), which checks the order of calls.

    Args:
        preset: as for ``parallel_env``.
        **options: the other arguments of ``parallel_env``.
    """
    return OrderEnforcingWrapper(raw_env(preset, **options))


def raw_env(preset: str | Preset = "town", **options: Any) -> AECEnv:
    """``env`` without the checks."""
    return parallel_to_aec_wrapper(parallel_env(preset, **options))
