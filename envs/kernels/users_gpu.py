"""What users do in a step, by two Triton kernels of a GPU, for which torch takes about 90.

Each thread has users of its own: the numbers of a taste lie along the first axis of a tile, users along the second. The
arithmetic is that of the torch code, operation by operation: no product is added up without being rounded before.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

from interplay.envs.hashing import STREAM, signed
from interplay.envs.kernels.noise_gpu import drawn_by, kernel, words_of
from interplay.envs.kernels.tables_gpu import within
from interplay.envs.types import TOLERANCE

_USERS = 128  # of a program
_CELLS = 2048  # of a mask that a program writes
_LONGEST = 64  # numbers of a taste that registers hold
_MOST = 2**31 - 2**12  # numbers of a table that 32 bits can number

# The functions that torch uses on a GPU; the interpreter knows Triton's own alone.
_math = tl if os.environ.get("TRITON_INTERPRET") == "1" else libdevice
_TURN = tl.constexpr(2.0 * math.pi)


@kernel
def _users_of(total, users, height: tl.constexpr):
    """Numbers of a program's users among all, which of them there are, and their worlds."""
    place = tl.program_id(0) * height + tl.arange(0, height)[None, :]
    return place.to(tl.int64), place < total, (place // users).to(tl.int64)


@kernel
def _drawn(key, step, world, there, stream, index):
    one, two = words_of(key, step, world, there, 0, stream, 1, True)
    return drawn_by(one, two, index.to(tl.uint32))


@kernel
def _normal(key, step, world, there, stream, index, count):
    """What ``noise.normal`` draws, of ``count`` draws of each world those with these numbers."""
    cosine = _math.cos(_drawn(key, step, world, there, stream, count + index) * _TURN)
    return cosine * tl.sqrt_rn(_math.log(_drawn(key, step, world, there, stream, index)) * -2.0)


@kernel
def _normalised(vector):
    """Columns of length 1."""
    squares = tl.sum(vector * vector, axis=0, keep_dims=True)
    return tl.div_rn(vector, tl.maximum(tl.sqrt_rn(squares), 1e-12))


@kernel
def _slot_mask(valid, active, out, total, slots, height: tl.constexpr, width: tl.constexpr):
    place = (tl.program_id(0).to(tl.int64) * height + tl.arange(0, height))[:, None]
    column = tl.arange(0, width)[None, :]
    there = place < total
    can = tl.load(active + place, mask=there, other=0) != 0
    here = there & (column > 0) & (column <= slots)
    can &= tl.load(valid + place * slots + column - 1, mask=here, other=0) != 0
    tl.store(out + place * (slots + 1) + column, ((column == 0) | can).to(tl.uint8), mask=there & (column <= slots))


@kernel
def _respond(action, items, valid, active, position_out, item_out, response_out, forbidden_out,
             rows, rows_batch, rows_row, taste, taste_batch, taste_row, taste_stride, weight, weight_batch,
             weight_stride, segment, segment_batch, segment_row, mood, satiation, wearout, noticed, key, step,
             stream, mood_weight, satiation_weight, wearout_weight, total, users, num_items, segments,
             slots: tl.constexpr, inner: tl.constexpr, topics: tl.constexpr, with_satiation: tl.constexpr,
             with_wearout: tl.constexpr, height: tl.constexpr, width: tl.constexpr, topic_width: tl.constexpr):
    place, there, world = _users_of(total, users, height)
    user = place - world * users
    wish = tl.load(action + place, mask=there, other=0)
    inside = tl.minimum(tl.maximum(wish, 0), slots)
    cell = place * slots + tl.maximum(inside - 1, 0)
    filled = (tl.load(valid + cell, mask=there, other=0) != 0) & (tl.load(active + place, mask=there, other=0) != 0)
    allowed = (wish == inside) & ((inside == 0) | filled)
    position = tl.where(allowed, inside, 0)
    item = tl.load(items + place * slots + tl.maximum(position - 1, 0), mask=there, other=0)
    tl.store(position_out + place, position, mask=there)
    tl.store(item_out + place, item, mask=there)
    tl.store(forbidden_out + place, (allowed == 0).to(tl.uint8), mask=there)
    known = rows + world * rows_batch + item * rows_row
    d = tl.arange(0, width)[:, None]
    here = there & (d < inner)
    own = tl.load(taste + world * taste_batch + user * taste_row + d * taste_stride, mask=here, other=0.0)
    weights = tl.load(weight + world * weight_batch + d * weight_stride, mask=here, other=0.0)
    theirs = tl.load(known + 3 + topics + d, mask=here, other=0.0)
    base = tl.sum(weights * own * theirs, axis=0, keep_dims=True) + tl.load(known + 1, mask=there, other=0.0)
    shift = mood_weight * tl.load(mood + place, mask=there, other=0.0)
    if with_satiation:
        g = tl.arange(0, topic_width)[:, None]
        tired = tl.load(satiation + place * topics + g, mask=there & (g < topics), other=0.0)
        of_item = tl.load(known + 3 + g, mask=there & (g < topics), other=0.0)
        shift += -(satiation_weight * tl.sum(tired * of_item, axis=0, keep_dims=True))
    if with_wearout:
        mine = tl.load(segment + world * segment_batch + user * segment_row, mask=there, other=0)
        worn = tl.load(wearout + (world * num_items + item) * segments + mine, mask=there, other=0.0)
        shift += -(wearout_weight * worn)
    rate = tl.div_rn(1.0, 1.0 + _math.exp(-(base + shift))) * tl.load(noticed + position, mask=there, other=0.0)
    drawn = _drawn(key, step, world, there, stream, user)
    tl.store(response_out + place, (drawn < rate).to(tl.float32), mask=there)


@kernel
def _move(item, response, rows, rows_batch, rows_row, taste, taste_batch, taste_row, taste_stride, mood, active,
          satiation, taste_out, mood_out, active_out, satiation_out, key, step, returning, drifting, mood_decay,
          mood_max, mood_floor, return_rate, satiation_decay, satiation_gain, satiation_recovery, satiation_max,
          drift_rate, drift_noise, total, users, inner: tl.constexpr, topics: tl.constexpr, leaving: tl.constexpr,
          drifts: tl.constexpr, noisy: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
          topic_width: tl.constexpr):
    place, there, world = _users_of(total, users, height)
    user = place - world * users
    heard = tl.load(response + place, mask=there, other=0.0)
    known = rows + world * rows_batch + tl.load(item + place, mask=there, other=0) * rows_row
    moved = (mood_decay * tl.load(mood + place, mask=there, other=0.0)
             + heard * tl.load(known + 2, mask=there, other=0.0))
    moved = within(moved, -mood_max, mood_max)
    if leaving:
        present = tl.load(active + place, mask=there, other=0) != 0
        returns = _drawn(key, step, world, there, returning, user) < return_rate
        moved = tl.where(returns & (present == 0), 0.0, moved)
        stays = tl.where(present, moved > mood_floor, returns)
        tl.store(active_out + place, stays.to(tl.uint8), mask=there)
    tl.store(mood_out + place, moved, mask=there)
    g = tl.arange(0, topic_width)[:, None]
    of_topic = there & (g < topics)
    tired = (satiation_decay * tl.load(satiation + place * topics + g, mask=of_topic, other=0.0)
             + satiation_gain * heard * tl.load(known + 3 + g, mask=of_topic, other=0.0))
    tired = within(tired - satiation_recovery, 0.0, satiation_max)
    tl.store(satiation_out + place * topics + g, tired, mask=of_topic)
    if drifts:
        pull = drift_rate * heard
        d = tl.arange(0, width)[:, None]
        here = there & (d < inner)
        own = taste + world * taste_batch + user * taste_row + d * taste_stride
        new = (1.0 - pull) * tl.load(own, mask=here, other=0.0)
        new += pull * tl.load(known + 3 + topics + d, mask=here, other=0.0)
        if noisy:
            new += drift_noise * _normal(key, step, world, there, drifting, user * inner + d, users * inner)
        tl.store(taste_out + place * inner + d, _normalised(tl.where(here, new, 0.0)), mask=here)


def can_move(state: Any) -> bool:
    """Whether ``respond`` and ``update_users`` take such worlds."""
    taste, rows, slots = state.user_vector, state.population.item_rows, state.slate.items.shape[2]
    return bool(0 < taste.numel() <= _MOST and taste.shape[2] <= _LONGEST and slots > 0
                and state.population.topics.shape[2] <= _LONGEST and rows.stride(2) == 1)


def slot_mask(state: Any) -> Tensor:
    """What ``masks.slot_mask`` gives."""
    valid, active = as_bytes(state.slate.valid), as_bytes(state.active)
    slots = valid.shape[2]
    out = torch.empty((*active.shape, slots + 1), dtype=torch.bool, device=active.device)
    width = triton.next_power_of_2(slots + 1)
    height = max(1, _CELLS // width)
    if active.numel() > 0:
        with torch.cuda.device_of(out):
            _slot_mask[(triton.cdiv(active.numel(), height),)](valid, active, out.view(torch.uint8), active.numel(),
                                                               slots, height=height, width=width)
    return out


def respond(constants: Any, state: Any, action: Tensor, stream: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What ``user_choice.respond`` gives, if mechanisms are built in and the response is the preference formula.

    Args:
        constants: the market's.
        state: the worlds.
        action: int64 ``[B, U]``.
        stream: of the noise of responses.

    Returns:
        The fields of ``world.UserOutcome``.
    """
    built_in, population, (users, inner), topics = constants.built_in, state.population, *_sizes(state)
    position, item = torch.empty_like(action), torch.empty_like(action)
    forbidden, response = torch.empty_like(state.active), torch.empty_like(state["mood"])
    weight, wearout = population.preference_weight, state["wearout"].contiguous()
    with torch.cuda.device_of(action):
        _respond[(triton.cdiv(action.numel(), _USERS),)](
            action.contiguous(), state.slate.items.contiguous(), as_bytes(state.slate.valid), as_bytes(state.active),
            position, item, response, forbidden.view(torch.uint8), *_rows(state), *_with_strides(state.user_vector),
            weight, *weight.stride(), population.segment, *population.segment.stride(), state["mood"].contiguous(),
            state["satiation"].contiguous(), wearout, constants.noticed, *_noise(state), _spread(stream),
            *map(float, (built_in.mood.weight, built_in.satiation.weight, built_in.wearout.weight)), action.numel(),
            users, *wearout.shape[1:], slots=state.slate.items.shape[2], inner=inner, topics=topics,
            with_satiation=not built_in.satiation.is_idle, with_wearout=not built_in.wearout.is_idle,
            **_tile(inner, topics), enable_fp_fusion=False)
    return position, item, forbidden.sum(1), response


def update_users(constants: Any, state: Any, item: Tensor, response: Tensor, returning: int,
                 drifting: int) -> dict[str, Tensor]:
    """What moods, satiation and drift make of users' tables in a step.

    Args:
        constants: the market's.
        state: the worlds.
        item: int64 ``[B, U]``, what each user took.
        response: float32 ``[B, U]``.
        returning: the stream of the noise of users who return.
        drifting: that of drift.
    """
    mood, satiation, drift = (getattr(constants.built_in, name) for name in ("mood", "satiation", "drift"))
    (users, inner), topics = _sizes(state)
    found = {name: torch.empty_like(state[name], memory_format=torch.contiguous_format)
             for name in ("mood", "satiation", *["active"] * mood.leaving, *["user_vector"] * (not drift.is_idle))}
    active, taste = found.get("active"), found.get("user_vector")
    with torch.cuda.device_of(response):
        _move[(triton.cdiv(response.numel(), _USERS),)](
            item.contiguous(), response.contiguous(), *_rows(state), *_with_strides(state.user_vector),
            state["mood"].contiguous(), as_bytes(state.active), state["satiation"].contiguous(), taste, found["mood"],
            None if active is None else active.view(torch.uint8), found["satiation"], *_noise(state),
            _spread(returning), _spread(drifting), *map(float, (
                mood.decay, mood.max, TOLERANCE - mood.max, mood.return_rate, satiation.decay, satiation.gain,
                satiation.recovery, satiation.max, drift.rate, drift.noise)),
            response.numel(), users, inner=inner, topics=topics, leaving=mood.leaving, drifts=not drift.is_idle,
            noisy=drift.noise > 0.0, **_tile(inner, topics), enable_fp_fusion=False)
    return found


def _sizes(state: Any) -> tuple[tuple[int, int], int]:
    """U and D, and G."""
    return tuple(state.user_vector.shape[1:]), state.population.topics.shape[2]


def _rows(state: Any) -> tuple[Tensor, int, int]:
    rows = state.population.item_rows
    return rows, rows.stride(0), rows.stride(1)


def _with_strides(table: Tensor) -> tuple[Any, ...]:
    return table, *table.stride()


def as_bytes(table: Tensor) -> Tensor:
    """A table of bools as kernels read it."""
    return table.contiguous().view(torch.uint8)


def _noise(state: Any) -> tuple[Tensor, Tensor]:
    return state.key.contiguous(), state.time.contiguous()


def _spread(stream: int) -> int:
    return signed(int(stream) * STREAM)


def _tile(inner: int, topics: int) -> dict[str, int]:
    return {"height": _USERS, "width": triton.next_power_of_2(inner),
            "topic_width": triton.next_power_of_2(max(1, topics))}
