"""Checks that find diverged learners before anything is saved or reported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from interplay.envs.market import Market
from interplay.envs.types import InterplayError
from interplay.envs.world import State


def check_figures(figures: Mapping[str, float], when: str) -> None:
    """Check that figures of training are finite.

    Raises:
        InterplayError: one is not.
    """
    for name, value in figures.items():
        if not math.isfinite(value):
            raise _diverged(f"{name} is {value}", when)


def check_state(state: Mapping[str, Any], when: str) -> None:
    """Check that all tensors in nested mappings and sequences are finite.

    Raises:
        InterplayError: one is not.
    """
    for name, tensor in _tensors(state):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _diverged(f"{name} has values that are not finite", when)


def check_market(market: Market, state: State) -> None:
    """Check that all responses that users could give now are finite: a sampled response hides it if they are not.

    Raises:
        InterplayError: one is not.
    """
    expected = market.observe(state, "users", expected=True).expected
    if expected is not None and not bool(torch.isfinite(expected).all()):
        raise InterplayError("the market is broken: its behaviour gives responses that are not finite; check its "
                             "numbers, such as appeal and vectors")


def _diverged(what: str, when: str) -> InterplayError:
    return InterplayError(f"training diverged: {what} {when}; the last finite checkpoint is kept. Lower the "
                          "learning rate, or check the market for values that are not finite")


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _tensors(part, f"{name}.{key}" if name else str(key))
