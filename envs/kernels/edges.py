"""A step's edges, and what both sides see, by the compiled loops: for a market in the CPU's memory.

Each function does what the torch code does that calls it, to the same bits, and makes new tensors for what it gives.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

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


def choose(state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions and items ``[B, U]`` that users take, and whose action the mask forbade, bool ``[B, U]``."""
    position, item = torch.empty_like(action), torch.empty_like(action)
    illegal = torch.empty_like(action, dtype=torch.bool)
    _loops(action.numel()).choose(*_arrays(action, state.slate.items, state.slate.valid, state.active),
                                  *_arrays(position, item, illegal))
    return position, item, illegal


def respond(rules: Rules, state: State, item: Tensor, position: Tensor) -> tuple[Tensor, list[list[int]]]:
    """Responses drawn by the preference formula, float32 ``[B, U]``.

    Rates are added up in another order than torch does it. The second value lists the users, each as world and number,
    of whom one rounding or another decides; about one of 100,000.
    """
    response, close = torch.empty_like(state.mood), torch.empty_like(state.mood, dtype=torch.bool)
    people = state.population
    tables = (people.segment, state.mood, state.satiation, state.user_vector, people.item_rows, people.weight)
    unsure = _loops(item.numel() * state.user_vector.shape[2]).respond(
        rules.numbers, *_arrays(state.key, state.time), int(Stream.RESPONSE), *_arrays(item, position),
        *_shared(*tables), *_arrays(state.wearout, rules.examination, response, close))
    return response, close.nonzero().tolist() if unsure else []


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
        rules.numbers, *_arrays(state.key, state.time), int(Stream.RETURN), *_shared(state.population.item_rows),
        *_arrays(_NOTHING if noise is None else noise, item, position, response, state.mood, state.satiation),
        *_shared(state.user_vector),
        *_arrays(state.active, state.taken, state.responses, mood, satiation, taste, squares.flatten(1), active, taken,
                 responses))
    return replace(state, mood=mood, satiation=satiation, active=active, taken=taken, responses=responses,
                   user_vector=scaled(taste, squares) if drifts else state.user_vector)


def update_items(rules: Rules, state: State, after: State, item: Tensor,
                 response: Tensor) -> tuple[State, Tensor, Tensor]:
    """Responses, each 0 or 1, reach the items; budgets, deaths, wear-out. Also clicks and costs ``[B, I]``."""
    energy, alive, wearout, popularity = (torch.empty_like(table) for table in (
        state.energy, state.alive, state.wearout, state.popularity))
    clicks, cost = torch.empty_like(energy), torch.empty_like(energy)
    people = state.population
    sizes = people.members(rules.config.num_segments)[1]
    _loops(item.numel() if len(item) > 1 else 1).update_items(  # worlds are what goes side by side
        rules.numbers, *_arrays(item, response), *_shared(people.segment, sizes),
        *_arrays(rules.cost, state.boost_level, state.energy, state.alive, state.wearout, state.popularity,
                 clicks, cost, energy, alive, wearout, popularity))
    return replace(after, energy=energy, alive=alive, wearout=wearout, popularity=popularity), clicks, cost


def place_boosts(rules: Rules, state: State, after: State, action: Tensor) -> tuple[State, Tensor]:
    """What items court users with in the next step, and whose action was forbidden, bool ``[B, I]``."""
    segment, level = torch.empty_like(action), torch.empty_like(action)
    illegal = torch.empty_like(action, dtype=torch.bool)
    _loops(action.numel()).place_boosts(
        rules.numbers, *_arrays(action, rules.cost, state.energy, state.alive, after.alive, segment, level, illegal))
    return replace(after, boost_segment=segment, boost_level=level), illegal


def see_users(rules: Rules, state: State, examination: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of users whose slots are examined so often, float32 ``[K]``."""
    c, people, items = rules.config, state.population, state.slate.items
    knows = c.user_sees == "state"
    columns = (1 + c.num_topics + c.embedding_size if knows else 1) + c.num_user_features
    own, options = torch.empty(*items.shape[:2], columns), torch.empty(*items.shape, people.item_rows.shape[2] + 3)
    mask = torch.empty(*items.shape[:2], 1 + items.shape[2], dtype=torch.bool)
    _loops(options.numel()).see_users(
        rules.numbers, *_shared(people.item_rows, people.shown_rows, people.user_features, state.user_vector),
        *_arrays(items, state.slate.valid), *_shared(people.segment),
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
        rules.numbers, *_shared(rows), *_arrays(state.energy, state.alive), *_shared(share),
        *_arrays(affinity, state.wearout, boosts, boosts.sum(2), rules.cost), np.float32(FEATURE_BOUND),
        *_arrays(own, options, mask))
    return own, options, mask


def _arrays(*tensors: Tensor) -> list[NDArray[np.generic]]:
    """Always in the same layout, for each that a loop gets is compiled anew."""
    return [tensor.contiguous().numpy() for tensor in tensors]


def _shared(*tables: Tensor) -> list[NDArray[np.generic]]:
    """Tables that all worlds may have in common, which then hold them once."""
    return _arrays(*(once(table) for table in tables))


def _loops(count: int) -> ModuleType:
    """The compiled loops, on as many threads as ``count`` numbers deserve."""
    threads(count)
    return compiled("edge_loops")
