"""Loops that a CPU runs in one pass where torch needs many: optional, and worlds go the same way with them.

With numba installed (``pip install interplay[fast]``) noise, slates and what users see of them come from here on a CPU,
the same bits but for the last digits of log-propensities, which move nothing. Without it, on a GPU,
while torch traces or compiles, or with ``INTERPLAY_KERNELS=0`` in the environment, the torch code does the work that
calls these, and it is the reference that tests compare them with.
"""

from __future__ import annotations

import importlib.util
import math
import os
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_SMALL = 1 << 14  # numbers below which a second thread costs more than it brings


@cache
def available() -> bool:
    """Whether numba is installed, and nobody has switched kernels off."""
    return os.environ.get("INTERPLAY_KERNELS", "1") != "0" and importlib.util.find_spec("numba") is not None


def usable(tensor: Tensor) -> bool:
    """Whether kernels can work on such tensors: real ones in the CPU's memory, which nothing traces."""
    return (not torch.compiler.is_compiling() and type(tensor) is Tensor and tensor.device.type == "cpu"
            and available())


def uniform(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...], offset: int) -> Tensor:
    """What ``noise.uniform`` gives; see there."""
    steps = torch.tensor([step], dtype=torch.int64).to(torch.int32) if isinstance(step, int) else step
    out = torch.empty(key.shape[0], math.prod(shape))
    # Types and layouts are always the same, for each kind that a loop gets is compiled anew.
    _loops(out.numel()).uniform(key.contiguous().numpy(), steps.contiguous().numpy(), int(stream), offset, out.numpy())
    return out.view(key.shape[0], *shape)


def top_k(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """What ``values.topk(size)`` gives; by the kernel, the first of equals comes first.

    Args:
        values: float32 ``[..., M]``, none of them NaN.
        size: K, at most M.

    Returns:
        The highest, descending, float32 ``[..., K]``, and where they are, int64 ``[..., K]``.
    """
    if not usable(values):
        top, index = values.topk(size, dim=-1)
        return top, index
    rows = values.reshape(-1, values.shape[-1])
    top, index = rows.new_empty(len(rows), size), torch.empty(len(rows), size, dtype=torch.int64)
    _loops(rows.numel()).top_k(rows.numpy(), top.numpy(), index.numpy())
    shape = (*values.shape[:-1], size)
    return top.view(shape), index.view(shape)


class Drawn(NamedTuple):
    """Slates as ``slates`` draws them; the fields are those of ``Slate``, and ``close`` is bool ``[B, U]``."""

    items: Tensor
    valid: Tensor
    log_propensity: Tensor
    close: Tensor


def slates(key: Tensor, step: Tensor, stream: int, taste: Tensor, by_segment: tuple[Tensor, Tensor], vectors: Tensor,
           ids: Tensor, offset: Tensor, temperature: float, size: int) -> Drawn:
    """Draw the slates of all users at once: scores, noise, the highest and their log-propensity in one pass.

    Where two values lie so close that another rounding could order them otherwise (``close``; about one slate in
    100,000), whoever wants what torch gives has to ask torch. Log-propensities, which move nothing, agree to 1e-5.

    Args:
        key: int32 ``[B, 2]``, of the noise.
        step: its step.
        stream: its stream.
        taste: float32 ``[B, U, D]``.
        by_segment: see ``Population.by_segment``.
        vectors: float32 ``[B, G, D, M]``, the candidates of each segment, or of all with G = 1.
        ids: int64 ``[B, G, M]``, their numbers.
        offset: float32 ``[B, C, M]``, what is added to each segment's scores: log-boosts, -inf for the dead.
        temperature: that products are divided by.
        size: K, at most M.
    """
    worlds, users = taste.shape[:2]
    drawn = Drawn(torch.empty(worlds, users, size, dtype=torch.int64),
                  torch.empty(worlds, users, size, dtype=torch.bool), torch.empty(worlds, users),
                  torch.empty(worlds, users, dtype=torch.bool))
    given = (once(taste), *by_segment, once(vectors), once(ids), offset)
    _loops(worlds * users * vectors.shape[3]).slates(
        key.contiguous().numpy(), step.contiguous().numpy(), int(stream),
        *(x.contiguous().numpy() for x in given), np.float32(temperature),
        *(x.numpy() for x in drawn))
    return drawn


def once(table: Tensor) -> Tensor:
    """The table ``[B, ...]`` as ``[1, ...]`` where all worlds share it, so that it need not be copied for each."""
    return table[:1] if table.stride(0) == 0 else table


def options(rows: Tensor, taste: Tensor, first: int, items: Tensor, valid: Tensor, segment: Tensor,
            changing: tuple[Tensor, Tensor, Tensor, Tensor], bound: float) -> Tensor:
    """What users see of ``items [B, U, K]``, float32 ``[B, U, K, F]``, within ``bound``; all 0 where not valid.

    Columns: appeal, nutrition, the four that change, and the rest of ``rows``.

    Args:
        rows: float32 ``[B, I, 3 + ...]``; see ``Population.item_rows``.
        taste: float32 ``[B, U, D]``, multiplies D columns; ``[B, U, 0]`` multiplies none.
        first: the first of these columns.
        items: int64 ``[B, U, K]``.
        valid: bool ``[B, U, K]``.
        segment: int64 ``[B, U]``.
        changing: wear-out ``[B, I, C]``, energy and popularity ``[B, I]`` as they are to be seen, examination ``[K]``.
        bound: the largest number.
    """
    out = torch.empty(*items.shape, rows.shape[2] + 3)
    given = (x.contiguous().numpy() for x in (items, valid, segment, *changing))
    _loops(out.numel()).options(once(rows).contiguous().numpy(), taste.contiguous().numpy(), first, *given,
                                np.float32(bound), out.numpy())
    return out


def _loops(count: int) -> ModuleType:
    """The compiled loops, set to as many threads as ``count`` numbers deserve, and torch may use."""
    from interplay.envs.kernels import loops  # here, since it imports numba

    loops.use_threads(torch.get_num_threads() if count > _SMALL else 1)
    return loops
