"""Loops that a CPU runs in one pass where torch needs many: optional, and worlds go the same way with them.

With numba installed (``pip install interplay[fast]``) noise, slates, every edge of a step and what both sides see come
from here on a CPU, the same bits but for the last digits of log-propensities, which move nothing. Without it, on a GPU,
while torch traces or compiles, or with ``INTERPLAY_KERNELS=0`` in the environment, the torch code does the work that
calls these, and it is the reference that tests compare them with. Kernels for a GPU are in modules ``*_gpu``.

What is exact in any order (products, sums in one order, comparisons) the loops do themselves. Where they round in
another way than torch, they say which draws are so close that rounding decides, and torch decides those.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.kernels.operators import has_triton
from interplay.envs.stacking import at_once, is_stacked, table_of

num_threads = 1
"""Threads of all loops of this process; ``envs.threads.set_num_threads`` sets it."""

_switched_on = True
_SMALL = 1 << 17  # numbers that take less than a millisecond: a second thread may take longer to come


@cache
def available() -> bool:
    """Whether numba is installed, and kernels are not switched off."""
    return os.environ.get("INTERPLAY_KERNELS", "1") != "0" and importlib.util.find_spec("numba") is not None


def leave_behind() -> None:
    """Do without kernels from now on, in a process that was forked from one whose threads it did not get."""
    os.environ["INTERPLAY_KERNELS"] = "0"
    available.cache_clear()


@contextmanager
def switched_off() -> Iterator[None]:
    """Do without kernels in this block, for checks that compare both paths."""
    global _switched_on
    before, _switched_on = _switched_on, False
    try:
        yield
    finally:
        _switched_on = before


def usable(*tensors: Tensor) -> bool:
    """Whether kernels can work on such tensors: real ones in the CPU's memory, which nothing traces."""
    if not _switched_on or torch.compiler.is_compiling() or not available():
        return False
    for tensor in tensors:  # noqa: SIM110 - a generator takes twice the time
        if type(tensor) is not Tensor or not tensor.is_cpu or is_stacked(tensor):
            return False
    return True


def of_gpu(name: str, tensor: Tensor) -> Any:
    """The module of kernels for a GPU with that name, where they can work on such tensors; else None.

    They can on real tensors in its memory, which nothing traces, where Triton is installed.
    """
    can = (tensor.is_cuda and _switched_on and not torch.compiler.is_compiling() and type(tensor) is Tensor
           and not is_stacked(tensor) and has_triton())
    return compiled(name) if can else None


def uniform(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...], offset: int) -> Tensor:
    """What ``noise.uniform`` gives; see there."""
    out = np.empty((key.shape[0], math.prod(shape)), np.float32)
    loops_of(out.size).uniform(key.contiguous().numpy(), _steps(step), int(stream), offset, out)
    return torch.from_numpy(out).view(key.shape[0], *shape)


def uniform_rows(key: Tensor, step: Tensor | int, stream: int, first: Tensor, count: int) -> Tensor:
    """What ``noise.uniform_rows`` gives; see there."""
    out = np.empty((key.shape[0], len(first), count), np.float32)
    loops_of(out.size).uniform_rows(key.contiguous().numpy(), _steps(step), int(stream), first.contiguous().numpy(),
                                    out)
    return torch.from_numpy(out)


def radius_and_angle(key: Tensor, step: Tensor | int, stream: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """What ``noise.polar`` makes of ``uniform`` draws ``(2, *shape)``: the first half, and 2 pi times the second."""
    radius, angle = (np.empty((len(key), *shape), np.float32) for _ in range(2))
    flat = (len(key), -1)
    loops_of(2 * radius.size).radius_and_angle(key.contiguous().numpy(), _steps(step), int(stream),
                                               radius.reshape(flat), angle.reshape(flat))
    return torch.from_numpy(radius), torch.from_numpy(angle)


def any_of(key: Tensor, step: Tensor | int, stream: int, mask: Tensor, offset: int) -> Tensor:
    """What ``noise.any_of`` gives; see there."""
    allowed = mask.contiguous().numpy()
    place = np.empty(allowed.shape[:-1], np.int64)
    loops_of(allowed.size).any_of(key.contiguous().numpy(), _steps(step), int(stream), offset,
                                allowed.reshape(len(key), -1, allowed.shape[-1]), place.reshape(len(key), -1))
    return torch.from_numpy(place)


def top_k(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The highest values and where they are; of equals, the first comes first.

    Args:
        values: float32 ``[..., M]``, none of them NaN.
        size: K, at most M.

    Returns:
        The highest, descending, float32 ``[..., K]``, and where they are, int64 ``[..., K]``.
    """
    if not usable(values):
        index = _ranks(values).topk(size, dim=-1).indices
        return values.gather(-1, index), index
    rows = values.reshape(-1, values.shape[-1])
    top, index = rows.new_empty(len(rows), size), torch.empty(len(rows), size, dtype=torch.int64)
    loops_of(rows.numel()).top_k(rows.numpy(), top.numpy(), index.numpy())
    shape = (*values.shape[:-1], size)
    return top.view(shape), index.view(shape)


def _ranks(values: Tensor) -> Tensor:
    """Different numbers, int64, in the order of float32 ``values [..., M]``, the first of equals above the next.

    ``topk`` gives any of equals. These are not rare: alike items tie in one of a million slates, and scores in the
    thousands round to few different sums with noise.
    """
    bits = (values + 0.0).view(torch.int32)  # -0, which equals 0, becomes it
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << 32) - torch.arange(values.shape[-1], device=values.device)


def best(values: Tensor, mask: Tensor) -> Tensor:
    """The place of the highest value that ``mask`` allows, the first of equals; what ``argmax`` gives.

    Args:
        values: float32 ``[..., A]``.
        mask: bool ``[..., A]``, of which something is True.

    Returns:
        int64 ``[...]``.
    """
    if not can_compare(values, mask):
        return values.masked_fill(~mask, -torch.inf).argmax(-1)
    if is_stacked(values):
        return at_once(best, values, mask)
    place = torch.empty(values.shape[:-1], dtype=torch.int64)
    shape = (-1, values.shape[-1])
    loops_of(values.numel()).best(values.reshape(shape).numpy(), mask.reshape(shape).numpy(), place.view(-1).numpy())
    return place


def epsilon_greedy(key: Tensor, steps: tuple[int, int], stream: int, offsets: tuple[int, int], epsilon: float,
                   values: Tensor, mask: Tensor) -> Tensor:
    """What ``noise.any_of`` draws at the second step where ``noise.uniform`` at the first is below ``epsilon``.

    Elsewhere it is what ``best`` gives.

    Args:
        key: int32 ``[1, 2]``, or one for as many rows each, ``[B, 2]``.
        steps: of the draws.
        stream: as for ``noise.uniform``.
        offsets: of the draws.
        epsilon: share of rows that explore.
        values: float32 ``[..., A]``.
        mask: bool ``[..., A]``, of which something is True in each row.

    Returns:
        int64 ``[...]``.
    """
    if is_stacked(values):
        return at_once(lambda keys, *tables: epsilon_greedy(keys.flatten(0, 1), steps, stream, offsets, epsilon,
                                                            *tables), key, values, mask)
    place = torch.empty(values.shape[:-1], dtype=torch.int64)
    shape = (len(key), -1, values.shape[-1])
    loops_of(values.numel()).epsilon_greedy(
        key.contiguous().numpy(), np.array(steps).astype(np.int32), int(stream), offsets, np.float32(epsilon),
        values.reshape(shape).numpy(), mask.reshape(shape).numpy(), place.view(len(key), -1).numpy())
    return place


def can_compare(values: Tensor, mask: Tensor) -> bool:
    """Whether ``best`` and ``epsilon_greedy`` have a loop for these; of seeds that are stacked, too."""
    return (usable(table_of(values)) and is_stacked(values) == is_stacked(mask) and not values.requires_grad
            and values.dtype == torch.float32 and values.shape == mask.shape)


@cache
def compiled(name: str) -> ModuleType:
    """The module of this package with that name, or with a whole name, whose loops numba compiles: imported late."""
    return importlib.import_module(name if "." in name else f"interplay.envs.kernels.{name}")


def deserved(count: int) -> int:
    """How many threads loops over so many numbers get: as many as are set, or one."""
    return num_threads if count > _SMALL else 1


def threads(count: int) -> int:
    """Let the next loops run on the threads that ``count`` numbers deserve: so many."""
    so_many = deserved(count)
    compiled("jit").use_threads(so_many)
    return so_many


def loops_of(count: int, module: str = "noise_kernels") -> ModuleType:
    """The compiled loops of a module, on as many threads as ``count`` numbers deserve."""
    threads(count)
    return compiled(module)


def numbers(records: Mapping[str, Any], **more: float | bool) -> NDArray[np.void]:
    """The numbers of dataclasses, and ``more``, as one record ``[1]`` that loops read by name; floats become float32.

    A number is called as its field is, after the name of its dataclass in ``records``.
    """
    kinds = {float: np.float32, int: np.int64, bool: np.bool_}
    # By the default: an integer will do where a number is asked for, but loops would reckon on in float64.
    found = {first + f.name: (getattr(record, f.name), kinds[type(f.default)]) for first, record in records.items()
             for f in fields(record) if type(f.default) in kinds}
    found |= {name: (value, kinds[type(value)]) for name, value in more.items()}
    return np.array([tuple(value for value, _ in found.values())], [(name, kind) for name, (_, kind) in found.items()])


def _steps(step: Tensor | int) -> NDArray[Any]:
    """The low 32 bits of steps' numbers, always as an array: a loop is compiled once for each kind of argument."""
    return np.array([step]).astype(np.int32) if isinstance(step, int) else step.contiguous().numpy()
