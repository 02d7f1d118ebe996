"""Draws of noise as operators; arguments and results are those of the functions in ``hashing``.

``torch.compile`` traces ``hashing`` instead, so that it fuses draws with what uses them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interplay.envs import hashing, kernels
from interplay.envs.kernels.operators import operator


def uniform(key: Tensor, step: Tensor | int, stream: int, offset: int, first: Tensor | None, count: int) -> Tensor:
    """Uniform draws in (0, 1), float32 ``[B, R, count]``, or ``[B, count]`` without ``first``."""
    draw = hashing.uniform if torch.compiler.is_compiling() else _UNIFORM
    drawn: Tensor = draw(key, *_forms(step), int(stream), offset, first, count)
    return drawn


def any_of(key: Tensor, step: Tensor | int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """A place where ``mask`` bool ``[..., A]`` is True, each as likely: int64 ``[...]``."""
    draw = hashing.any_of if torch.compiler.is_compiling() else _ANY_OF
    place: Tensor = draw(key, *_forms(step), int(stream), offset, mask)
    return place


def _forms(step: Tensor | int) -> tuple[Tensor | None, int]:
    """``step`` and ``number``, as operators take a step."""
    return (None, step) if isinstance(step, int) else (step, 0)


def _uniform_alike(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, first: Tensor | None,
                   count: int) -> Tensor:
    rows = () if first is None else first.shape
    return key.new_empty((key.shape[0], *rows, count), dtype=torch.float32)


def _any_of_alike(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, mask: Tensor) -> Tensor:
    return mask.new_empty(mask.shape[:-1], dtype=torch.int64)


def _uniform_of_copies(info: Any, in_dims: Any, key: Tensor, step: Tensor | None, number: int, stream: int, offset: int,
                       first: Tensor | None, count: int) -> tuple[Tensor, int]:
    """For keys ``[copies, B, 2]``: all keys as one batch."""
    keys = key.flatten(0, 1)
    if first is None and kernels.usable(keys):
        drawn = kernels.uniform(keys, number if step is None else step, stream, (count,), offset)
    else:
        drawn = _UNIFORM(keys, step, number, stream, offset, first, count)
    return drawn.view(*key.shape[:2], *drawn.shape[1:]), 0


def _any_of_of_copies(info: Any, in_dims: Any, key: Tensor, step: Tensor | None, number: int, stream: int, offset: int,
                      mask: Tensor) -> tuple[Tensor, int]:
    """For keys ``[copies, B, 2]``: all keys as one batch."""
    keys = key.flatten(0, 1)
    masks = mask.expand(info.batch_size, *mask.shape) if in_dims[-1] is None else mask.movedim(in_dims[-1], 0)
    if kernels.usable(keys):
        return kernels.any_of(keys, number if step is None else step, stream, masks, offset), 0
    return _ANY_OF(keys, step, number, stream, offset, masks), 0


_DRAW = "Tensor key, Tensor? step, SymInt number, SymInt stream, SymInt offset"
_ON_GPU = "interplay.envs.kernels.noise_gpu"
_UNIFORM = operator(f"uniform({_DRAW}, Tensor? first, SymInt count) -> Tensor", hashing.uniform, _ON_GPU,
                    _uniform_alike, _uniform_of_copies)
_ANY_OF = operator(f"any_of({_DRAW}, Tensor mask) -> Tensor", hashing.any_of, _ON_GPU, _any_of_alike,
                   _any_of_of_copies)
