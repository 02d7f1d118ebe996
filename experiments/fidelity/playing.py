"""Playing a market until it has as many responses as the log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.envs.behaviour.logged import LoggedBehaviour
from interplay.envs.market import Market
from interplay.envs.types import InterplayError
from interplay.envs.world import Step
from interplay.experiments.evaluate.evaluation import HELD_OUT_SEED
from interplay.experiments.fidelity.trace import Floats, Ints, Trace
from interplay.experiments.loop.play import Snapshot, advance, look
from interplay.experiments.loop.players import Players

FIDELITY_SEED = HELD_OUT_SEED + 1
"""Seed of the worlds. Not that of evaluations, or a log that they exported would be compared with itself."""


class Played(NamedTuple):
    """What a market wrote.

    Attributes:
        trace: all of it, world after world and in each step after step.
        num_worlds: episodes that were played.
        skipped: steps in which a present user took nothing.
    """

    trace: Trace
    num_worlds: int
    skipped: int


class _Rows(NamedTuple):
    """Responses of some worlds: ``[N]`` each."""

    world: Ints
    user: Ints
    item: Ints
    reward: Floats
    position: Ints
    stay: Ints


@torch.no_grad()
def play(market: Market, players: Players, responses: int, most_worlds: int, batch: int = 1) -> Played:
    """Whole episodes in held-out worlds, exploration off, until there are enough responses or worlds.

    A session is what a user took between coming and leaving in one episode. People of a log are the same in all
    worlds; those of a synthetic behaviour, and their items, are others in each.

    Args:
        market: the market.
        players: the agents.
        responses: how many responses are wanted.
        most_worlds: where to stop without them.
        batch: worlds side by side.

    Raises:
        InterplayError: no user took anything.
    """
    parts: list[_Rows] = []
    found = skipped = worlds = 0
    while found < responses and worlds < most_worlds:
        count = min(batch, most_worlds - worlds)
        rows, idle = _episode(market, players, range(worlds, worlds + count))
        parts.append(rows)
        found, skipped, worlds = found + len(rows.user), skipped + idle, worlds + count
    if found == 0:
        raise InterplayError(f"no user took anything in {worlds} worlds: let other users play with --users")
    rows = _Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return Played(_trace(market, rows, worlds), worlds, skipped)


def _episode(market: Market, players: Players, worlds: range) -> tuple[_Rows, int]:
    now = look(market, players, market.reset(worlds, FIDELITY_SEED))
    steps: list[tuple[NDArray[np.generic], ...]] = []
    for _ in range(market.config.horizon):
        after, step, _ = advance(market, players, now, explore=False)
        steps.append(_columns(now, step))
        now = after
    chosen, position, response, active = (np.stack(column, axis=1) for column in zip(*steps, strict=True))
    taken = position > 0
    world, _, user = np.nonzero(taken)
    away = np.cumsum(~active, axis=1)  # grows while a user is away, and so parts what came before from what follows
    rows = _Rows(world + worlds.start, user, chosen[taken], response[taken].astype(np.float64), position[taken],
                 away[taken])
    return rows, int((active & ~taken).sum())


def _columns(now: Snapshot, step: Step) -> tuple[NDArray[np.generic], ...]:
    """Of one step, each ``[B, U]``."""
    return tuple(x.cpu().numpy() for x in (step.chosen, step.position, step.response, now.state.active))


def _trace(market: Market, rows: _Rows, num_worlds: int) -> Trace:
    config = market.config
    shared = isinstance(market.behaviour, LoggedBehaviour)
    world = np.zeros_like(rows.world) if shared else rows.world
    kinds = 1 if shared else num_worlds
    user, item = world * config.num_users + rows.user, world * config.num_items + rows.item
    visit = (rows.world * config.num_users + rows.user) * (config.horizon + 1) + rows.stay
    return Trace(user, item, rows.reward, visit, kinds * config.num_users, kinds * config.num_items, rows.position,
                 _topics(market, kinds))


def _topics(market: Market, kinds: int) -> Floats | None:
    """Of the items of ``kinds`` worlds, ``[kinds * I, G]``."""
    if market.config.num_topics < 2:
        return None
    topics = market.reset(range(kinds), FIDELITY_SEED).population.topics
    return topics.flatten(0, 1).cpu().numpy().astype(np.float64)
