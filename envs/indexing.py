"""Rows and places in tensors, without reading them on the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def one_hot(index: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """1 at each index, else 0: int64 ``[...]`` to ``[..., count]``. Torch's own reads the indices on a CPU."""
    zeros = torch.zeros(*index.shape, count, dtype=dtype, device=index.device)
    return zeros.scatter_(-1, index.unsqueeze(-1), 1)


def unbatched(table: Tensor) -> Tensor:
    """The table ``[B, ...]``, as ``[1, ...]`` where all worlds share it. So nothing is copied for each world."""
    return table[:1] if table.stride(0) == 0 else table


def gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of ``table [B, N]`` or ``[B, N, F]`` at ``index [B, ...]``, world by world: ``[B, ..., F]``.

    Indexing with two tensors does the same, and takes two to six times as long.
    """
    if table.dim() == 2:
        return table.gather(1, index.flatten(1)).view(index.shape)
    if table.shape[0] == 1 or table.stride(0) == 0:  # the same people in every world
        rows, flat = table[0], index
    else:
        first = torch.arange(0, table.shape[0] * table.shape[1], table.shape[1], device=table.device)
        rows, flat = table.flatten(0, 1), index + first.view(-1, *[1] * (index.dim() - 1))
    return rows.index_select(0, flat.flatten()).view(*index.shape, table.shape[2])


def combination(digits: Tensor, base: int) -> Tensor:
    """The number that integers ``[B, digits]`` below ``base`` are the digits of, the lowest first: int64 ``[B, 1]``."""
    number = torch.zeros_like(digits[:, 0])
    for digit in reversed(digits.unbind(1)):
        number = number * base + digit
    return number.unsqueeze(1)


def cell_of(items: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """Places of items and segments in tables ``[B, I * C]``; the first two broadcast together."""
    return items if num_segments == 1 else items * num_segments + segment


def num_whole(factor: float, largest: float) -> int:
    """How many whole numbers a table from 0 to ``factor * largest`` is rounded to, as ``Tensor.round`` rounds.

    The table is of float32, in which ``largest`` may be another number; ``factor`` is a power of two, so that it
    changes no bits.
    """
    return 1 + round(factor * float(np.float32(largest)))
