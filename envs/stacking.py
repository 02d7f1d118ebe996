"""Tensors under torch.func.vmap: each stands for a row of every copy of some work, and has no memory of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def is_stacked(tensor: Tensor) -> bool:
    """Whether vmap is at work on this tensor."""
    found: bool = torch._C._functorch.is_batchedtensor(tensor)  # torch has no public name for it
    return found


def one_by_one(work: Callable[..., tuple[Tensor, ...]], *given: Tensor) -> tuple[Tensor, ...]:
    """What ``work`` gives for these tensors; under vmap once for each copy, for work that vmap has no rules for.

    Results of all copies must have one shape. They have no gradients.
    """
    if not any(map(is_stacked, given)):
        return work(*given)
    found: tuple[Tensor, ...] = _OneByOne.apply(work, *given)  # type: ignore[no-untyped-call]
    return found


def at_once(work: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """Under vmap, what ``work`` gives for tensors with a first axis that counts copies: once, for all of them.

    Results have that axis, too, and gradients if those of ``work`` have.
    """
    found: Tensor = _AtOnce.apply(work, *given)  # type: ignore[no-untyped-call]
    return found


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(work: Any, *given: Tensor) -> Any:
        raise NotImplementedError  # only vmap calls it

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, work: Any, *given: Tensor) -> Any:
        return work(*(table.expand(info.batch_size, *table.shape) if dim is None else table.movedim(dim, 0)
                      for table, dim in zip(given, in_dims[1:], strict=True))), 0


class _OneByOne(torch.autograd.Function):
    @staticmethod
    def forward(work: Any, *given: Tensor) -> Any:
        raise NotImplementedError  # only vmap calls it

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, work: Any, *given: Tensor) -> Any:
        found = [work(*(table if dim is None else table.select(dim, copy)
                        for table, dim in zip(given, in_dims[1:], strict=True))) for copy in range(info.batch_size)]
        return tuple(map(torch.stack, zip(*found, strict=True))), (0,) * len(found[0])
