"""Draws of noise as operators; arguments and results are those of the functions in ``hashing``.

``torch.compile`` traces ``hashing`` instead, so that it fuses draws with what uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs import hashing
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


_DRAW = "Tensor key, Tensor? step, SymInt number, SymInt stream, SymInt offset"
_UNIFORM = operator(f"uniform({_DRAW}, Tensor? first, SymInt count) -> Tensor", hashing.uniform, "noise_gpu",
                    _uniform_alike)
_ANY_OF = operator(f"any_of({_DRAW}, Tensor mask) -> Tensor", hashing.any_of, "noise_gpu", _any_of_alike)
