"""Operators of torch that are one kernel on a GPU that has Triton, and plain torch code on every other device.

As operators they run in CUDA graphs, under ``FakeTensorMode``, on the meta device and within ``torch.compile``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

_LIBRARY: Any = torch.library.Library("interplay", "FRAGMENT")  # type: ignore[no-untyped-call]


@cache
def has_triton() -> bool:
    """Whether Triton is installed, and kernels are wanted."""
    return os.environ.get("INTERPLAY_KERNELS", "1") != "0" and importlib.util.find_spec("triton") is not None


def operator(signature: str, reference: Callable[..., Any], module: str, alike: Callable[..., Any]) -> Any:
    """A new operator.

    Args:
        signature: name, arguments and results, as torch writes them.
        reference: the function in plain torch.
        module: the module that has a function of the operator's name for a GPU with Triton.
        alike: gives tensors of the right shapes and types, for tracing.
    """
    name = signature[:signature.index("(")]

    def on_gpu(*arguments: Any) -> Any:
        if not has_triton():
            return reference(*arguments)
        return getattr(importlib.import_module(module), name)(*arguments)

    # Not torch.library.custom_op, whose calls take three times as long.
    _LIBRARY.define(signature, tags=(torch.Tag.pt2_compliant_tag,))
    _LIBRARY.impl(name, reference, "CompositeExplicitAutograd")
    _LIBRARY.impl(name, on_gpu, "CUDA")
    torch.library.register_fake(f"interplay::{name}", alike, lib=_LIBRARY)
    return getattr(torch.ops.interplay, name)
