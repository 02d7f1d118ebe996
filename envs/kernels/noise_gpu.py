"""Draws of noise as one Triton kernel each: the same bits as ``hashing`` gives, which needs about 30 kernels.

A program of a kernel draws a tile: some rows, and some columns of each. Draws of one world follow one another in a row,
so that the words of its key are hashed once a row. ``noise_operators`` imports this module where Triton is installed.
With ``TRITON_INTERPRET=1`` in the environment it runs on tensors in the CPU's memory, for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from interplay.envs import hashing
from interplay.envs.hashing import GOLDEN, STREAM, signed

_TILE = 1024  # draws of one program
_LONGEST = 1 << 14  # options of a row that one program compares

# Kernels read only such constants.
_GOLDEN = tl.constexpr(GOLDEN + (1 << 32))
_MULTIPLIER_1 = tl.constexpr(hashing.MULTIPLIER_1)
_MULTIPLIER_2 = tl.constexpr(hashing.MULTIPLIER_2 + (1 << 32))


def kernel(function: Callable[..., Any], unspecialised: Sequence[str] = ("counter", "stream", "offset")) -> Any:
    """For what a GPU runs. No kernel is compiled again for the values of these, as they vary from step to step."""
    return triton.jit(function, do_not_specialize=unspecialised)


@kernel
def _mix(x):
    x ^= x >> 16
    x *= _MULTIPLIER_1
    x ^= x >> 15
    x *= _MULTIPLIER_2
    return x ^ (x >> 16)


@kernel
def words_of(key, step, world, there, counter, stream, step_stride, with_step: tl.constexpr):
    """Two words of each of the worlds ``world``, that ``drawn_by`` needs."""
    one = tl.load(key + world * 2, mask=there, other=0).to(tl.uint32, bitcast=True)
    two = tl.load(key + world * 2 + 1, mask=there, other=0).to(tl.uint32, bitcast=True)
    one = _mix(one + stream.to(tl.uint32, bitcast=True))
    if with_step:
        steps = tl.load(step + world * step_stride, mask=there, other=0).to(tl.uint32, bitcast=True)
        one = _mix(one + steps * _GOLDEN)
    else:
        one = _mix(one + counter.to(tl.uint32, bitcast=True))
    return one, _mix(two ^ one)


@kernel
def drawn_by(one, two, index):
    """Draws with the numbers ``index`` uint32, of worlds with these words; the three broadcast together."""
    bits = one + index * _GOLDEN
    bits ^= bits >> 15
    bits *= _MULTIPLIER_1
    bits = _mix(bits ^ two)
    return ((bits >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07  # 2^-23


@kernel
def _uniform(key, step, first, out, counter, stream, offset, step_stride,
             rows, starts, count, with_step: tl.constexpr, with_first: tl.constexpr,
             height: tl.constexpr, width: tl.constexpr):
    blocks = tl.cdiv(count, width)
    row = tl.program_id(0) // blocks * height + tl.arange(0, height)
    column = tl.program_id(0) % blocks * width + tl.arange(0, width)
    there = row < rows
    start = offset.to(tl.uint32, bitcast=True) + tl.zeros((height,), tl.uint32)
    if with_first:
        start += tl.load(first + row % starts, mask=there, other=0).to(tl.uint32, bitcast=True)
    index = start[:, None] + column.to(tl.uint32)[None, :]
    one, two = words_of(key, step, (row // starts).to(tl.int64), there, counter, stream, step_stride, with_step)
    drawn = drawn_by(one[:, None], two[:, None], index)
    place = row.to(tl.int64)[:, None] * count + column[None, :]
    tl.store(out + place, drawn, mask=there[:, None] & (column < count)[None, :])


@kernel
def _any_of(key, step, mask, out, counter, stream, offset, step_stride,
            rows, each, count, with_step: tl.constexpr, height: tl.constexpr,
            width: tl.constexpr):
    row = tl.program_id(0) * height + tl.arange(0, height)
    column = tl.arange(0, width)
    there = row < rows
    start = offset.to(tl.uint32, bitcast=True) + (row % each * count).to(tl.uint32)
    index = start[:, None] + column.to(tl.uint32)[None, :]
    one, two = words_of(key, step, (row // each).to(tl.int64), there, counter, stream, step_stride, with_step)
    drawn = drawn_by(one[:, None], two[:, None], index)
    place = row.to(tl.int64)[:, None] * count + column[None, :]
    allowed = tl.load(mask + place, mask=there[:, None] & (column < count)[None, :], other=0) != 0
    tl.store(out + row, tl.argmax(tl.where(allowed, drawn, -1.0), axis=1).to(tl.int64), mask=there)


def uniform(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, first: Tensor | None,
            count: int) -> Tensor:
    """What ``hashing.uniform`` gives; see there."""
    worlds, starts = key.shape[0], 1 if first is None else first.shape[0]
    out = key.new_empty((worlds, count) if first is None else (worlds, starts, count), dtype=torch.float32)
    rows, width = worlds * starts, min(_TILE, triton.next_power_of_2(max(1, count)))
    if out.numel() > 0:
        with torch.cuda.device_of(key):
            _uniform[(triton.cdiv(rows, _TILE // width) * triton.cdiv(count, width),)](
                key.contiguous(), step, None if first is None else first.contiguous(), out,
                *_words(step, number, stream, offset), rows, starts, count, with_step=step is not None,
                with_first=first is not None, height=_TILE // width, width=width)
    return out


def any_of(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """What ``hashing.any_of`` gives; see there."""
    count = mask.shape[-1]
    if count > _LONGEST:
        draws = uniform(key, step, number, stream, offset, None, mask.numel() // key.shape[0])
        return hashing.highest(draws.view(mask.shape), mask)
    out = mask.new_empty(mask.shape[:-1], dtype=torch.int64)
    rows, width = out.numel(), triton.next_power_of_2(count)
    height = max(1, _TILE // width)
    if rows > 0:
        with torch.cuda.device_of(key):
            _any_of[(triton.cdiv(rows, height),)](
                key.contiguous(), step, mask.contiguous().view(torch.uint8), out,
                *_words(step, number, stream, offset), rows, rows // key.shape[0], count, with_step=step is not None,
                height=height, width=width)
    return out


def _words(step: Tensor | None, number: int, stream: int, offset: int) -> tuple[int, int, int, int]:
    """``counter``, ``stream``, ``offset`` and ``step_stride`` of a kernel."""
    stride = 0 if step is None or step.shape[0] == 1 else step.stride(0)
    return signed(number * GOLDEN), signed(stream * STREAM), signed(offset), stride
