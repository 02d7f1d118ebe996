"""Draws of noise as operators; arguments and results are those of the functions in ``hashing``.

``torch.compile`` traces ``hashing`` instead, so that it fuses draws with what uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs import hashing, kernels
from interplay.envs.kernels.operators import operator
from interplay.envs.stacking import at_once, is_stacked


def uniform(key: Tensor, step: Tensor | int, stream: int, offset: int, first: Tensor | None, count: int) -> Tensor:
    """Uniform draws in (0, 1), float32 ``[B, R, count]``, or ``[B, count]`` without ``first``."""
    if is_stacked(key):
        return at_once(lambda keys: torch.unflatten(_drawn(keys.flatten(0, 1), step, stream, offset, first, count),
                                                    0, keys.shape[:2]), key)
    draw = hashing.uniform if torch.compiler.is_compiling() else _UNIFORM
    drawn: Tensor = draw(key, *_forms(step), int(stream), offset, first, count)
    return drawn


def any_of(key: Tensor, step: Tensor | int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """A place where ``mask`` bool ``[..., A]`` is True, each as likely: int64 ``[...]``."""
    if is_stacked(key):
        return at_once(lambda keys, masks: _placed(keys.flatten(0, 1), step, stream, offset, masks), key, mask)
    draw = hashing.any_of if torch.compiler.is_compiling() else _ANY_OF
    place: Tensor = draw(key, *_forms(step), int(stream), offset, mask)
    return place


def _drawn(key: Tensor, step: Tensor | int, stream: int, offset: int, first: Tensor | None, count: int) -> Tensor:
    """``uniform``, by kernels where they can."""
    if first is None and kernels.usable(key):
        return kernels.uniform(key, step, stream, (count,), offset)
    return uniform(key, step, stream, offset, first, count)


def _placed(key: Tensor, step: Tensor | int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """``any_of``, by kernels where they can."""
    return (kernels.any_of(key, step, stream, mask, offset) if kernels.usable(key)
            else any_of(key, step, stream, offset, mask))


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
_ON_GPU = "interplay.envs.kernels.noise_gpu"
_UNIFORM = operator(f"uniform({_DRAW}, Tensor? first, SymInt count) -> Tensor", hashing.uniform, _ON_GPU,
                    _uniform_alike)
_ANY_OF = operator(f"any_of({_DRAW}, Tensor mask) -> Tensor", hashing.any_of, _ON_GPU, _any_of_alike)
