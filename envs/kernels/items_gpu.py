"""What a step does to items, and what they see of boosts, by a few Triton kernels of a GPU; torch takes about 60.

The arithmetic is that of the torch code, operation by operation: no product is added up without being rounded before.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from interplay.envs.kernels import users_gpu
from interplay.envs.kernels.noise_gpu import kernel
from interplay.envs.kernels.tables_gpu import within
from interplay.envs.kernels.users_gpu import as_bytes
from interplay.envs.types import TOLERANCE

_ITEMS = 128  # of a program
_COUNTED = 256  # users whose responses each item goes through
_TILE = 2048  # cells that registers of a program hold
_CELLS = 512  # of boosts, of as many worlds as they belong to
_MOST = 2**31 - 2**14  # numbers of a table that 32 bits can number


@kernel
def _spare(energy, level, cost, upkeep, tolerance, place, there):
    """What an item can spend on its next boost, when what is served and the upkeep of two steps are paid."""
    due = tl.load(cost + tl.load(level + place, mask=there, other=0))
    left = tl.load(energy + place, mask=there, other=0.0) - due - 2.0 * upkeep
    return tl.where(left < 0.0, 0.0, left) + tolerance


@kernel
def _heard(taken, response, users_segment, segment_batch, segment_row, world, item, column, there,
           users: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    """Responses to items ``[height, 1]`` from segments ``[1, width]``, added up user by user."""
    total = tl.zeros((height, width), tl.float32)
    for first in range(0, users, 8):
        for n in tl.static_range(8):  # so many loads at once
            user = first + n
            place, here = world * users + user, there & (user < users)
            own = tl.load(users_segment + world * segment_batch + user * segment_row, mask=here, other=0)
            mine = (tl.load(taken + place, mask=here, other=-1) == item) & (own == column)
            total += tl.where(mine, tl.load(response + place, mask=here, other=0.0), 0.0)
    return total


@kernel
def _move(action, heard, taken, response, users_segment, segment_batch, segment_row, energy, alive, level, wearout,
          divisor, popularity, margin, margin_batch, margin_item, cost, level_of, segment_of, energy_out, alive_out,
          level_out, segment_out, wearout_out, popularity_out, clicks_out, cost_out, own_out, gone_out, forbidden_out,
          wearout_decay, upkeep, most, tolerance, total, items, segments, actions, users: tl.constexpr,
          with_budgets: tl.constexpr, with_boosts: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    place = tl.program_id(0) * height + tl.arange(0, height)[:, None]
    there, column = place < total, tl.arange(0, width)[None, :]
    world, item, place = (place // items).to(tl.int64), place % items, place.to(tl.int64)
    cell, here = place * segments + column, there & (column < segments)
    if users > 0:
        own = _heard(taken, response, users_segment, segment_batch, segment_row, world, item, column, there, users,
                     height, width)
    else:
        own = tl.load(heard + cell, mask=here, other=0.0)
    worn = wearout_decay * tl.load(wearout + cell, mask=here, other=0.0)
    size = tl.load(divisor + world * segments + column, mask=here, other=1.0)
    tl.store(wearout_out + cell, worn + tl.div_rn(own, size), mask=here)
    clicks = tl.sum(own, axis=1, keep_dims=True)
    before = tl.load(alive + place, mask=there, other=0) != 0
    due = tl.load(cost + tl.load(level + place, mask=there, other=0))
    after = before
    if with_budgets:
        left = within(tl.load(energy + place, mask=there, other=0.0) - upkeep - due + clicks, 0.0, most)
        after = before & (left > tolerance)
        tl.store(energy_out + place, left * after.to(tl.float32), mask=there)
        tl.store(alive_out + place, after.to(tl.uint8), mask=there)
    wish = tl.load(action + place, mask=there, other=0)
    allowed = wish == 0
    if with_boosts:
        allowed = _place(wish, before, after, energy, level, cost, level_of, segment_of, level_out, segment_out, upkeep,
                         tolerance, place, there, actions, with_budgets)
    earned = tl.load(margin + world * margin_batch + item * margin_item, mask=there, other=0.0) * clicks - due
    tl.store(popularity_out + place, tl.load(popularity + place, mask=there, other=0.0) + clicks, mask=there)
    tl.store(clicks_out + place, clicks, mask=there)
    tl.store(cost_out + place, due, mask=there)
    tl.store(own_out + place, earned, mask=there)
    tl.store(gone_out + place, (before != after).to(tl.uint8), mask=there)
    tl.store(forbidden_out + place, (allowed == 0).to(tl.uint8), mask=there)


@kernel
def _place(wish, before, after, energy, level, cost, level_of, segment_of, level_out, segment_out, upkeep, tolerance,
           place, there, actions, with_budgets: tl.constexpr):
    """Boosts of the next step; gives whether the items may choose them."""
    inside = tl.minimum(tl.maximum(wish, 0), actions - 1)
    can = before
    if with_budgets:
        price = tl.load(cost + tl.load(level_of + inside))
        can = before & (price <= _spare(energy, level, cost, upkeep, tolerance, place, there))
    allowed = (wish == inside) & ((inside == 0) | can)
    taken = tl.where(allowed & after, inside, 0)
    tl.store(level_out + place, tl.load(level_of + taken), mask=there)
    tl.store(segment_out + place, tl.load(segment_of + taken), mask=there)
    return allowed


@kernel
def _mask(alive, energy, level, cost, level_of, out, upkeep, tolerance, total, actions, with_budgets: tl.constexpr,
          height: tl.constexpr, width: tl.constexpr):
    place = (tl.program_id(0).to(tl.int64) * height + tl.arange(0, height))[:, None]
    column = tl.arange(0, width)[None, :]
    there = place < total
    can = tl.load(alive + place, mask=there, other=0) != 0
    if with_budgets:
        price = tl.load(cost + tl.load(level_of + column, mask=column < actions, other=0))
        can &= price <= _spare(energy, level, cost, upkeep, tolerance, place, there)
    tl.store(out + place * actions + column, ((column == 0) | can).to(tl.uint8), mask=there & (column < actions))


@kernel
def _boosts(level, segment, score, own_out, rivals_out, worlds, items, segments, others, depth: tl.constexpr,
            height: tl.constexpr, width: tl.constexpr):
    world = tl.program_id(0) * depth + tl.arange(0, depth)[:, None, None]
    item, column = tl.arange(0, height)[None, :, None], tl.arange(0, width)[None, None, :]
    there = (world < worlds) & (item < items)
    place = world.to(tl.int64) * items + item
    own = tl.load(score + tl.load(level + place, mask=there, other=0))
    own = tl.where(there & (tl.load(segment + place, mask=there, other=0) == column), own, 0.0)
    rivals = tl.div_rn(tl.sum(own, axis=1, keep_dims=True) - own, others)
    cell, here = place * segments + column, there & (column < segments)
    tl.store(own_out + cell, own, mask=here)
    tl.store(rivals_out + cell, rivals, mask=here)


def can_move(state: Any) -> bool:
    """Whether ``move`` takes such worlds."""
    return 0 < state["wearout"].numel() <= _MOST and users_gpu.can_move(state)


def counts(state: Any) -> bool:
    """Whether ``move`` adds up what so few users responded to each item."""
    return bool(state.active.shape[1] <= _COUNTED)


def move(constants: Any, state: Any, choice: Any, heard: Tensor | None, action: Tensor, returning: int,
         drifting: int) -> tuple[dict[str, Tensor], Tensor, tuple[Tensor, ...]]:
    """What all built-in mechanisms make of a step.

    Args:
        constants: the market's.
        state: the worlds.
        choice: what users did, a ``world.UserOutcome``.
        heard: float32 ``[B, I, C]``, the responses to items from each segment; None = add them up.
        action: int64 ``[B, I]``, of items.
        returning: the stream of the noise of users who return.
        drifting: that of drift.

    Returns:
        The tables of mechanisms, ``popularity``, and the fields of ``world.ItemOutcome``.
    """
    built_in, margin, own, segments = (constants.built_in, state.population.margin, state.population.segment,
                                       state["wearout"].shape[2])
    with_boosts, budgets = not built_in.boosts.is_idle, built_in.budgets
    names = ("wearout", *["energy"] * built_in.has_budgets, *["boost_level", "boost_segment"] * with_boosts)
    found = {name: torch.empty_like(state[name], memory_format=torch.contiguous_format) for name in names}
    popularity, *earned = (state.popularity.new_empty(action.shape) for _ in range(4))
    gone, forbidden, alive = (torch.empty(action.shape, dtype=torch.bool, device=action.device) for _ in range(3))
    with torch.cuda.device_of(action):
        _move[(triton.cdiv(action.numel(), _ITEMS),)](
            action.contiguous(), heard, choice.item.contiguous(), choice.response.contiguous(), own, *own.stride(),
            *_budget(state), state["wearout"].contiguous(),
            state.population.segments(segments).divisor.contiguous(), state.popularity.contiguous(), margin,
            *margin.stride(), built_in.boosts.by_level.cost, constants.level_of, constants.segment_of,
            found.get("energy"), alive.view(torch.uint8), found.get("boost_level"), found.get("boost_segment"),
            found["wearout"], popularity, *earned, gone.view(torch.uint8), forbidden.view(torch.uint8),
            *map(float, (built_in.wearout.decay, budgets.upkeep, budgets.max, TOLERANCE)), action.numel(),
            action.shape[1], segments, len(constants.level_of), users=own.shape[1] if heard is None else 0,
            with_budgets=built_in.has_budgets, with_boosts=with_boosts, height=_ITEMS,
            width=triton.next_power_of_2(segments), enable_fp_fusion=False)
    living = {"alive": alive} if built_in.has_budgets else {}
    of_users = users_gpu.update_users(constants, state, choice.item, choice.response, returning, drifting)
    return {**of_users, **found, **living}, popularity, (*earned, gone, forbidden.sum(1))


def boost_mask(constants: Any, state: Any) -> Tensor:
    """What ``masks.boost_mask`` gives where items can boost."""
    actions = len(constants.level_of)
    out = torch.empty((*state.alive.shape, actions), dtype=torch.bool, device=state.alive.device)
    width = triton.next_power_of_2(actions)
    height = max(1, _TILE // width)
    if out.numel() > 0:
        energy, alive, level = _budget(state)
        with torch.cuda.device_of(out):
            _mask[(triton.cdiv(alive.numel(), height),)](
                alive, energy, level, constants.built_in.boosts.by_level.cost, constants.level_of,
                out.view(torch.uint8), float(constants.built_in.budgets.upkeep), TOLERANCE, alive.numel(), actions,
                with_budgets=constants.built_in.has_budgets, height=height, width=width, enable_fp_fusion=False)
    return out


def own_and_rivals(boosts: Any, state: Any, num_segments: int) -> tuple[Tensor, Tensor] | None:
    """What ``Boosts.own_and_rivals`` gives; None where a world has too many cells."""
    level, segment = state["boost_level"].contiguous(), state["boost_segment"].contiguous()
    worlds, items = level.shape
    height, width = triton.next_power_of_2(max(1, items)), triton.next_power_of_2(num_segments)
    if height * width > _TILE:
        return None
    depth = max(1, _CELLS // (height * width))
    own, rivals = (boosts.by_level.score.new_empty(worlds, items, num_segments) for _ in range(2))
    if own.numel() > 0:
        with torch.cuda.device_of(level):
            _boosts[(triton.cdiv(worlds, depth),)](
                level, segment, boosts.by_level.score, own, rivals, worlds, items, num_segments,
                float(max(1, items - 1)), depth=depth, height=height, width=width, enable_fp_fusion=False)
    return own, rivals


def _budget(state: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What items have, which of them live, and how hard each boosts."""
    return state["energy"].contiguous(), as_bytes(state.alive), state["boost_level"].contiguous()
