"""Layer normalisation of narrow rows by Triton kernels: torch's own spends many threads on each row of 64 numbers.

A program takes a tile of rows, whole, so that each number is read once. Nothing but the input is kept for the backward
pass, which computes mean and variance again. Sums over rows are added up in a fixed order.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from interplay.envs.kernels.noise_gpu import kernel

_TILE = 2048  # numbers that a program holds at a time
_PROGRAMS = 1024  # at most, of a backward pass: each gives one row of sums


@kernel
def _normalised(rows, place, column, there, size, eps):
    """Rows of mean 0 and variance 1, and the factors of that."""
    here = there[:, None] & (column < size)[None, :]
    value = tl.load(rows + place[:, None] * size + column[None, :], mask=here, other=0.0)
    centred = tl.where(here, value - (tl.sum(value, axis=1) / size)[:, None], 0.0)
    factor = 1.0 / tl.sqrt_rn(tl.sum(centred * centred, axis=1) / size + eps)
    return centred * factor[:, None], factor, here


@kernel
def _forward(rows, weight, bias, out, count, size, eps, height: tl.constexpr, width: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * height + tl.arange(0, height)
    column = tl.arange(0, width)
    normal, _, here = _normalised(rows, place, column, place < count, size, eps)
    times = tl.load(weight + column, mask=column < size, other=0.0)
    plus = tl.load(bias + column, mask=column < size, other=0.0)
    tl.store(out + place[:, None] * size + column[None, :], normal * times[None, :] + plus[None, :], mask=here)


@kernel
def _backward(rows, weight, grad, out, weight_sums, bias_sums, count, size, eps, programs,
              each: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    column = tl.arange(0, width)
    times = tl.load(weight + column, mask=column < size, other=0.0)
    weight_sum, bias_sum = tl.zeros((width,), tl.float32), tl.zeros((width,), tl.float32)
    for tile in range(each):
        place = (tl.program_id(0).to(tl.int64) + tile * programs) * height + tl.arange(0, height)
        normal, factor, here = _normalised(rows, place, column, place < count, size, eps)
        given = tl.load(grad + place[:, None] * size + column[None, :], mask=here, other=0.0)
        weight_sum += tl.sum(given * normal, axis=0)
        bias_sum += tl.sum(given, axis=0)
        scaled = given * times[None, :]
        along = (tl.sum(scaled * normal, axis=1) / size)[:, None]
        mean = (tl.sum(scaled, axis=1) / size)[:, None]
        tl.store(out + place[:, None] * size + column[None, :], (scaled - mean - normal * along) * factor[:, None],
                 mask=here)
    tl.store(weight_sums + tl.program_id(0) * size + column, weight_sum, mask=column < size)
    tl.store(bias_sums + tl.program_id(0) * size + column, bias_sum, mask=column < size)


class LayerNorm(torch.autograd.Function):
    """``torch.nn.functional.layer_norm`` of the last axis, float32 ``[..., size]`` to the same shape."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        """The rows."""
        rows = rows.contiguous()
        out, count, size, height, width = _sizes(rows)
        if count > 0:
            with torch.cuda.device_of(rows):
                _forward[(triton.cdiv(count, height),)](rows, weight, bias, out, count, size, eps, height=height,
                                                        width=width)
        ctx.save_for_backward(rows, weight)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of the rows, the weight and the bias."""
        rows, weight = ctx.saved_tensors
        out, count, size, height, width = _sizes(rows)
        tiles = triton.cdiv(count, height)
        programs = min(tiles, _PROGRAMS)
        weight_sums, bias_sums = (rows.new_empty(programs, size) for _ in range(2))
        if count > 0:
            with torch.cuda.device_of(rows):
                _backward[(programs,)](rows, weight, grad.contiguous(), out, weight_sums, bias_sums, count, size,
                                       ctx.eps, programs, each=triton.cdiv(tiles, programs), height=height,
                                       width=width)
        return out, weight_sums.sum(0), bias_sums.sum(0), None


def _sizes(rows: Tensor) -> tuple[Tensor, int, int, int, int]:
    """A place for what is computed, how many rows and numbers of each there are, and how many a program holds."""
    size = rows.shape[-1]
    width = triton.next_power_of_2(size)
    return torch.empty_like(rows), rows.numel() // size, size, max(1, _TILE // width), width
