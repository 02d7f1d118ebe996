"""Tensors under vmap: each stands for a row of every copy of some work, and has no memory of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch._C import _functorch  # torch has no public names for these


def is_stacked(tensor: Tensor) -> bool:
    """Whether vmap is at work on this tensor."""
    found: bool = _functorch.is_batchedtensor(tensor)
    return found


def table_of(row: Tensor) -> Tensor:
    """The table of all copies that a tensor under vmap stands for, first axis first; any other is itself.

    It is the same object at each call, unless vmap's rules have put the axis of copies behind another.
    """
    return table_of_all(row, 0) if is_stacked(row) else row


def copies_of(row: Tensor) -> int:
    """How many copies vmap works on at once; 0 where it does not work on this tensor."""
    return len(table_of(row)) if is_stacked(row) else 0


def table_of_all(row: Tensor, count: int) -> Tensor:
    """``table_of``, but of what is the same for all copies, too; called so often that it calls nothing else."""
    if not _functorch.is_batchedtensor(row):
        return row.expand(count, *row.shape)
    table: Tensor = _functorch.get_unwrapped(row)
    place = _functorch.maybe_get_bdim(row)
    return table.movedim(place, 0) if place else table


def of_copies(work: Callable[..., Sequence[Tensor]], *given: Tensor) -> list[Tensor]:
    """Under vmap: rows of what ``work`` gives for tables of all copies, whose first axes count copies, at once.

    A rule for vmap that is of the caller's own, in a tenth of the time that those of torch's functions and operators
    take. Some of ``given`` must be stacked.
    """
    first = next(filter(is_stacked, given))
    count, level = len(table_of(first)), _functorch.maybe_get_level(first)
    tables = [table_of_all(row, count) for row in given]
    layer = _functorch.pop_dynamic_layer_stack()  # torch's own context manager takes half of the time of all this
    try:
        found = work(*tables)
    finally:
        _functorch.push_dynamic_layer_stack(layer)
    return [_functorch._add_batch_dim(table, 0, level) for table in found]


def at_once(work: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """``of_copies`` of work that gives one table; with gradients, if those of ``work`` have."""
    return of_copies(lambda *tables: [work(*tables)], *given)[0]


def by_number(work: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """What ``work`` gives, which does the same with each number; under vmap ``at_once``, in less time."""
    return at_once(work, *given) if is_stacked(given[0]) else work(*given)


def in_arrays(work: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """What loops make of arrays whose first axes count copies: under vmap ``of_copies``, else those of one copy.

    ``work`` gets numpy arrays in one piece, and may write into those of tensors that are. It gives a tensor of as many
    copies.
    """
    if any(map(is_stacked, given)):
        return at_once(lambda *tables: work(*(table.contiguous().numpy() for table in tables)), *given)
    return work(*(table.contiguous().numpy()[np.newaxis] for table in given))[0]


def one_by_one(work: Callable[..., Sequence[Tensor]], *given: Tensor) -> Sequence[Tensor]:
    """What ``work`` gives for these tensors; under vmap once for each copy, for work that vmap has no rules for.

    Results of all copies must have one shape.
    """
    if not any(map(is_stacked, given)):
        return work(*given)
    return of_copies(lambda *tables: [torch.stack(column) for column in zip(
        *(work(*rows) for rows in zip(*tables, strict=True)), strict=True)], *given)


def rows_of(index: Tensor, tables: Sequence[Tensor]) -> Sequence[Tensor]:
    """The rows of each table's first axis at these places, int64 ``[R]``; vmap's own rule takes ten times as long."""
    if not any(map(is_stacked, (index, *tables))):
        return [table.index_select(0, index) for table in tables]  # a third of the time that table[index] takes

    def at(index: Tensor, *tables: Tensor) -> list[Tensor]:
        copies = torch.arange(len(index), device=index.device).unsqueeze(1)
        rows = [(table, (index + copies * table.shape[1]).flatten()) for table in tables]
        return [table.flatten(0, 1).index_select(0, places).view(*index.shape, *table.shape[2:])
                for table, places in rows]

    return of_copies(at, index, *tables)
