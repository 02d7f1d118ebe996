"""Networks' weights as one array, and tables with an axis for copies: what loops of networks work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.utils._python_dispatch import _get_current_dispatch_mode

from interplay.envs.kernels import compiled
from interplay.envs.kernels import usable as kernels_usable
from interplay.envs.stacking import is_stacked, of_copies

WIDEST = 128  # beyond it, products of a block have too few rows


def usable(hidden: int, weights: Sequence[Tensor], *given: Tensor) -> bool:
    """Whether loops can work on these: in the CPU's memory, and ``plain``."""
    return hidden <= WIDEST and plain(kernels_usable, weights, *given)


def plain(there: Callable[[Tensor], bool], weights: Sequence[Tensor], *given: Tensor) -> bool:
    """Whether these are float32 tables where they should be, which nothing traces, and no gradients of them are wanted.

    Under vmap they can be, if it is the only transform.
    """
    first, stack = given[0], torch._C._functorch.get_interpreter_stack()
    if stack is not None:
        first = torch._C._functorch.get_unwrapped(first) if len(stack) == 1 and is_stacked(first) else first
    return (there(first) and _get_current_dispatch_mode() is None
            and all(table.dtype == torch.float32 and not table.requires_grad for table in given)
            and weights[0].dtype == torch.float32)


_noted: list[partial[Any]] | None = None


@contextmanager
def calls_noted() -> Iterator[list[partial[Any]]]:
    """A list that receives what ``call`` calls in this block, for studies of what loops cost."""
    global _noted
    before, _noted = _noted, []
    try:
        yield _noted
    finally:
        _noted = before


def call(module: str, name: str, *given: Any) -> None:
    """Call a loop of this package, which reads and writes the memory of tensors."""
    loop = getattr(compiled(f"interplay.agents.loops.{module}"), name)
    work = partial(loop, *(x.numpy() if isinstance(x, Tensor) else x for x in given))
    if _noted is not None:
        _noted.append(work)
    work()


def rows_of_copies(table: Tensor, copies: int, last: int) -> NDArray[Any]:
    """A table with an axis for so many copies, one for rows, and its last ones, in one piece."""
    array = np.ascontiguousarray(table.numpy())
    places = array.ndim - last
    return array.reshape(copies, math.prod(array.shape[:places]) // copies, *array.shape[places:])


def of_networks(work: Callable[..., Sequence[Tensor]], tables: Sequence[Tensor],
                networks: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """What ``work`` gives for tables and flat weights of some networks; under vmap for those of all copies at once.

    Args:
        work: of tables with or without a first axis that counts copies, and for each network weights ``[S, P]``: gives
            tensors with such an axis.
        tables: what it works on.
        networks: weights of each network, as many for each.
    """
    if not is_stacked(tables[0]):
        return [found[0] for found in work(*tables, *map(joined, networks))]
    count, each = len(tables), len(networks[0])

    def of_all(*given: Tensor) -> Sequence[Tensor]:
        weights = [given[at:at + each] for at in range(count, len(given), each)]
        return work(*given[:count], *map(joined_copies, weights))

    return of_copies(of_all, *tables, *(weight for network in networks for weight in network))


def joined(weights: Sequence[Tensor]) -> Tensor:
    """All weights of one network, ``[1, P]``: their own memory where they are ``in_one_piece``, else a copy."""
    flat = _whole(weights)
    if flat is None:
        flat = _flatten_dense_tensors([weight.detach() for weight in weights])  # type: ignore[no-untyped-call]
        flat = flat.unsqueeze(0)
    return flat


def in_one_piece(tables: Sequence[Tensor], copies: int = 0) -> Tensor:
    """One table ``[1, P]`` that is all of these, which are moved where they do not follow each other in memory.

    Each stays the same object, but shares memory with no other tensor than the whole from then on. If their first axes
    count copies, the whole is ``[copies, P]``, and they are in one piece for each copy alone.
    """
    flat = _whole(tables, copies)
    if flat is None:
        flat = joined_copies(tables) if copies else joined(tables)
        for table, part in zip(tables, separated_copies(flat, tables) if copies else separated(flat, tables),
                               strict=True):
            table.data = part
    return flat


def in_own_pieces(tables: Sequence[Tensor]) -> None:
    """Undo ``in_one_piece`` of copies: torch's optimisers take memory for contiguous."""
    for table in tables:
        if not table.is_contiguous():
            table.data = table.detach().contiguous()


def can_move(table: Tensor) -> bool:
    """Whether this and others like it can be put ``in_one_piece``: a GPU's kernels need them at even places."""
    return kernels_usable(table.detach()) and table.dtype == torch.float32 and _get_current_dispatch_mode() is None


def _whole(tables: Sequence[Tensor], copies: int = 0) -> Tensor | None:
    """The memory of these, if they follow each other in one storage on a CPU; see ``in_one_piece``."""
    first = tables[0]
    if not first.is_cpu:
        return None
    start = place = first.data_ptr()
    for table in tables:
        if table.data_ptr() != place or not (_has_whole_rows(table) if copies else table.is_contiguous()):
            return None
        place += table.nbytes // max(1, copies)
    size, storage = (place - start) // first.itemsize, first.untyped_storage()
    apart = copies > 1 and any(table.stride(0) != size for table in tables)
    if apart or start + max(1, copies) * (place - start) > storage.data_ptr() + storage.nbytes():
        return None
    return first.detach().as_strided((max(1, copies), size), (size, 1))


def _has_whole_rows(table: Tensor) -> bool:
    """Whether each row of the first axis is in one piece; to make a row of it takes longer."""
    place = 1
    for size, stride in zip(reversed(table.shape[1:]), reversed(table.stride()[1:]), strict=True):
        if stride != place and size != 1:
            return False
        place *= size
    return True


def joined_copies(weights: Sequence[Tensor]) -> Tensor:
    """All weights of each copy, ``[S, P]``: their own memory where they are ``in_one_piece``, else a copy."""
    flat = _whole(weights, len(weights[0]))
    return torch.cat([weight.detach().flatten(1) for weight in weights], dim=1) if flat is None else flat


def separated(flat: Tensor, weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """The inverse of ``joined``."""
    tables: Sequence[Tensor] = _unflatten_dense_tensors(flat[0], weights)  # type: ignore[no-untyped-call]
    return tables


def separated_copies(flat: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of ``joined_copies``."""
    parts = flat.split([weight[0].numel() for weight in weights], dim=1)  # type: ignore[no-untyped-call]
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
