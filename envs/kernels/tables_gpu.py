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
_BLOCK = 512  # cells that a program gathers, or products that it computes,
_SMALL, _FEW = 128, 16  # but so few of more numbers than these, since each thread waits for one after another
_MOST_PARTS = 6
_MOST = 2**31 - 2**12  # values of a table that 32 bits can number
_LONGEST = 64  # inner products of more numbers are left to a library
_UNSPECIALISED = ("factor_batch", "factor_row", "worlds", "each",
                  *(f"{name}{p}" for p in range(_MOST_PARTS) for name in ("batch", "row", "slot", "item")))


@kernel
def within(value, low, high):
    """What torch's clamp gives: NaN stays."""
    value = tl.where(value < low, low, value)
    return tl.where(value > high, high, value)


@kernel
def places_of(worlds, each, of_one: tl.constexpr, height: tl.constexpr):
    """The world ``[1]`` or worlds ``[height]`` of a program's places, these places there, and whether they exist.

    ``of_one``: all are of one world, of which a program knows the number without dividing for each.
    """
    if of_one:
        blocks = tl.cdiv(each, height)
        world = tl.full((1,), tl.program_id(0) // blocks, tl.int32)
        place = tl.program_id(0) % blocks * height + tl.arange(0, height)
        there = place < each
    else:
        first = tl.program_id(0) * height + tl.arange(0, height)
        world, place = first // each, first % each
        there = world < worlds
    return world.to(tl.int64), place, there


@kernel
def _from(column, start: tl.constexpr, part, batch, row, slot, item, stride, address, batches, rows, slots, items):
    """Where columns from ``start`` on are: addresses in the first world, and strides; the last five hold before it."""
    here = column >= start
    own = part.to(tl.int64) + (column - start).to(tl.int64) * stride * 4
    return (tl.where(here, own, address), tl.where(here, batch, batches), tl.where(here, row, rows),
            tl.where(here, slot, slots), tl.where(here, item, items))


@partial(kernel, unspecialised=_UNSPECIALISED)
def _joined(out, items, valid, factor, factor_batch, factor_row, factor_stride, bound, worlds, each,
            part0, batch0, row0, slot0, item0, stride0, part1, batch1, row1, slot1, item1, stride1,
            part2, batch2, row2, slot2, item2, stride2, part3, batch3, row3, slot3, item3, stride3,
            part4, batch4, row4, slot4, item4, stride4, part5, batch5, row5, slot5, item5, stride5,
            c1: tl.constexpr, c2: tl.constexpr, c3: tl.constexpr, c4: tl.constexpr, c5: tl.constexpr, c6: tl.constexpr,
            slots: tl.constexpr, with_items: tl.constexpr, with_valid: tl.constexpr, at: tl.constexpr,
            factored: tl.constexpr, of_one: tl.constexpr, height: tl.constexpr, width: tl.constexpr):
    world, place, there = places_of(worlds, each, of_one, height)
    world, place, there = world[:, None], place[:, None], there[:, None]
    column = tl.arange(0, width)[None, :]
    zero = tl.zeros((1, width), tl.int32)
    first, b, r, s, i = zero.to(tl.int64), zero, zero, zero, zero
    first, b, r, s, i = _from(column, 0, part0, batch0, row0, slot0, item0, stride0, first, b, r, s, i)
    first, b, r, s, i = _from(column, c1, part1, batch1, row1, slot1, item1, stride1, first, b, r, s, i)
    first, b, r, s, i = _from(column, c2, part2, batch2, row2, slot2, item2, stride2, first, b, r, s, i)
    first, b, r, s, i = _from(column, c3, part3, batch3, row3, slot3, item3, stride3, first, b, r, s, i)
    first, b, r, s, i = _from(column, c4, part4, batch4, row4, slot4, item4, stride4, first, b, r, s, i)
    first, b, r, s, i = _from(column, c5, part5, batch5, row5, slot5, item5, stride5, first, b, r, s, i)
    slot, row = place % slots, place // slots
    numbers = world * each + place
    offset = row * r + slot * s
    if with_items:
        offset += tl.load(items + numbers, mask=there, other=0).to(tl.int32) * i
    address = first + (world * b + offset) * 4
    here = there & (column < c6)
    table = tl.load(address.to(tl.pointer_type(tl.float32)), mask=here, other=0.0)
    if factored > 0:
        times = factor + world * factor_batch + row * factor_row + (column - at) * factor_stride
        table *= tl.load(times, mask=there & (column >= at) & (column < at + factored), other=1.0)
    if with_valid:
        table *= tl.load(valid + numbers, mask=there, other=0).to(tl.float32)
    tl.store(out + numbers * c6 + column, within(table, -bound, bound), mask=here)


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


@kernel
def _cells(table, items, segment, segment_batch, segment_row, out, total, users, num_items, segments,
           slots: tl.constexpr, block: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = place < total
    row = place // slots
    world = row.to(tl.int32) // users
    user = row.to(tl.int32) - world * users
    own = tl.load(segment + world.to(tl.int64) * segment_batch + user * segment_row, mask=there, other=0)
    cell = (world.to(tl.int64) * num_items + tl.load(items + place, mask=there, other=0)) * segments + own
    tl.store(out + place, tl.load(table + cell, mask=there, other=0.0), mask=there)


def cells(table: Tensor, items: Tensor, segment: Tensor) -> Tensor:
    """Cells ``[B, U, K]`` of a table ``[B, I, C]`` for items int64 ``[B, U, K]`` and users' segments ``[B, U]``."""
    out = table.new_empty(items.shape)
    if out.numel() > 0:
        with torch.cuda.device_of(table):
            _cells[(triton.cdiv(out.numel(), _BLOCK),)](
                table.contiguous(), items.contiguous(), segment, *segment.stride(), out, out.numel(), items.shape[1],
                *table.shape[1:], slots=items.shape[2], block=_BLOCK)
    return out


def joined(parts: list[Tensor], by_item: list[int], items: Tensor | None, factor: Tensor | None, at: int,
           valid: Tensor | None, bound: float) -> Tensor:
    """What ``table_operators.joined`` gives; see there."""
    widths = [part.shape[-1] for part in parts]
    out = table_operators.joined_alike(parts, by_item, items, factor, at, valid, bound)
    if len(parts) > _MOST_PARTS or sum(widths) > _TILE or max(out.numel(), *map(_reach, parts)) > _MOST:
        return table_operators.joined_by_torch(parts, by_item, items, factor, at, valid, bound)
    slots, padding = out.shape[2] if out.dim() == 4 else 1, [0] * (_MOST_PARTS - len(parts))
    width = triton.next_power_of_2(max(1, out.shape[-1]))
    worlds, each, height = out.shape[0], out.shape[1] * slots, _TILE // width
    of_one = 2 * each > height
    programs = worlds * triton.cdiv(each, height) if of_one else triton.cdiv(worlds * each, height)
    if out.numel() == 0:
        return out
    strides = (0, 0, 0) if factor is None else (factor.stride(0), factor.stride(1), factor.stride(3))
    with torch.cuda.device_of(out):
        _joined[(programs,)](
            out, None if items is None else items.contiguous(),
            None if valid is None else valid.contiguous().view(torch.uint8), factor, *strides, bound, worlds, each,
            *(value for p, part in enumerate(parts) for value in (part, *_strides(part, p in by_item))),
            *(value for _ in padding for value in (out, 0, 0, 0, 0, 0)), *accumulate([*widths, *padding]),
            slots=slots, with_items=items is not None, with_valid=valid is not None, at=at,
            factored=0 if factor is None else factor.shape[-1], of_one=of_one, height=height, width=width)
    return out


def _reach(part: Tensor) -> int:
    """How far apart values of one world lie."""
    return sum((size - 1) * stride for size, stride in zip(part.shape[1:], part.stride()[1:], strict=True))


def _strides(part: Tensor, by_item: bool) -> tuple[int, int, int, int, int]:
    """Of worlds, rows, slots, items and columns."""
    if by_item:
        return part.stride(0), 0, 0, part.stride(1), part.stride(-1)
    return part.stride(0), part.stride(1), part.stride(2) if part.dim() == 4 else 0, 0, part.stride(-1)


def products(one: Tensor, two: Tensor) -> Tensor:
    """What ``table_operators.products`` gives; see there."""
    inner = one.shape[2]
    out = table_operators.products_alike(one, two)
    if inner > _LONGEST or out.numel() > _MOST:
        return table_operators.products_by_torch(one, two)
    if out.numel() > 0:
        with torch.cuda.device_of(out):
            block = _SMALL if inner > _FEW else _BLOCK
            _products[(triton.cdiv(out.numel(), block),)](one, two, out, *one.stride(), *two.stride(), out.numel(),
                                                          *out.shape[1:], inner=inner, block=block)
    return out
