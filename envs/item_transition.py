"""What a step does to items: responses, costs, budgets, wear-out, and what they do next."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.constants import TOLERANCE, MarketConstants
from interplay.envs.indexing import cell_of
from interplay.envs.kernels import dispatch
from interplay.envs.masks import boost_mask, item_mask, legal
from interplay.envs.mechanisms.base import Outcome
from interplay.envs.world import ItemOutcome, State, UserOutcome


def move_items(constants: MarketConstants, state: State, after: State, choice: UserOutcome,
                action: Tensor) -> tuple[State, ItemOutcome, Outcome | None]:
    """Everything of items, then the tables of mechanisms, which may have given items levels to choose."""
    mechanisms, illegal = constants.mechanisms, None
    if not mechanisms:
        return *_update_items(constants, state, after, choice, action), None
    if mechanisms.num_levels:
        action, illegal = legal(action, item_mask(constants, state))
    moves = mechanisms.moves(action)
    after, item_outcome = _update_items(constants, state, after, choice, moves.boost)
    item_outcome = item_outcome if illegal is None else replace(item_outcome, illegal=illegal)
    outcome = mechanisms.outcome(state, choice, item_outcome.clicks, moves, after.alive)
    return mechanisms.update(state, after, outcome), item_outcome, outcome


def _update_items(constants: MarketConstants, state: State, after: State, choice: UserOutcome,
                  action: Tensor) -> tuple[State, ItemOutcome]:
    """What responses do to items: costs, budgets, deaths, wear-out, and the segments that they target next."""
    if kernels.usable(state.key):
        heard = None if constants.formula else _by_segment(constants, state, choice)
        return dispatch.update_items(constants, state, after, choice, action, heard)
    c, by_segment = constants.config, _by_segment(constants, state, choice)
    clicks = by_segment.sum(2)
    cost = constants.cost[state.boost_level]
    energy, alive = state.energy, state.alive
    if c.budgets:
        energy = (energy - c.upkeep - cost + clicks).clamp(0.0, c.energy_max)
        alive = alive & (energy > TOLERANCE)
        energy = energy * alive
    size = state.population.segments(c.num_segments).divisor.unsqueeze(1)
    wearout = c.wearout_decay * state.wearout + by_segment / size
    after = replace(after, energy=energy, alive=alive, wearout=wearout, popularity=state.popularity + clicks)
    after, illegal = _place_boosts(constants, state, after, action)
    own = state.population.margin * clicks - cost
    return after, ItemOutcome(clicks, cost, own, state.alive != after.alive, illegal)


def _by_segment(constants: MarketConstants, state: State, choice: UserOutcome) -> Tensor:
    """Responses to each item from each segment, float32 ``[B, I, C]``."""
    cell = cell_of(choice.item, state.population.segment, constants.config.num_segments)
    return torch.zeros_like(state.wearout).flatten(1).scatter_add_(
        1, cell, choice.response).view_as(state.wearout)


def _place_boosts(constants: MarketConstants, state: State, after: State, action: Tensor) -> tuple[State, Tensor]:
    """What items do now targets users in the next step; an item that has just died targets none."""
    if not constants.config.boost_levels:
        return after, (action != 0).sum(1)
    action, illegal = legal(action, boost_mask(constants, state))
    action = action * after.alive
    return replace(after, boost_segment=constants.segment_of[action],
                   boost_level=constants.level_of[action]), illegal
