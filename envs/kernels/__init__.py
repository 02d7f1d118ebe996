"""Loops that a CPU runs in one pass where torch needs many: optional, and worlds go the same way with them.

With numba installed (``pip install interplay[fast]``) noise, slates, every edge of a step and what both sides see come
from here on a CPU, the same bits but for the last digits of log-propensities, which move nothing. Without it, on a GPU,
while torch traces or compiles, or with ``INTERPLAY_KERNELS=0`` in the environment, the torch code does the work that
calls these, and it is the reference that tests compare them with.

What is exact in any order (products, sums in one order, comparisons) the loops do themselves. Where they round in
another way than torch, they say which draws are so close that rounding decides, and torch decides those.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from dataclasses import fields
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.world import once

_SMALL = 1 << 14  # numbers below which a second thread costs more than it brings


@cache
def available() -> bool:
    """Whether numba is installed, and nobody has switched kernels off."""
    return os.environ.get("INTERPLAY_KERNELS", "1") != "0" and importlib.util.find_spec("numba") is not None


def leave_behind() -> None:
    """Do without kernels from now on, in a process that was forked from one whose threads it did not get."""
    os.environ["INTERPLAY_KERNELS"] = "0"
    available.cache_clear()


def usable(tensor: Tensor) -> bool:
    """Whether kernels can work on such tensors: real ones in the CPU's memory, which nothing traces."""
    return (not torch.compiler.is_compiling() and type(tensor) is Tensor and tensor.device.type == "cpu"
            and available())


def uniform(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...], offset: int) -> Tensor:
    """What ``noise.uniform`` gives; see there."""
    steps = np.array([step]).astype(np.int32) if isinstance(step, int) else step.contiguous().numpy()
    out = torch.empty(key.shape[0], math.prod(shape))
    # Types and layouts are always the same, for each kind that a loop gets is compiled anew.
    _loops(out.numel()).uniform(key.contiguous().numpy(), steps, int(stream), offset, out.numpy())
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


def best(values: Tensor, mask: Tensor) -> Tensor:
    """The place of the highest value that ``mask`` allows, the first of equals; what ``argmax`` gives.

    Args:
        values: float32 ``[..., A]``.
        mask: bool ``[..., A]``, of which something is True.

    Returns:
        int64 ``[...]``.
    """
    if not usable(values) or values.requires_grad or values.dtype != torch.float32 or values.shape != mask.shape:
        return values.masked_fill(~mask, -torch.inf).argmax(-1)
    place = torch.empty(values.shape[:-1], dtype=torch.int64)
    shape = (-1, values.shape[-1])
    _loops(values.numel()).best(values.reshape(shape).numpy(), mask.reshape(shape).numpy(), place.view(-1).numpy())
    return place


class Drawn(NamedTuple):
    """Slates as ``slates`` draws them.

    Attributes:
        slates: items, valid and log-propensities, as in ``Slate``.
        close: the world and the user of each close call.
    """

    slates: tuple[Tensor, Tensor, Tensor]
    close: list[list[int]]


def slates(key: Tensor, step: Tensor, stream: int, taste: Tensor, by_segment: tuple[Tensor, Tensor], vectors: Tensor,
           ids: Tensor, alive: Tensor, boosts: tuple[Tensor, Tensor, Tensor], temperature: float, size: int) -> Drawn:
    """Draw the slates of all users at once: scores, noise, the highest and their log-propensity in one pass.

    Where two values lie so close that another rounding could order them otherwise (``close``; about one slate in
    40,000 in town), whoever wants what torch gives has to ask torch. Log-propensities, which move nothing, agree to
    1e-5.

    Args:
        key: int32 ``[B, 2]``, of the noise.
        step: its step.
        stream: its stream.
        taste: float32 ``[B, U, D]``.
        by_segment: see ``Population.by_segment``.
        vectors: float32 ``[B, G, D, M]``, the candidates of each segment, or of all with G = 1.
        ids: int64 ``[B, G, M]``, their numbers.
        alive: bool ``[B, I]``, who may be shown.
        boosts: log-boost of each level float32 ``[1 + L]``, and of each item the level and the segment it courts,
            int64 ``[B, I]``.
        temperature: that products are divided by.
        size: K, at most M.
    """
    worlds, users = taste.shape[:2]
    drawn = (torch.empty(worlds, users, size, dtype=torch.int64),
             torch.empty(worlds, users, size, dtype=torch.bool), torch.empty(worlds, users))
    close = torch.empty(worlds, users, dtype=torch.bool)
    given = (once(taste), *by_segment, once(vectors), once(ids), alive, *boosts)
    threads(worlds * users * vectors.shape[3])
    unsure = compiled("slate_loops").slates(
        key.contiguous().numpy(), step.contiguous().numpy(), int(stream),
        *(x.contiguous().numpy() for x in given), np.float32(temperature),
        *(x.numpy() for x in (*drawn, close)))
    return Drawn(drawn, close.nonzero().tolist() if unsure else [])


@cache
def compiled(name: str) -> ModuleType:
    """The module of this package with that name, all of whose loops numba compiles: imported when it is needed."""
    return importlib.import_module(f"interplay.envs.kernels.{name}")


def threads(count: int) -> None:
    """Let the next loops run on as many threads as ``count`` numbers deserve, and torch may use."""
    compiled("parts").use_threads(torch.get_num_threads() if count > _SMALL else 1)


def numbers(config: Any, **more: float | bool) -> NDArray[np.void]:
    """The numbers of ``config``, and ``more``, as one record ``[1]`` that loops read by name; floats become float32."""
    kinds = {float: np.float32, int: np.int64, bool: np.bool_}
    # By the default: an integer will do where a number is asked for, but loops would reckon on in float64.
    found = {f.name: (getattr(config, f.name), kinds[type(f.default)]) for f in fields(config)
             if type(f.default) in kinds} | {name: (value, kinds[type(value)]) for name, value in more.items()}
    return np.array([tuple(value for value, _ in found.values())], [(name, kind) for name, (_, kind) in found.items()])


def _loops(count: int) -> ModuleType:
    """The compiled loops, on as many threads as ``count`` numbers deserve."""
    threads(count)
    return compiled("loops")
