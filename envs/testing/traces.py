"""Play of small markets with random actions, as named tensors that can be compared."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.graphs import Graph
from interplay.envs.market import Market
from interplay.envs.noise import Stream, uniform
from interplay.envs.pictures.frame import paint
from interplay.envs.pictures.scene import Scene
from interplay.envs.records import Tables
from interplay.envs.types import SIDES, Observation, Side, TensorRecord
from interplay.envs.world import State, Step

Trace = list[tuple[str, Tensor]]
"""Tensors with their names."""

STEPS = 8
"""Steps of a trace."""


def every_side(market: Market) -> Iterator[Side]:
    """The sides that see something; fixed slates leave nothing to a platform."""
    yield from SIDES
    if market.config.slate_order == "ranked":
        yield "platform"


def look_at(market: Market, state: State, step: Step) -> None:
    """All that shows a state: what agents see of it, and its picture after ``step``."""
    for side in every_side(market):
        market.observe(state, side, expected=True)
    paint(Scene.of_world(1, state, step, (), market.config.horizon, market.name), market.config)


def any_actions(market: Market, state: State, number: int | Tensor) -> list[Tensor]:
    """Any allowed action of each agent, drawn with this number of a step."""
    chosen = []
    for side in SIDES:
        mask = market.observe(state, side).mask
        draws = uniform(state.key, number, Stream.ACTION, tuple(mask.shape[1:]))
        chosen.append(draws.masked_fill(~mask, -1.0).argmax(-1))
    return chosen


def trace(market: Market, state: State) -> Trace:
    """All that happens from ``state`` on, and what agents see."""
    trace: Trace = []
    for number in range(STEPS):
        state, step = market.step(state, *any_actions(market, state, number))
        for record in (state, step, *(market.observe(state, side, expected=True) for side in every_side(market))):
            trace += named(record)
        trace += list(market.constants.mechanisms.measures(state).items())
    return trace


def replayed(market: Market, state: State) -> tuple[Trace, Trace]:
    """What happens from ``state`` on, and what happens when a step is recorded as a graph and replayed.

    Raises:
        NotCapturable: a step cannot be recorded.
    """
    def step(state: State) -> tuple[State, Step]:
        return market.step(state, *any_actions(market, state, state.time))

    played: Trace = []
    again: Trace = []
    with kernels.switched_off():
        graph = Graph(step, state)
        for _ in range(STEPS):
            state, happened = step(state)
            played += named(state) + named(happened)
            found = graph.replay()
            again += [(name, table.clone()) for name, table in named(graph.record) + named(found)]
    return played, again


def named(record: TensorRecord) -> Trace:
    """The tensors of a record by name, without what is undefined: items of skips, items and rates of empty slots."""
    if isinstance(record, State):
        slate = record.slate
        record = replace(record, slate=replace(slate, items=slate.items * slate.valid,
                                               log_propensity=torch.zeros_like(slate.log_propensity)))
    if isinstance(record, Step):
        record = replace(record, chosen=record.chosen * (record.position > 0))
    if isinstance(record, Observation) and record.expected is not None:
        record = replace(record, expected=record.expected.masked_fill(~record.mask, 0.0))
    return list(_flat(record.state_dict(), type(record).__name__))


def _flat(values: dict[str, Any], name: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, key)
        elif value is not None and key != "ids":
            yield f"{name}.{key}", value


def with_tables_of(state: State, other: State) -> State:
    """The state with those tables of mechanisms alone that another has, too."""
    return replace(state, user_tables=Tables({name: state[name] for name in other.user_tables.tables}),
                   item_tables=Tables({name: state[name] for name in other.item_tables.tables}))


def second_world(table: Tensor) -> Tensor:
    """The second row of a batch, as a batch."""
    return table[1:2]


def alike(one: Tensor, other: Tensor) -> bool:
    """Equal but for the order in which sums were added up."""
    return torch.allclose(one, other, rtol=1e-5, atol=1e-5) if one.is_floating_point() else torch.equal(one, other)


def global_state() -> tuple[Any, ...]:
    """State of the generators of Python, NumPy and torch."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # to see that no code uses it
    return random.getstate(), name, np.asarray(keys).tolist(), rest, torch.get_rng_state().tolist()
