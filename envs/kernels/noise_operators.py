"""Draws of noise as operators of torch: one kernel on a GPU that has Triton, ``hashing`` on every other device.

As operators they run in CUDA graphs, under ``FakeTensorMode`` and on the meta device. ``torch.compile`` traces
``hashing`` instead, so that it fuses draws with what uses them. Arguments are those of the functions in ``hashing``.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from interplay.envs import hashing

_LIBRARY: Any = torch.library.Library("interplay", "FRAGMENT")  # type: ignore[no-untyped-call]
_COMMON = "Tensor key, Tensor? step, SymInt number, SymInt stream, SymInt offset"
# Not torch.library.custom_op, which takes three times as long to call.
for _schema in (f"uniform({_COMMON}, Tensor? first, SymInt count) -> Tensor",
                f"any_of({_COMMON}, Tensor mask) -> Tensor"):
    _LIBRARY.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


def uniform(key: Tensor, step: Tensor | int, stream: int, offset: int, first: Tensor | None, count: int) -> Tensor:
    """Uniform draws in (0, 1), float32 ``[B, R, count]``, or ``[B, count]`` without ``first``."""
    draw = hashing.uniform if torch.compiler.is_compiling() else torch.ops.interplay.uniform
    drawn: Tensor = draw(key, *_forms(step), int(stream), offset, first, count)
    return drawn


def any_of(key: Tensor, step: Tensor | int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """A place where ``mask`` bool ``[..., A]`` is True, each as likely: int64 ``[...]``."""
    draw = hashing.any_of if torch.compiler.is_compiling() else torch.ops.interplay.any_of
    place: Tensor = draw(key, *_forms(step), int(stream), offset, mask)
    return place


def _forms(step: Tensor | int) -> tuple[Tensor | None, int]:
    """``step`` and ``number``, as operators take a step."""
    return (None, step) if isinstance(step, int) else (step, 0)


@cache
def _on_gpu() -> ModuleType:
    """Where the functions are that a GPU runs."""
    has_triton = importlib.util.find_spec("triton") is not None
    return importlib.import_module("interplay.envs.kernels.noise_gpu") if has_triton else hashing


def _uniform_on_gpu(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, first: Tensor | None,
                    count: int) -> Tensor:
    drawn: Tensor = _on_gpu().uniform(key, step, number, stream, offset, first, count)
    return drawn


def _any_of_on_gpu(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, mask: Tensor) -> Tensor:
    place: Tensor = _on_gpu().any_of(key, step, number, stream, offset, mask)
    return place


def _uniform_alike(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, first: Tensor | None,
                   count: int) -> Tensor:
    """A tensor of the right shape, for tracing."""
    rows = () if first is None else first.shape
    return key.new_empty((key.shape[0], *rows, count), dtype=torch.float32)


def _any_of_alike(key: Tensor, step: Tensor | None, number: int, stream: int, offset: int, mask: Tensor) -> Tensor:
    """A tensor of the right shape, for tracing."""
    return mask.new_empty(mask.shape[:-1], dtype=torch.int64)


for _name, _reference, _gpu, _alike in (("uniform", hashing.uniform, _uniform_on_gpu, _uniform_alike),
                                        ("any_of", hashing.any_of, _any_of_on_gpu, _any_of_alike)):
    _LIBRARY.impl(_name, _reference, "CompositeExplicitAutograd")
    _LIBRARY.impl(_name, _gpu, "CUDA")
    torch.library.register_fake(f"interplay::{_name}", _alike, lib=_LIBRARY)
