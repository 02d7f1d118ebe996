"""A step's edges, and what both sides see, by the compiled loops: for a market in the CPU's memory.

Each function does what the torch code does that calls it, to the same bits, and makes new tensors for what it gives.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.kernels import compiled, threads
from interplay.envs.noise import Stream
from interplay.envs.rules import Rules
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State, once, scaled

_NOTHING = torch.empty(0, 0, 0)


class Answers(NamedTuple):
    """What users do, as ``respond`` gives it.

    Attributes:
        position, item: int64 ``[B, U]``, what they take.
        illegal: bool ``[B, U]``, whose action the mask forbade.
        response: float32 ``[B, U]``, by the preference formula; not filled where a market has another.
        close: world and number of each user of whom one rounding or another decides; about one of 100,000.
    """

    position: Tensor
    item: Tensor
    illegal: Tensor
    response: Tensor
    close: list[list[int]]


def respond(rules: Rules, state: State, action: Tensor) -> Answers:
    """What users take, and how they respond. Rates are added up in another order than torch does it."""
    position, item, response = torch.empty_like(action), torch.empty_like(action), torch.empty_like(state.mood)
    illegal, close = (torch.empty_like(action, dtype=torch.bool) for _ in range(2))
    people = state.population
    unsure = _loops(action.numel() * state.user_vector.shape[2]).respond(
        rules.numbers, *_arrays(state.key, state.time), int(Stream.RESPONSE),
        *_arrays(action, state.slate.items, state.slate.valid, state.active), people.array("segment"),
        *_arrays(state.mood, state.satiation, once(state.user_vector)), people.array("item_rows"),
        people.array("weight"), *_arrays(state.wearout, rules.examination, position, item, illegal, response, close))
    return Answers(position, item, illegal, response, close.nonzero().tolist() if unsure else [])


def update_users(rules: Rules, state: State, item: Tensor, position: Tensor, response: Tensor,
                 noise: Tensor | None) -> State:
    """Satiation, mood, taste, who leaves and returns, and what users remember.

    Args:
        rules: the market's.
        state: the worlds.
        item: int64 ``[B, U]``.
        position: int64 ``[B, U]``.
        response: float32 ``[B, U]``.
        noise: standard normal ``[B, U, D]``, what tastes drift by; None where there is none.
    """
    c, old = rules.config, (state.mood, state.satiation, state.active, state.taken, state.responses)
    mood, satiation, active, taken, responses = (torch.empty_like(table) for table in old)
    drifts = c.drift_rate > 0.0 or c.drift_noise > 0.0
    taste = torch.empty(*item.shape, c.embedding_size) if drifts else _NOTHING
    squares = torch.empty(*item.shape, 1) if drifts else _NOTHING
    _loops(satiation.numel() + taste.numel()).update_users(
        rules.numbers, *_arrays(state.key, state.time), int(Stream.RETURN), state.population.array("item_rows"),
        *_arrays(_NOTHING if noise is None else noise, item, position, response, state.mood, state.satiation),
        *_arrays(once(state.user_vector), state.active, state.taken, state.responses, mood, satiation, taste,
                 squares.flatten(1), active, taken, responses))
    return replace(state, mood=mood, satiation=satiation, active=active, taken=taken, responses=responses,
                   user_vector=scaled(taste, squares) if drifts else state.user_vector)


def update_items(rules: Rules, state: State, after: State, item: Tensor, response: Tensor, action: Tensor,
                 heard: Tensor | None) -> tuple[State, Tensor, Tensor, Tensor]:
    """Responses reach the items: budgets, deaths, wear-out, popularity; and whom items court users with next.

    Args:
        rules: the market's.
        state: the worlds.
        after: the worlds, users up to date.
        item: int64 ``[B, U]``.
        response: float32 ``[B, U]``.
        action: int64 ``[B, I]``.
        heard: float32 ``[B, I, C]``, responses by segment; it is written over. None where each response is 0 or 1, so
            that they may be added up here, in any order.

    Returns:
        The worlds, clicks and costs ``[B, I]``, and whose action was forbidden, bool ``[B, I]``.
    """
    energy, alive, popularity, cost = (torch.empty_like(table) for table in (
        state.energy, state.alive, state.popularity, state.energy))
    segment, level, illegal = (torch.empty_like(action, dtype=kind) for kind in (None, None, torch.bool))
    wearout, clicks = ((torch.empty_like(state.wearout), torch.empty_like(energy)) if heard is None
                       else (heard, heard.sum(2)))
    people = state.population
    _loops(item.numel() if len(item) > 1 else 1).update_items(  # worlds are what goes side by side
        rules.numbers, *_arrays(item, response), people.array("segment"),
        *_arrays(once(people.members(rules.config.num_segments)[1]), rules.cost, state.boost_level, state.energy,
                 state.alive, state.wearout, state.popularity, action, clicks, cost, energy, alive, wearout, popularity,
                 segment, level, illegal))
    after = replace(after, energy=energy, alive=alive, wearout=wearout, popularity=popularity, boost_segment=segment,
                    boost_level=level)
    return after, clicks, cost, illegal


def see_users(rules: Rules, state: State, examination: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of users whose slots are examined so often, float32 ``[K]``."""
    c, people, items = rules.config, state.population, state.slate.items
    knows = c.user_sees == "state"
    columns = (1 + c.num_topics + c.embedding_size if knows else 1) + c.num_user_features
    own, options = torch.empty(*items.shape[:2], columns), torch.empty(*items.shape, people.item_rows.shape[2] + 3)
    mask = torch.empty(*items.shape[:2], 1 + items.shape[2], dtype=torch.bool)
    _loops(options.numel()).see_users(
        rules.numbers, *(people.array(name) for name in ("item_rows", "shown_rows", "user_features")),
        *_arrays(once(state.user_vector), items, state.slate.valid), people.array("segment"),
        *_arrays(state.mood, state.satiation, state.active, state.wearout, state.energy, state.popularity,
                 state.popularity.amax(1), examination), knows, np.float32(FEATURE_BOUND),
        *_arrays(own, options, mask))
    return own, options, mask


def see_items(rules: Rules, state: State, share: Tensor, affinity: Tensor,
              boosts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of items; arguments as in ``observing``."""
    c, rows = rules.config, state.population.shown_rows
    own, options = torch.empty(*state.energy.shape, 1 + rows.shape[2]), torch.empty(*affinity.shape, 5)
    mask = torch.empty(*state.energy.shape, 1 + c.num_segments * (len(rules.cost) - 1), dtype=torch.bool)
    _loops(own.numel() + options.numel()).see_items(
        rules.numbers, state.population.array("shown_rows"),
        *_arrays(state.energy, state.alive, once(share), affinity, state.wearout, boosts, boosts.sum(2), rules.cost),
        np.float32(FEATURE_BOUND), *_arrays(own, options, mask))
    return own, options, mask


def _arrays(*tensors: Tensor) -> list[NDArray[np.generic]]:
    """Always in the same layout, for each that a loop gets is compiled anew."""
    return [tensor.contiguous().numpy() for tensor in tensors]


def _loops(count: int) -> ModuleType:
    """The compiled loops, on as many threads as ``count`` numbers deserve."""
    threads(count)
    return compiled("edge_loops")
