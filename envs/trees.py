"""The tensors in nested records, lists and dicts, in one order, and copies of them in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from interplay.envs.types import TensorRecord


def tensors_of(tree: Any) -> list[Tensor]:
    """Every tensor of a tree, in the order in which ``with_tensors`` puts others in place."""
    return list(_tensors(tree))


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    for part in parts_of(tree).values():
        yield from _tensors(part)


def with_tensors(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The tree with these tensors in place of its own; what holds no tensors is the same object."""
    if isinstance(tree, Tensor):
        return next(tensors)
    return with_parts(tree, {name: with_tensors(part, tensors) for name, part in parts_of(tree).items()})


def with_parts(tree: Any, parts: Mapping[Any, Any]) -> Any:
    """The tree with other parts, under the names that ``parts_of`` gives."""
    if not parts:
        return tree
    if isinstance(tree, TensorRecord):
        new = object.__new__(type(tree))
        new.__dict__.update(parts)
        return new
    if isinstance(tree, Mapping):
        return dict(parts)
    if isinstance(tree, deque):
        return deque(parts.values(), tree.maxlen)
    return type(tree)(*parts.values()) if hasattr(tree, "_fields") else type(tree)(parts.values())  # named tuples


def parts_of(tree: Any) -> Mapping[Any, Any]:
    """What a record, list, tuple, deque or dict holds, by name or place; nothing for anything else."""
    if isinstance(tree, TensorRecord):
        return tree.parts()
    if isinstance(tree, Mapping):
        return tree
    return dict(enumerate(tree)) if isinstance(tree, list | tuple | deque) else {}


def owned(tree: Any) -> Any:
    """The tree with a copy of every tensor in memory of its own. What is constant and expanded stays so."""
    if isinstance(tree, TensorRecord) and tree.constant:
        return with_tensors(tree, map(own, _tensors(tree)))
    if isinstance(tree, Tensor):
        return own(tree.contiguous())
    return with_parts(tree, {name: owned(part) for name, part in parts_of(tree).items()})


def stored(tensor: Tensor) -> Tensor:
    """The part of an expanded tensor that is in memory; of any other, all."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def own(tensor: Tensor) -> Tensor:
    """A copy in memory of its own; what was expanded stays so."""
    return stored(tensor.detach()).clone(memory_format=torch.contiguous_format).expand(tensor.shape)


@torch.no_grad()
def copy_all(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Copy each source into its target, as if all were read before the first is written."""
    pairs = [(to, of.detach()) for to, of in zip(targets, sources, strict=True) if not _same(to, of)]
    written = {memory_of(to) for to, _ in pairs}
    pairs = [(to, own(of) if memory_of(of) in written else of) for to, of in pairs]
    if pairs and pairs[0][0].is_cuda and all(to.dtype == of.dtype for to, of in pairs):
        _copy_on_gpu(pairs)
        return
    for to, of in pairs:
        stored(to).copy_(stored(of))


def _copy_on_gpu(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """All tensors of a type by one kernel, or by a few."""
    by_type: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for to, of in pairs:
        tos, ofs = by_type.setdefault(to.dtype, ([], []))
        tos.append(_as_number(stored(to)))
        ofs.append(_as_number(stored(of)))
    for tos, ofs in by_type.values():
        torch._foreach_copy_(tos, ofs)


def _as_number(tensor: Tensor) -> Tensor:
    return tensor.view(torch.uint8) if tensor.dtype == torch.bool else tensor


def memory_of(tensor: Tensor) -> int:
    """Where its memory begins: the same for views of one tensor."""
    return tensor.untyped_storage().data_ptr()


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.data_ptr() == other.data_ptr() and one.shape == other.shape
                            and one.stride() == other.stride())
