"""Slates drawn by one Triton kernel: noise, the highest and their log-propensity, which take torch about 40 kernels.

A program draws a few users' slates whole; the scores of their candidates stay in registers.
"""

from __future__ import annotations

import os

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra import libdevice

from interplay.envs.hashing import STREAM, signed
from interplay.envs.kernels.noise_gpu import drawn_by, kernel
from interplay.envs.noise import Stream
from interplay.envs.slates import draw

_TILE = 1024  # candidates that a program ranks, of as many users as they belong to
_WIDEST = 4096  # candidates of one user that fit registers

# The logarithms and exponentials that torch uses on a GPU; the interpreter knows Triton's own alone.
_math = tl if os.environ.get("TRITON_INTERPRET") == "1" else libdevice


@kernel
def _draw(score, key, step, first, places, valid, log_propensity, stream, offset, rows, users, count,
          size: tl.constexpr, with_first: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    row = tl.program_id(0) * height + tl.arange(0, height)
    column = tl.arange(0, width)
    there = row < rows
    row_64 = row.to(tl.int64)
    rest = tl.load(score + row_64[:, None] * count + column[None, :],
                   mask=there[:, None] & (column < count)[None, :], other=-float("inf"))
    start = tl.load(first + row % users, mask=there, other=0) if with_first else row % users * count + offset
    index = start.to(tl.uint32, bitcast=True)[:, None] + column.to(tl.uint32)[None, :]
    drawn = drawn_by(key, step, (row // users).to(tl.int64), there, 0, stream, 1, index, True)
    noisy = rest - _math.log(-_math.log(drawn))
    total = tl.zeros((height,), tl.float32)
    for slot in range(size):
        best, place = tl.max(noisy, axis=1, return_indices=True)
        here = column[None, :] == place[:, None]
        # Mass that is left when the slot is drawn: what no earlier slot took.
        most = tl.max(rest, axis=1)
        left = most + _math.log(tl.sum(_math.exp(rest - most[:, None]), axis=1))
        chosen = tl.sum(tl.where(here, rest, 0.0), axis=1)
        shown = best > -float("inf")
        total += tl.where(shown, chosen - left, 0.0)
        tl.store(places + row_64 * size + slot, place.to(tl.int64), mask=there)
        tl.store(valid + row_64 * size + slot, shown.to(tl.uint8), mask=there)
        noisy = tl.where(here, -float("inf"), noisy)
        rest = tl.where(here, -float("inf"), rest)
    tl.store(log_propensity + row, total, mask=there)


def draw_slates(score: Tensor, key: Tensor, step: Tensor, offset: int, first: Tensor | None,
                size: int) -> tuple[Tensor, Tensor, Tensor]:
    """What ``slates.draw`` gives; see there."""
    worlds, users, count = score.shape
    if count > _WIDEST:
        return draw(score, key, step, offset, first, size)
    places = score.new_empty((worlds, users, size), dtype=torch.int64)
    valid = torch.empty_like(places, dtype=torch.bool)
    log_propensity = score.new_empty((worlds, users))
    width = triton.next_power_of_2(count)
    height = max(1, _TILE // width)
    if log_propensity.numel() > 0:
        with torch.cuda.device_of(score):
            _draw[(triton.cdiv(worlds * users, height),)](
                score.contiguous(), key.contiguous(), step.contiguous(), None if first is None else first.contiguous(),
                places, valid.view(torch.uint8), log_propensity, signed(int(Stream.SLATE) * STREAM), signed(offset),
                worlds * users, users, count, size=size, with_first=first is not None, height=height, width=width)
    return places, valid, log_propensity
