"""Triton kernels of ``table_operators``: each reads what it needs once and writes its table once."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
import triton
import triton.language as tl
from torch import Tensor

from interplay.envs.kernels import table_operators
from interplay.envs.kernels.noise_gpu import kernel

_TILE = 2048  # values of a table that a program writes
_BLOCK = 512  # products that a program computes
_MOST_PARTS = 6
_MOST = 2**31 - 2**12  # values of a table that 32 bits can number
_LONGEST = 64  # inner products of more numbers are left to a library
_STRIDES = ("factor_batch", "factor_row", "places",
            *(f"{name}{p}" for p in range(_MOST_PARTS) for name in ("batch", "row", "slot")))


@kernel
def _with(table, part, batch, row_stride, slot_stride, stride, start: tl.constexpr, end: tl.constexpr,
          by_item: tl.constexpr, world, row, slot, item, there, column):
    """The table, with a part in its columns from ``start`` to ``end``."""
    if end > start:
        here = (column >= start) & (column < end)
        place = world * batch + (item * row_stride if by_item else row * row_stride + slot * slot_stride)
        value = tl.load(part + place[:, None] + ((column - start) * stride)[None, :],
                        mask=there[:, None] & here[None, :], other=0.0)
        table = tl.where(here[None, :], value, table)
    return table


@partial(kernel, unspecialised=_STRIDES)
def _joined(out, items, valid, factor, factor_batch, factor_row, factor_stride, bound, places, rows, slots,
            part0, batch0, row0, slot0, stride0, part1, batch1, row1, slot1, stride1,
            part2, batch2, row2, slot2, stride2, part3, batch3, row3, slot3, stride3,
            part4, batch4, row4, slot4, stride4, part5, batch5, row5, slot5, stride5,
            c1: tl.constexpr, c2: tl.constexpr, c3: tl.constexpr, c4: tl.constexpr, c5: tl.constexpr, c6: tl.constexpr,
            g0: tl.constexpr, g1: tl.constexpr, g2: tl.constexpr, g3: tl.constexpr, g4: tl.constexpr, g5: tl.constexpr,
            with_items: tl.constexpr, with_valid: tl.constexpr, at: tl.constexpr, factored: tl.constexpr,
            height: tl.constexpr, width: tl.constexpr):
    place = tl.program_id(0) * height + tl.arange(0, height)
    column = tl.arange(0, width)
    there = place < places
    slot, row, world = place % slots, place // slots % rows, (place // slots // rows).to(tl.int64)
    item = tl.load(items + place, mask=there, other=0) if with_items else slot
    table = tl.zeros((height, width), tl.float32)
    table = _with(table, part0, batch0, row0, slot0, stride0, 0, c1, g0, world, row, slot, item, there, column)
    table = _with(table, part1, batch1, row1, slot1, stride1, c1, c2, g1, world, row, slot, item, there, column)
    table = _with(table, part2, batch2, row2, slot2, stride2, c2, c3, g2, world, row, slot, item, there, column)
    table = _with(table, part3, batch3, row3, slot3, stride3, c3, c4, g3, world, row, slot, item, there, column)
    table = _with(table, part4, batch4, row4, slot4, stride4, c4, c5, g4, world, row, slot, item, there, column)
    table = _with(table, part5, batch5, row5, slot5, stride5, c5, c6, g5, world, row, slot, item, there, column)
    if factored > 0:
        times = factor + (world * factor_batch + row * factor_row)[:, None]
        here = there[:, None] & (column >= at)[None, :] & (column < at + factored)[None, :]
        table *= tl.load(times + ((column - at) * factor_stride)[None, :], mask=here, other=1.0)
    if with_valid:
        table *= tl.load(valid + place, mask=there, other=0).to(tl.float32)[:, None]
    table = tl.where(table > bound, bound, table)  # NaN stays
    table = tl.where(table < -bound, -bound, table)
    first = place.to(tl.int64) * c6
    tl.store(out + first[:, None] + column[None, :], table, mask=there[:, None] & (column < c6)[None, :])


@partial(kernel, unspecialised=("one_batch", "two_batch", "total"))
def _products(one, two, out, one_batch, one_row, one_stride, two_batch, two_row, two_stride, total, rows, columns,
              inner: tl.constexpr, block: tl.constexpr):
    place = tl.program_id(0) * block + tl.arange(0, block)
    there = place < total
    column, row, world = place % columns, place // columns % rows, (place // columns // rows).to(tl.int64)
    left, right = one + world * one_batch + row * one_row, two + world * two_batch + column * two_row
    product = tl.zeros((block,), tl.float32)
    for d in tl.static_range(inner):
        product += (tl.load(left + d * one_stride, mask=there, other=0.0)
                    * tl.load(right + d * two_stride, mask=there, other=0.0))
    tl.store(out + place, product, mask=there)


def joined(parts: list[Tensor], by_item: list[int], items: Tensor | None, factor: Tensor | None, at: int,
           valid: Tensor | None, bound: float) -> Tensor:
    """What ``table_operators.joined`` gives; see there."""
    widths = [part.shape[-1] for part in parts]
    out = table_operators.joined_alike(parts, by_item, items, factor, at, valid, bound)
    if len(parts) > _MOST_PARTS or sum(widths) > _TILE or out.numel() > _MOST:
        return table_operators.joined_by_torch(parts, by_item, items, factor, at, valid, bound)
    slots = out.shape[2] if out.dim() == 4 else 1
    padding, width = [0] * (_MOST_PARTS - len(parts)), triton.next_power_of_2(max(1, out.shape[-1]))
    places, height = out[..., 0].numel() if out.numel() else 0, _TILE // width
    if places == 0:
        return out
    strides = (0, 0, 0) if factor is None else (factor.stride(0), factor.stride(1), factor.stride(3))
    with torch.cuda.device_of(out):
        _joined[(triton.cdiv(places, height),)](
            out, None if items is None else items.contiguous(),
            None if valid is None else valid.contiguous().view(torch.uint8), factor, *strides, bound, places,
            out.shape[1], slots,
            *(value for p, part in enumerate(parts) for value in (part, *_strides(part, p in by_item))),
            *(value for _ in padding for value in (out, 0, 0, 0, 0)), *accumulate([*widths, *padding]),
            *(p in by_item for p in range(_MOST_PARTS)), with_items=items is not None, with_valid=valid is not None,
            at=at, factored=0 if factor is None else factor.shape[-1], height=height, width=width)
    return out


def _strides(part: Tensor, by_item: bool) -> tuple[int, int, int, int]:
    """Of worlds, rows, slots and columns."""
    slot = part.stride(2) if part.dim() == 4 and not by_item else 0
    return part.stride(0), part.stride(1), slot, part.stride(-1)


def products(one: Tensor, two: Tensor) -> Tensor:
    """What ``table_operators.products`` gives; see there."""
    inner = one.shape[2]
    out = table_operators.products_alike(one, two)
    if inner > _LONGEST or out.numel() > _MOST:
        return table_operators.products_by_torch(one, two)
    if out.numel() > 0:
        with torch.cuda.device_of(out):
            _products[(triton.cdiv(out.numel(), _BLOCK),)](one, two, out, *one.stride(), *two.stride(), out.numel(),
                                                           *out.shape[1:], inner=inner, block=_BLOCK)
    return out
