"""Checks that find diverged learners before anything is saved or reported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from interplay.envs.market import Market
from interplay.envs.types import InterplayError, Observation, Side
from interplay.envs.world import State


class DivergedError(InterplayError):
    """What a run has learnt is not finite.

    Attributes:
        found: why, by seed, of several runs that were trained to their ends.
    """

    found: Mapping[int, str] = {}


def diverged(found: Mapping[int, str], count: int) -> DivergedError:
    """The error of ``count`` runs of which some diverged, why by seed: the first reason, and which they are."""
    seeds, first = ", ".join(map(str, sorted(found))), found[min(found)]
    error = DivergedError(first if count == 1 else f"{len(found)} of {count} seeds ({seeds}): {first}")
    error.found = found
    return error


def check_figures(figures: Mapping[str, float], when: str) -> None:
    """Check that figures of training are finite.

    Raises:
        DivergedError: one is not.
    """
    for name, value in figures.items():
        if not math.isfinite(value):
            raise _diverged(f"{name} is {value}", when)


def check_state(state: Mapping[str, Any], when: str) -> None:
    """Check that all tensors in nested mappings and sequences are finite.

    Raises:
        DivergedError: one is not.
    """
    for name, tensor in _tensors(state):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _diverged(f"{name} has values that are not finite", when)


def check_market(market: Market, state: State) -> None:
    """Check tables of mechanisms and what they show, and all responses that users could give now: a sample hides it.

    Raises:
        InterplayError: one is not.
    """
    for name, table in (state.user_tables.tables | state.item_tables.tables).items():
        if bool(table.isnan().any()):
            raise InterplayError(f"the market is broken: table {name!r} of its mechanisms has values that are not a "
                                 f"number; check {_mechanisms(market)}")
    seen = market.observe(state, "users", expected=True)
    expected = seen.expected
    if expected is not None and not bool(torch.isfinite(expected).all()):
        also = f", and {_mechanisms(market)}" if market.config.further else ""
        raise InterplayError("the market is broken: users give responses that are not finite; check the numbers of its "
                             f"behaviour, such as appeal and vectors{also}")
    if market.config.further:  # others bound what they show
        _check_features(market, "users", seen)
        _check_features(market, "items", market.observe(state, "items"))


def check_returns(market: Market, figures: Mapping[str, float], when: str) -> None:
    """Check that what users and items earned is finite, for which no learner is to blame.

    Raises:
        InterplayError: it is not, in a market with mechanisms of somebody's own.
    """
    for name in ("returns/users", "returns/items"):
        if not math.isfinite(figures[name]) and market.config.further:
            raise InterplayError(f"the market is broken: {name} is {figures[name]} {when}, as a reward is not finite; "
                                 f"check {_mechanisms(market)} by interplay check")


def _check_features(market: Market, side: Side, seen: Observation) -> None:
    spec = market.spec_of(side)
    for names, features in ((spec.own_features, seen.own), (spec.option_features, seen.options)):
        for name, fine in zip(names, features.isfinite().flatten(0, -2).all(0).tolist(), strict=True):
            if not fine:
                raise InterplayError(f"the market is broken: {side} see values of {name!r} that are not finite; check "
                                     f"{_mechanisms(market)} by interplay check")


def _mechanisms(market: Market) -> str:
    return f"its mechanisms ({', '.join(mechanism.name for mechanism in market.config.further)})"


def _diverged(what: str, when: str) -> DivergedError:
    return DivergedError(f"training diverged: {what} {when}; the last finite checkpoint is kept. Lower the "
                          "learning rate, or check the market for values that are not finite")


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _tensors(part, f"{name}.{key}" if name else str(key))
