"""Which actions are allowed, and what becomes of the others."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs.constants import TOLERANCE, MarketConstants
from interplay.envs.world import State


def user_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, U, 1 + K]``: filled slots, for users who are there; skipping is always allowed."""
    return constants.mechanisms.user_mask(state, slot_mask(constants, state))


def slot_mask(constants: MarketConstants, state: State) -> Tensor:
    """The same as if there were no mechanisms."""
    slots = state.slate.valid & state.active.unsqueeze(2)
    return torch.cat([constants.always.expand(*state.active.shape, 1), slots], dim=2)


def item_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, I, 1 + C * L]``: boosts that a living item can pay for, and levels that mechanisms allow."""
    return constants.mechanisms.item_mask(state, boost_mask(constants, state))


def boost_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, I, 1 + C * L]``, of boost levels alone; resting is always allowed.

    A boost that is chosen now is charged in the next step. Until then the budget pays for the boost that is being
    served and for the upkeep of both steps. Responses may add to it, but no item can count on them.
    """
    config, cost = constants.config, constants.cost[1:]
    if not config.boost_levels:
        return torch.ones_like(state.alive).unsqueeze(2)
    can = state.alive.unsqueeze(2).expand(-1, -1, cost.shape[0])
    if config.budgets:
        spare = (state.energy - constants.cost[state.boost_level] - 2.0 * config.upkeep).clamp(min=0.0) + TOLERANCE
        can = can & (cost <= spare.unsqueeze(2))
    return torch.cat([constants.always.expand(*state.alive.shape, 1), *[can] * config.num_segments], dim=2)


def legal(action: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Actions with the forbidden ones turned into 0, and how many those were: ``[B, N]`` and ``[B]``."""
    inside = action.clamp(0, mask.shape[2] - 1)
    allowed = mask.gather(2, inside.unsqueeze(2)).squeeze(2) & (action == inside)
    return action * allowed, (~allowed).sum(1)
