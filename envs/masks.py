"""Which actions are allowed, and what becomes of the others."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.constants import MarketConstants
from interplay.envs.world import State


def user_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, U, 1 + K]``: filled slots, for users who are there; skipping is always allowed."""
    return constants.mechanisms.user_mask(state, slot_mask(constants, state))


def slot_mask(constants: MarketConstants, state: State) -> Tensor:
    """The same as if there were no mechanisms."""
    if (gpu := kernels.of_gpu("users_gpu", state.active)) is not None:
        found: Tensor = gpu.slot_mask(state)
        return found
    slots = state.slate.valid & state.active.unsqueeze(2)
    return torch.cat([constants.always.expand(*state.active.shape, 1), slots], dim=2)


def item_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, I, 1 + C * L]``: boosts that a living item can pay for, and levels that mechanisms allow."""
    return constants.mechanisms.item_mask(state, boost_mask(constants, state))


def boost_mask(constants: MarketConstants, state: State) -> Tensor:
    """Bool ``[B, I, 1 + C * L]``, of boost levels alone; resting is always allowed."""
    built_in, cost = constants.built_in, constants.built_in.boosts.by_level.cost
    if built_in.boosts.is_idle:
        return torch.ones_like(state.alive).unsqueeze(2)
    if (gpu := kernels.of_gpu("items_gpu", state.alive)) is not None:
        found: Tensor = gpu.boost_mask(constants, state)
        return found
    can = state.alive.unsqueeze(2).expand(-1, -1, len(cost) - 1)
    if built_in.has_budgets:
        spare = built_in.budgets.can_spend(state, cost[state["boost_level"]])
        can = can & (cost[1:] <= spare.unsqueeze(2))
    return torch.cat([constants.always.expand(*state.alive.shape, 1), *[can] * constants.config.num_segments], dim=2)


def legal(action: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Actions with the forbidden ones turned into 0, and how many those were: ``[B, N]`` and ``[B]``."""
    inside = action.clamp(0, mask.shape[2] - 1)
    allowed = mask.gather(2, inside.unsqueeze(2)).squeeze(2) & (action == inside)
    return action * allowed, (~allowed).sum(1)
