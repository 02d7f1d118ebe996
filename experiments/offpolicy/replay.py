"""What a run's platform would have shown to the users of an exported log, where they were when they saw theirs.

The held-out worlds are played again with the log's slates and choices, which brings back all that a platform sees. That
it is the log's market is not taken on trust: what users saw and how they responded must come out as it was logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.envs.market import Market
from interplay.envs.types import InterplayError
from interplay.envs.world import Slate, State
from interplay.experiments.evaluate.evaluation import HELD_OUT_SEED
from interplay.experiments.evaluate.export import context_of
from interplay.experiments.loop.play import look
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.run import Run
from interplay.experiments.offpolicy.exported import Size, SlateLog
from interplay.experiments.offpolicy.feedback import Floats
from interplay.experiments.offpolicy.slates import drawn_log_probability

_TOLERANCE = 1e-3  # of what is replayed: another processor rounds otherwise


class _Logged(NamedTuple):
    """A step of the log, ``[B, U, ...]``: items and fill of slates, the slot taken, the response and what was seen."""

    slate: Slate
    position: Tensor
    response: Tensor
    context: Tensor


def run_slates(log: SlateLog, folder: Path, allow_code: bool = False) -> Floats:
    """Log-probability of each slate under a run's platform without exploration, float64 ``[N]``.

    Where a run has none, its market draws the slates, by chances that are known. A platform must be certain, since
    agents say how likely their own slates are and not others'.

    Raises:
        InterplayError: there is no such run, its platform leaves slates to chance, or its worlds are not the log's.
    """
    run = Run.load(folder, "cpu", allow_code)
    return replayed(log, run.task.held_out, run.players, str(folder))


@torch.no_grad()
def replayed(log: SlateLog, market: Market, players: Players, name: str) -> Floats:
    """The same for players in their market; ``name`` is for error messages."""
    size = log.size()
    _check_size(log, size, market, name)
    others = players.replaced("platform", None)
    state, found = market.reset(range(size.worlds), HELD_OUT_SEED), []
    for step, logged in enumerate(_steps(log, size)):
        found.append(_log_probability(market, players, state, logged.slate, name))
        now = look(market, others, replace(state, slate=logged.slate))
        _check_same(context_of(now.seen["users"]), logged.context, step, "what users saw", log, name)
        state, after = market.step(now.state, logged.position, others.act(now.seen, explore=False)["items"])
        _check_same(after.response, logged.response, step, "users' responses", log, name)
    return np.concatenate(found)


def _steps(log: SlateLog, size: Size) -> Iterator[_Logged]:
    """What was logged, step by step."""
    frame, rows = log.frame, size.worlds * size.users
    whole = (log.slate, log.log_propensity, frame["position"].to_numpy(), frame["response"].to_numpy(), log.context)
    for start in range(0, len(log), rows):
        items, chance, position, response, context = (
            torch.tensor(x[start:start + rows]).view(size.worlds, size.users, *x.shape[1:]) for x in whole)
        yield _Logged(Slate(items.clamp(min=0), items >= 0, chance.float()), position, response, context)


def _log_probability(market: Market, players: Players, state: State, slate: Slate, name: str) -> Floats:
    """Of the logged slates of one step, float64 ``[B * U]``."""
    if not players.has_platform and market.config.slate_order == "ranked":
        return drawn_log_probability(market.constants, state, slate)
    theirs = _certain(market, players, state, name) if players.has_platform else state.slate
    same = (theirs.valid == slate.valid) & ((theirs.items == slate.items) | ~slate.valid)
    return torch.where(same.all(2), 0.0, -torch.inf).double().flatten().numpy()


def _certain(market: Market, players: Players, state: State, name: str) -> Slate:
    """The slates that the platform fills, of which it must be certain."""
    seen = market.observe(state, "platform", players["platform"].sees_expected_reward)
    offer = players.offer(seen, market.config.slate_size, explore=False)
    if offer.log_propensity is None or bool((offer.log_propensity != 0.0).any()):
        raise InterplayError(f"policy={name!r}: its platform, {players.names()['platform']!r}, leaves slates to chance "
                             "and does not say how likely the log's are: give a run whose platform is certain, such as "
                             "dqn's, or `uniform` for a random one")
    return market.offer(state, *offer).slate


def _check_size(log: SlateLog, size: Size, market: Market, name: str) -> None:
    c, items = market.config, int(log.slate.max()) + 1
    seen = context_of(market.observe(market.reset([0]), "users")).shape[2]
    logged, theirs = (size.users, *log.slate.shape[1:], *log.context.shape[1:]), (c.num_users, c.slate_size, seen)
    if logged != theirs or size.steps > c.horizon or items > c.num_items:
        raise InterplayError(f"policy={name!r}: its market has {c.num_users} users who see {seen} numbers and "
                             f"{c.slate_size} slots, {c.num_items} items and {c.horizon} steps, but {log.source} has "
                             f"{logged[0]}, {logged[2]}, {logged[1]}, at least {items} and {size.steps}: give a run of "
                             "the market that the log is of")


def _check_same(found: Tensor, logged: Tensor, step: int, what: str, log: SlateLog, name: str) -> None:
    if not torch.allclose(found, logged, rtol=0.0, atol=_TOLERANCE):
        raise InterplayError(f"policy={name!r}: played again in its worlds, {what} in step {step} of {log.source} "
                             f"differ by {float((found - logged).abs().max()):.3g}: give a run of the log's own "
                             "market, whose items do as the log's did, such as rest")
