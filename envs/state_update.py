"""What a step does to both sides once users have responded: tables of mechanisms, costs, and what items do next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from interplay.envs import dispatch, kernels
from interplay.envs.constants import MarketConstants
from interplay.envs.masks import boost_mask, item_mask, legal
from interplay.envs.mechanisms.base import Outcome, responses_by_segment
from interplay.envs.noise import Stream
from interplay.envs.world import ItemOutcome, State, UserOutcome


def move(constants: MarketConstants, state: State, choice: UserOutcome,
         action: Tensor) -> tuple[State, ItemOutcome, Outcome | None]:
    """Everything that built-in mechanisms do, then the others, which may have given items levels to choose."""
    mechanisms, illegal = constants.mechanisms, None
    if mechanisms.are_none:
        return *_move(constants, state, choice, action), None
    if mechanisms.limit_items:
        action, illegal = legal(action, item_mask(constants, state))
    moves = mechanisms.moves(action)
    after, item_outcome = _move(constants, state, choice, moves.boost)
    outcome = mechanisms.outcome(state, choice, item_outcome, moves, after.alive)
    after = mechanisms.update(state, after, outcome)
    item_outcome = replace(item_outcome, terminated=state.alive != after.alive,
                           illegal=item_outcome.illegal if illegal is None else illegal)
    return after, item_outcome, outcome


def _move(constants: MarketConstants, state: State, choice: UserOutcome, action: Tensor) -> tuple[State, ItemOutcome]:
    if kernels.usable(state.key):
        after = dispatch.update_users(constants, state, choice)
        heard = None if constants.formula else _by_segment(constants, state, choice)
        return dispatch.update_items(constants, state, after, choice, action, heard)
    gpu = kernels.of_gpu("items_gpu", state.key)
    if gpu is not None and gpu.can_move(state):
        heard = None if gpu.counts(state) else _by_segment(constants, state, choice)
        tables, popularity, found = gpu.move(constants, state, choice, heard, action, Stream.RETURN, Stream.DRIFT)
        return _after(state, choice, popularity=popularity, **state.fields_with(tables)), ItemOutcome(*found)
    heard, cost = _by_segment(constants, state, choice), constants.built_in.boosts.by_level.cost[state["boost_level"]]
    clicks = heard.sum(2)
    outcome = Outcome(state.population, choice.item, choice.position, choice.response, clicks, action, {}, cost, heard)
    changed: dict[str, Any] = {}
    for mechanism in constants.built_in.moving:
        changed |= mechanism.update(state, outcome)
    after = _after(state, choice, popularity=state.popularity + clicks, **state.fields_with(changed))
    after, illegal = _place_boosts(constants, state, after, action)
    own = state.population.margin * clicks - cost
    return after, ItemOutcome(clicks, cost, own, state.alive != after.alive, illegal)


def _after(state: State, choice: UserOutcome, **fields: Any) -> State:
    """The next state with these fields."""
    return replace(_remember(state, choice), time=state.time + 1, **fields)


def _by_segment(constants: MarketConstants, state: State, choice: UserOutcome) -> Tensor:
    c = constants.config
    return responses_by_segment(state.population, choice.item, choice.response, c.num_items, c.num_segments)


def _remember(state: State, choice: UserOutcome) -> State:
    """The newest step enters users' histories, the oldest drops out."""
    if state.taken.shape[2] == 0:
        return state
    taken = torch.where(choice.position > 0, choice.item + 1, 0).unsqueeze(2)
    return replace(state, taken=torch.cat([state.taken, taken], dim=2)[:, :, 1:],
                   responses=torch.cat([state.responses, choice.response.unsqueeze(2)], dim=2)[:, :, 1:])


def _place_boosts(constants: MarketConstants, state: State, after: State, action: Tensor) -> tuple[State, Tensor]:
    """What items do now targets users in the next step; an item that has just died targets none."""
    if constants.built_in.boosts.is_idle:
        return after, (action != 0).sum(1)
    action, illegal = legal(action, boost_mask(constants, state))
    action = action * after.alive
    placed = {"boost_segment": constants.segment_of[action], "boost_level": constants.level_of[action]}
    return replace(after, **after.fields_with(placed)), illegal
