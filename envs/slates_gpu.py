"""Slates drawn by one Triton kernel: noise, the highest and their log-propensity, which take torch about 40 kernels.

A program draws a few users' slates whole; the scores of their candidates stay in registers. Each thread has users of
its own, so that no two of them exchange anything to find the highest of few candidates.
"""

from __future__ import annotations

import os

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

from interplay.envs.constants import MarketConstants
from interplay.envs.hashing import STREAM, signed
from interplay.envs.kernels.noise_gpu import drawn_by, kernel, words_of
from interplay.envs.kernels.tables_gpu import places_of
from interplay.envs.noise import Stream
from interplay.envs.slate_draws import draw
from interplay.envs.slates import retrieves
from interplay.envs.world import Slate, State

_WIDEST = 4096  # candidates of one user that fit registers
_WARP = 32  # users of a program, if registers of as many threads hold all their candidates
_TILE = 1024  # candidates that 32 threads hold
_LONGEST = 64  # products of longer vectors are left to a library

# The logarithms and exponentials that torch uses on a GPU; the interpreter knows Triton's own alone.
_math = tl if os.environ.get("TRITON_INTERPRET") == "1" else libdevice


@kernel
def _fill(rest, row, world, there, start, key, step, places, valid, log_propensity, stream, size: tl.constexpr):
    """Write the slates of the users ``row [1, R]`` of ``world``, by the scores ``rest [M, R]`` of their candidates."""
    candidate = tl.arange(0, rest.shape[0])[:, None]
    one, two = words_of(key, step, world, there, 0, stream, 1, True)
    index = start.to(tl.uint32, bitcast=True) + candidate.to(tl.uint32)
    noisy = rest - _math.log(-_math.log(drawn_by(one, two, index)))
    total = tl.zeros(there.shape, tl.float32)
    for slot in range(size):
        best, place = tl.max(noisy, axis=0, return_indices=True, keep_dims=True)
        here = candidate == place
        # Mass that is left when the slot is drawn: what no earlier slot took.
        most = tl.max(rest, axis=0, keep_dims=True)
        left = _math.log(tl.sum(_math.exp(rest - most), axis=0, keep_dims=True))
        chosen = tl.sum(tl.where(here, rest, 0.0), axis=0, keep_dims=True)
        shown = best > -float("inf")
        # Differences first: float32 loses the chances in scores of hundreds.
        total += tl.where(shown, (chosen - most) - left, 0.0)
        tl.store(places + row * size + slot, place.to(tl.int64), mask=there)
        tl.store(valid + row * size + slot, shown.to(tl.uint8), mask=there)
        noisy = tl.where(here, -float("inf"), noisy)
        rest = tl.where(here, -float("inf"), rest)
    tl.store(log_propensity + row, total, mask=there)


@kernel
def _draw(score, key, step, first, places, valid, log_propensity, stream, offset, rows, users, count,
          size: tl.constexpr, with_first: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    place = tl.program_id(0) * height + tl.arange(0, height)[None, :]
    candidate = tl.arange(0, width)[:, None]
    there, row = place < rows, place.to(tl.int64)
    rest = tl.load(score + row * count + candidate, mask=there & (candidate < count), other=-float("inf"))
    start = tl.load(first + place % users, mask=there, other=0) if with_first else place % users * count + offset
    _fill(rest, row, (place // users).to(tl.int64), there, start, key, step, places, valid, log_propensity, stream,
          size)


@kernel
def _draw_scored(taste, taste_batch, taste_row, taste_stride, vector, vector_batch, vector_row, vector_stride,
                 segment, segment_batch, segment_row, alive, boost_segment, boost_level, level_score, temperature,
                 key, step, places, valid, log_propensity, stream, worlds, users, count, inner: tl.constexpr,
                 size: tl.constexpr, of_one: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    world, user, there = places_of(worlds, users, of_one, height)
    world, user, there = world[None, :], user[None, :], there[None, :]
    row = world * users + user
    item = tl.arange(0, width)[:, None]
    here = (world < worlds) & (item < count)
    mine, theirs = taste + world * taste_batch + user * taste_row, vector + world * vector_batch + item * vector_row
    rest = tl.zeros((width, height), tl.float32)
    for first in range(0, inner, 8):
        for n in tl.static_range(8):
            d = first + n
            rest += (tl.load(mine + d * taste_stride, mask=there & (d < inner), other=0.0)
                     * tl.load(theirs + d * vector_stride, mask=here & (d < inner), other=0.0))
    own = tl.load(segment + world * segment_batch + user * segment_row, mask=there, other=0)
    cell = world * count + item
    boost = tl.load(level_score + tl.load(boost_level + cell, mask=here, other=0))
    boosted = tl.load(boost_segment + cell, mask=here, other=0) == own
    rest = tl.div_rn(rest, temperature) + tl.where(boosted, boost, 0.0)
    rest = tl.where(here & (tl.load(alive + cell, mask=here, other=0) != 0), rest, -float("inf"))
    _fill(rest, row, world, there, user * count, key, step, places, valid, log_propensity, stream, size)


def draw_slates(score: Tensor, key: Tensor, step: Tensor, offset: int, first: Tensor | None,
                size: int) -> tuple[Tensor, Tensor, Tensor]:
    """What ``slates.draw`` gives; see there."""
    worlds, users, count = score.shape
    if count > _WIDEST:
        return draw(score, key, step, offset, first, size)
    slates = _empty(score, worlds, users, size)
    height, width, warps = _tile(count)
    if worlds * users > 0:
        with torch.cuda.device_of(score):
            _draw[(triton.cdiv(worlds * users, height),)](
                score.contiguous(), key.contiguous(), step.contiguous(), None if first is None else first.contiguous(),
                *_written(slates), signed(int(Stream.SLATE) * STREAM), signed(offset), worlds * users, users, count,
                size=size, with_first=first is not None, height=height, width=width, num_warps=warps)
    return slates


def build_slates(constants: MarketConstants, state: State) -> Slate | None:
    """What ``slates.build_slates`` gives where slates are drawn from all items; else None."""
    config, population, taste = constants.config, state.population, state.user_vector
    if (constants.lists is not None or retrieves(constants) or constants.mechanisms.have("slate_score")
            or config.num_items > _WIDEST or taste.shape[2] > _LONGEST):
        return None
    return Slate(*draw_scored(
        taste, population.item_vector, population.segment, state.alive, state["boost_segment"], state["boost_level"],
        constants.built_in.boosts.by_level.score, float(config.temperature), state.key, state.time, config.slate_size))


def draw_scored(taste: Tensor, vector: Tensor, segment: Tensor, alive: Tensor, boost_segment: Tensor,
                boost_level: Tensor, level_score: Tensor, temperature: float, key: Tensor, step: Tensor,
                size: int) -> tuple[Tensor, Tensor, Tensor]:
    """What ``slates.draw`` gives by products of tastes and items, and boosts, without a table of these scores.

    Args:
        taste: float32 ``[B, U, D]``.
        vector: float32 ``[B, I, D]``.
        segment: int64 ``[B, U]``.
        alive: bool ``[B, I]``; others must not be shown.
        boost_segment: int64 ``[B, I]``.
        boost_level: int64 ``[B, I]``.
        level_score: float32 ``[1 + L]``, see ``boosts.ByLevel``.
        temperature: by which products are divided.
        key: int32 ``[B, 2]``.
        step: int32 ``[B]``.
        size: K.
    """
    (worlds, users, inner), count = taste.shape, vector.shape[1]
    slates = _empty(taste, worlds, users, size)
    height, width, warps = _tile(count)
    of_one = users >= height
    programs = worlds * triton.cdiv(users, height) if of_one else triton.cdiv(worlds * users, height)
    if programs > 0:
        with torch.cuda.device_of(taste):
            _draw_scored[(programs,)](
                taste, *taste.stride(), vector, *vector.stride(), segment, *segment.stride(),
                alive.contiguous().view(torch.uint8), boost_segment.contiguous(), boost_level.contiguous(),
                level_score, temperature, key.contiguous(), step.contiguous(), *_written(slates),
                signed(int(Stream.SLATE) * STREAM), worlds, users, count, inner=inner, size=size,
                of_one=of_one, height=height, width=width, num_warps=warps)
    return slates


def _tile(count: int) -> tuple[int, int, int]:
    """Users and candidates of a program, and its warps."""
    width = triton.next_power_of_2(count)
    return max(1, min(_WARP, _TILE // width)), width, max(1, width // _TILE)


def _empty(like: Tensor, worlds: int, users: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    places = like.new_empty((worlds, users, size), dtype=torch.int64)
    return places, torch.empty_like(places, dtype=torch.bool), like.new_empty((worlds, users))


def _written(slates: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """As kernels write them."""
    places, valid, log_propensity = slates
    return places, valid.view(torch.uint8), log_propensity
