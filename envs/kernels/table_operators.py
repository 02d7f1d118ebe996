"""Tables that a step writes, as operators: columns side by side, and products of small matrices.

Torch joins columns of a few numbers each in several passes over memory, and calls a library for a million products of
two numbers. On a GPU that is most of a step's time, so each is one kernel there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce

import torch
from torch import Tensor

from interplay.envs.indexing import gather_rows
from interplay.envs.kernels.operators import operator

_ON_GPU = "interplay.envs.kernels.tables_gpu"
_FEW = 400  # multiplications of each world below which torch calls no library
_SHORT = 64  # rows whose numbers torch may add up in an order that loops know


def joined(parts: Sequence[Tensor], bound: float, valid: Tensor | None = None, *, items: Tensor | None = None,
           by_item: Sequence[int] = (), factor: Tensor | None = None, at: int = 0) -> Tensor:
    """Columns side by side, within bounds.

    Args:
        parts: float32 ``[B, N, F_p]`` or ``[B, N, K, F_p]``; at most 6 on a GPU's fast way.
        bound: of the absolute value of what is given.
        valid: bool ``[B, N, K]``; where it is False, all columns are 0.
        items: int64 ``[B, N, K]``, the items that the parts ``by_item`` belong to.
        by_item: numbers of parts that are float32 ``[B, I, F_p]``, of which each place takes the row of its item.
        factor: float32 ``[B, N, 1, F]``, by which so many columns from ``at`` on are multiplied.
        at: see ``factor``.

    Returns:
        float32 ``[B, N, sum F_p]`` or ``[B, N, K, sum F_p]``.
    """
    # Compiled code fuses it with what is before and after.
    join = joined_by_torch if torch.compiler.is_compiling() else _JOINED
    table: Tensor = join(list(parts), list(by_item), items, factor, at, valid, bound)
    return table


def products(one: Tensor, two: Tensor) -> Tensor:
    """Inner products of all rows, float32 ``[B, M, N]``, of two batches ``[B, M, D]`` and ``[B, N, D]``."""
    # Elsewhere the way through an operator would take microseconds for nothing.
    product: Tensor = (_PRODUCTS if one.is_cuda else products_by_torch)(one, two)
    return product


@cache
def adds_up_in_order(rows: int, between: int, columns: int) -> bool:
    """Whether ``products`` of ``[B, rows, between]`` and ``[B, columns, between]`` round as a loop does on a CPU.

    Torch has a loop of its own for few numbers, and a library for more. On some machines it fuses multiplications.
    """
    return rows * between * columns < _FEW and _rounds_each()


@cache
def sums_in_order(count: int) -> bool:
    """Whether torch adds up so many numbers as ``sum_in_order`` does: that depends on its build and on the CPU."""
    if count >= _SHORT:
        return False
    values = (torch.arange(64.0 * count, device="cpu").view(1, 64, count) * 0.7).sin()
    return torch.equal(values.sum(2), sum_in_order(values))


def sum_in_order(values: Tensor) -> Tensor:
    """The sums of rows ``[..., N]``: of eight interleaved parts, if there are so many numbers, each by fours."""
    if values.shape[-1] < 8:
        return _sum_by_fours(values)
    eights = values.shape[-1] // 8 * 8
    parts = _sum_by_fours(values[..., :eights].reshape(*values.shape[:-1], -1, 8).transpose(-1, -2))
    return _one_by_one([*values[..., eights:].unbind(-1), *parts.unbind(-1)], values)


def _sum_by_fours(values: Tensor) -> Tensor:
    fours = values.shape[-1] // 4 * 4
    parts = [list(values[..., n:fours:4].unbind(-1)) for n in range(4)]
    parts[0] += values[..., fours:].unbind(-1)
    return _one_by_one([_one_by_one(part, values) for part in parts], values)


def _one_by_one(parts: list[Tensor], like: Tensor) -> Tensor:
    return reduce(torch.add, parts, like.new_zeros(()))


@cache
def _rounds_each() -> bool:
    """Whether torch's loop rounds each product before it adds it up."""
    one = (torch.arange(27.0, device="cpu").view(1, 3, 9) * 0.7).sin()
    total = torch.zeros(3, 3, device="cpu")
    for n in range(9):
        total += one[0, :, n:n + 1] * one[0, :, n]
    return torch.equal(products_by_torch(one, one)[0], total)


def joined_by_torch(parts: list[Tensor], by_item: list[int], items: Tensor | None, factor: Tensor | None, at: int,
                    valid: Tensor | None, bound: float) -> Tensor:
    """What ``joined`` gives, by torch's own operators."""
    columns = [gather_rows(part, items) if items is not None and p in by_item else part for p, part in enumerate(parts)]
    table = torch.cat(columns, dim=-1)
    if factor is not None:
        table[..., at:at + factor.shape[-1]] *= factor
    if valid is not None:
        table *= valid.unsqueeze(-1)
    return table.clamp_(-bound, bound)


def joined_alike(parts: list[Tensor], by_item: list[int], items: Tensor | None, factor: Tensor | None, at: int,
                 valid: Tensor | None, bound: float) -> Tensor:
    """A table of that shape, without values."""
    places = parts[0].shape[:-1] if items is None else items.shape
    return parts[0].new_empty(*places, sum(part.shape[-1] for part in parts))


def products_by_torch(one: Tensor, two: Tensor) -> Tensor:
    """What ``products`` gives, by torch's own operator."""
    return one.bmm(two.transpose(1, 2))


def products_alike(one: Tensor, two: Tensor) -> Tensor:
    """A table of that shape, without values."""
    return one.new_empty(*one.shape[:2], two.shape[1])


_JOINED = operator("joined(Tensor[] parts, int[] by_item, Tensor? items, Tensor? factor, int at, Tensor? valid, "
                   "float bound) -> Tensor", joined_by_torch, _ON_GPU, joined_alike)
_PRODUCTS = operator("products(Tensor one, Tensor two) -> Tensor", products_by_torch, _ON_GPU, products_alike)
