"""How much one agent could gain by deviating while all others go on as they are: exactly, on small games.

The policies of all agents are tabulated on every state of the game. Then one agent's best response is a Markov decision
process, solved backwards. The gap is 0 for all agents exactly where the policies are an equilibrium. It is only known
for policies that act on the state of the game: a network that also reads what does not matter (what was popular before)
is found out by changing that, and gets no figure.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch

from interplay.envs.market import Market
from interplay.envs.noise import Stream, uniform
from interplay.envs.types import Side
from interplay.envs.world import State
from interplay.experiments.exact.base import Actions, Array, gains
from interplay.experiments.exact.budgets import BUDGET_UNIT, BudgetGame, budget_game
from interplay.experiments.exact.contest import ContestGame, contest_game
from interplay.experiments.exact.oracles import (
    SingleUserGame,
    best_response,
    game_of_mechanisms,
    single_user_game,
)
from interplay.experiments.loop.play import look
from interplay.experiments.loop.players import Players


def best_response_gap(market: Market, players: Players) -> float | None:
    """The largest gain in own return, per episode, that any single agent has from its best response.

    Args:
        market: a game that ``oracles`` recognises.
        players: the agents, which do not explore.

    Returns:
        None where the game is not such a one, or a policy acts on more than its state.
    """
    single, budgets, contest = single_user_game(market), budget_game(market), contest_game(market)
    if single is not None:
        return _of_user(market, players, single)
    if budgets is not None:
        return _of_users(market, players, budgets)
    if contest is not None:
        return _of_items(market, players, contest)
    other = game_of_mechanisms(market)
    return None if other is None else other.gap(market, lambda state, side: _actions(market, players, state, side))


def _of_user(market: Market, players: Players, game: SingleUserGame) -> float | None:
    """The optimum less the policy's own value."""
    count = len(game.mood)
    state = market.reset(range(count)).with_tables({"satiation": _column(game.satiation.T, market),
                                                    "mood": _column(game.mood, market)})
    action = _tabulated(market, players, state, "users")
    if action is None:
        return None
    own = game.value(lambda values: values[action[:, 0], np.arange(count)])
    return game.value(best_response) - own


def _of_users(market: Market, players: Players, game: BudgetGame) -> float | None:
    """Each user's best response to the others, over all pairs of budgets."""
    size = game.units(game.most) + 1
    grid = np.array(list(product(range(size), repeat=market.config.num_items)))
    energy = torch.tensor(grid * BUDGET_UNIT, dtype=torch.float32, device=market.device)
    state = market.reset(range(len(grid))).with_tables({"energy": energy, "alive": energy > 0.0})
    state = replace(state, slate=replace(state.slate, valid=state.alive.unsqueeze(1).expand_as(state.slate.valid)))
    action = _tabulated(market, players, state, "users")
    if action is None:
        return None
    action = np.where((action > 0) & np.take_along_axis(grid > 0, np.maximum(action - 1, 0), 1), action, 0)
    begin = int(np.ravel_multi_index((game.units(game.start),) * market.config.num_items, (size,) * grid.shape[1]))
    return max(_gap(*_of_one_user(game, grid, action, user), action[:, user], begin, game.horizon)
               for user in range(market.config.num_users))


def _of_one_user(game: BudgetGame, grid: Actions, action: Actions, user: int) -> tuple[Array, Actions]:
    """Own reward and next state of each of the user's actions, ``[A, states]``; -inf for a dead item."""
    size, paid, rewards, following = game.units(game.most) + 1, _paid(game), [], []
    for own in range(grid.shape[1] + 1):
        choice = action.copy()
        choice[:, user] = own
        income = np.stack([np.where(choice == item + 1, paid[:, item], 0).sum(1) for item in range(grid.shape[1])], 1)
        after = [np.where(grid[:, i] > 0, np.clip(grid[:, i] - game.units(game.upkeep) + income[:, i], 0, size - 1), 0)
                 for i in range(grid.shape[1])]
        gain = np.where(grid[:, own - 1] > 0, paid[user, own - 1] * BUDGET_UNIT, -np.inf)
        rewards.append(gain if own > 0 else np.zeros(len(grid)))
        following.append(np.ravel_multi_index(after, (size,) * grid.shape[1]))
    return np.stack(rewards), np.stack(following)


def _paid(game: BudgetGame) -> Actions:
    """What each user pays each item, ``[U, I]``, in units."""
    return np.rint(game.rate / BUDGET_UNIT).astype(np.int64)


def _of_items(market: Market, players: Players, game: ContestGame) -> float | None:
    """Each item's best response to the others, over all combinations of boosts that are being served."""
    grid = np.array(list(product(range(len(game.levels)), repeat=game.num_items)))
    level = torch.tensor(grid, device=market.device)
    state = market.reset(range(len(grid))).with_tables({"boost_level": level, "boost_segment": torch.zeros_like(level)})
    action, taken = _tabulated(market, players, state, "items"), _tabulated(market, players, state, "users")
    if action is None or taken is None or (taken != 1).any():
        return None
    boost = game.levels[grid]
    profit = game.responses * game.margin * boost / boost.sum(1, keepdims=True) - game.cost * (boost - 1.0)
    gaps = []
    for item in range(game.num_items):
        following = []
        for own in range(len(game.levels)):
            joint = action.copy()
            joint[:, item] = own
            following.append(np.ravel_multi_index(tuple(joint.T), (len(game.levels),) * game.num_items))
        reward = np.repeat(profit[None, :, item], len(game.levels), 0)
        gaps.append(_gap(reward, np.stack(following), action[:, item], 0, game.horizon))
    return max(gaps)


def _gap(reward: Array, following: Actions, action: Actions, start: int, horizon: int) -> float:
    """What the best response earns more than ``action [states]``; ``reward`` and ``following`` are ``[A, states]``."""
    return float(gains(reward, following, action, horizon)[start])


@torch.no_grad()
def _tabulated(market: Market, players: Players, state: State, side: Side) -> Actions | None:
    """Actions ``[states, N]`` of one side; None if they change with what is no part of the game."""
    found: list[Actions] = []
    for past in (0.0, 1.0):
        # Neither is read by the rules of these games, but both are seen.
        popularity = past * uniform(state.key, 0, Stream.ACTION, tuple(state.popularity.shape[1:]))
        wearout = past * uniform(state.key, 1, Stream.ACTION, tuple(state["wearout"].shape[1:]))
        other = state.evolve(popularity=state.popularity + popularity).with_tables(
            {"wearout": state["wearout"] + wearout})
        found.append(_actions(market, players, other, side))
    return found[0] if (found[0] == found[1]).all() else None


@torch.no_grad()
def _actions(market: Market, players: Players, state: State, side: Side) -> Actions:
    """What agents of one side do without exploration, ``[states, N]``."""
    return players.act(look(market, players, state).seen, explore=False)[side].cpu().numpy()


def _column(values: Array, market: Market) -> torch.Tensor:
    """A tensor ``[states, 1, ...]`` for the only user."""
    return torch.tensor(values, dtype=torch.float32, device=market.device).unsqueeze(1)
