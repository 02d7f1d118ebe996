"""Towns whose people never change, the logs that they write, and policies that know what a fitted market knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.agents import Player, find_agent
from interplay.agents.parts.player import Setting
from interplay.envs.behaviour.fitted import FittedBehaviour
from interplay.envs.behaviour.synthetic import SyntheticBehaviour, TownPopulation
from interplay.envs.config import MarketConfig
from interplay.envs.data import InteractionLog
from interplay.envs.market import Market
from interplay.envs.noise import world_key
from interplay.envs.population import Population
from interplay.envs.presets import find_preset
from interplay.envs.state_update import move
from interplay.envs.types import Observation
from interplay.envs.world import Slate, State, Step, UserOutcome
from interplay.experiments.common.options import make_options, parse_pairs, split_agent

STEP, GAP = 60.0, 600.0
"""Seconds of a step of a log, and without a row after which a session is over."""

LOG_SEED = 1000
"""Of the worlds in which logs are written."""

_EPISODE = 30 * 86400.0  # seconds from the start of an episode to that of the next


class OneTown:
    """The people of one world of ``town``, the same in all worlds.

    Args:
        config: of the town.
        seed: which town.
    """

    def __init__(self, config: MarketConfig, seed: int) -> None:
        self._one = TownPopulation(config)(world_key(seed, torch.zeros(1, dtype=torch.int64)))

    def __call__(self, key: Tensor) -> Population:
        """These people for each key."""
        return self._one.expand(len(key))


def _town(seed: int) -> Any:
    return replace(find_preset("town"), name=f"town-{seed}",
                   behaviour=lambda config: SyntheticBehaviour(OneTown(config, seed)))


TOWNS = {seed: _town(seed) for seed in range(8)}
TOWN_0, TOWN_1, TOWN_2, TOWN_3 = (TOWNS[seed] for seed in range(4))


class Decision(NamedTuple):
    """One step of all users in the true town: what a policy would have seen, and what happened.

    Attributes:
        seen: by users, as the fitted market knows them; None where there is no fitted market.
        action: int64 ``[B, U]``, in the order of that market's users.
        response: float32 ``[B, U]``, in the same order. present: bool ``[B, U]``.
        log_chance: float32 ``[B, U]``, how likely the action was, where the writer of a log plays.
    """

    seen: Observation
    action: Tensor
    response: Tensor
    present: Tensor
    log_chance: Tensor | None = None


class Writer:
    """Agents that play the users of a log: each user has one of them for an episode, and the next one in the next.

    Args:
        market: the town.
        names: of agents, with options, joined by ``+``.
    """

    def __init__(self, market: Market, names: str) -> None:
        self._players = [_player(market, name) for name in names.split("+")]

    def act(self, seen: Observation, world: int) -> Tensor:
        """What the users of this episode do, int64 ``[B, U]``."""
        return self._own([player.act_as("users", seen, False) for player in self._players], world)

    def log_chance(self, seen: Observation, action: Tensor, world: int) -> Tensor:
        """How likely that is, float32 ``[B, U]``."""
        chances = [player.log_propensity_as("users", seen, action, False) for player in self._players]
        return self._own([chance for chance in chances if chance is not None], world)

    def _own(self, columns: Sequence[Tensor], world: int) -> Tensor:
        """Of each user the column of its agent."""
        turn = (torch.arange(columns[0].shape[1]) + world) % len(self._players)
        return torch.stack(list(columns)).gather(0, turn.expand_as(columns[0]).unsqueeze(0)).squeeze(0)


@torch.no_grad()
def log_of(market: Market, rows: int, writer: str) -> InteractionLog:
    """The first rows of the town's users if these agents play them (see ``Writer``); skips are left out.

    Each row keeps the first item of its slate.
    """
    parts: list[np.ndarray] = []
    world, players = 0, Writer(market, writer)
    while sum(len(part) for part in parts) < rows:
        state = market.reset([world], LOG_SEED)
        for step in range(market.config.horizon):
            seen = market.observe(state, "users", expected=True)
            after, done = market.step(state, players.act(seen, world), rest(market, state))
            user = torch.nonzero(done.position[0] > 0).squeeze(1)
            time = torch.full((len(user),), world * _EPISODE + step * STEP, dtype=torch.float64)
            shown = torch.where(state.slate.valid, state.slate.items, -1)[0, user, 0]
            columns = (done.chosen[0, user], done.response[0, user], time, done.position[0, user], shown)
            parts.append(torch.stack([user.double(), *(column.double() for column in columns)], dim=1).numpy())
            state = after
        world += 1
    user, item, reward, time, position, shown = np.concatenate(parts)[:rows].T
    topics = market.reset([0], LOG_SEED).population.topics[0].numpy()
    return InteractionLog(user.astype(np.int64), item.astype(np.int64), reward.astype(np.float32),
                          tuple(range(market.config.num_users)), tuple(range(market.config.num_items)), (0.0, 1.0),
                          time=time, item_topics=topics, position=position.astype(np.int64),
                          shown=shown.astype(np.int64))


def _player(market: Market, name: str) -> Player:
    agent, options = split_agent(name)
    kind = find_agent(agent)
    return kind.of({"users": market.spec_of("users")}, Setting(LOG_SEED, market.device),
                   make_options(kind.Options, parse_pairs(options, "writer"), f"writer {agent!r}"))


def rest(market: Market, state: State) -> Tensor:
    """Actions of items that do nothing, int64 ``[B, I]``."""
    return torch.zeros(len(state.key), market.config.num_items, dtype=torch.int64)


@torch.no_grad()
def in_truth(truth: Market, fitted: Market, player: Player | Writer, worlds: range, seed: int) -> Iterator[Decision]:
    """Play the true town with a policy that knows what the fitted market knows, or as a log of one world was written.

    A shadow of the worlds in the fitted market sees the true slates and the true responses.
    """
    behaviour = fitted.behaviour
    assert isinstance(behaviour, FittedBehaviour)
    people = behaviour.people
    state, shadow = truth.reset(worlds, seed), fitted.reset(worlds, seed)
    for _ in range(truth.config.horizon):
        shadow = _shown(shadow, state, people)
        seen = fitted.observe(shadow, "users", expected=True)
        chance = None
        if isinstance(player, Writer):
            view = truth.observe(state, "users", expected=True)
            true_action = player.act(view, worlds.start)
            chance = player.log_chance(view, true_action, worlds.start)[:, people]
        else:
            true_action = torch.zeros(state.active.shape, dtype=torch.int64)
            true_action[:, people] = player.act_as("users", seen, False)
        action = true_action[:, people]
        after, step = truth.step(state, true_action, rest(truth, state))
        outcome = _outcome(step, people)
        yield Decision(seen, action, outcome.response, shadow.active, chance)
        shadow, state = move(fitted.constants, shadow, outcome, rest(fitted, shadow))[0], after


def _shown(shadow: State, state: State, people: Tensor) -> State:
    """The shadow with the slates and the presence of the true worlds."""
    slate = Slate(*(column[:, people] for column in state.slate.tensors()))
    return shadow.evolve(active=state.active[:, people]).with_slate(slate)


def _outcome(step: Step, people: Tensor) -> UserOutcome:
    return UserOutcome(step.position[:, people], step.chosen[:, people], torch.zeros_like(step.illegal_users),
                       step.response[:, people])
