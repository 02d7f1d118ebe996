"""Calls the compiled loops of what both sides see, for a market in the CPU's memory; see ``dispatch``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.constants import MarketConstants
from interplay.envs.dispatch import NOTHING, as_array, log_boosts, read
from interplay.envs.kernels import compiled
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State, View

_BOUND = np.float32(FEATURE_BOUND)


def see_users(constants: MarketConstants, state: State, ranked: bool) -> View:
    """What ``observing.user_view`` gives without mechanisms."""
    c, population = constants.config, state.population
    (items,) = state.slate.arrays("items")
    columns = (1 + c.num_topics + c.embedding_size if c.user_sees == "state" else 1) + c.num_user_features
    own = np.empty((*items.shape[:2], columns), np.float32)
    options = np.empty((*items.shape, population.arrays("item_rows")[0].shape[2] + 3), np.float32)
    mask = np.empty((*items.shape[:2], 1 + items.shape[2]), np.bool_)
    read(constants, state, options.size, "observation_kernels", "see_users",
          ("user_vector", "mood", "satiation", "active", "wearout", "energy", "popularity"),
          *_of_users(constants, state, ranked), own, options, mask)
    return View.of(own=own, options=options, mask=mask)


def see_items(constants: MarketConstants, state: State, affinity: Tensor) -> View:
    """What ``observing.item_view`` gives without mechanisms; ``affinity`` as there."""
    of_items = _of_items(constants, state, affinity)
    shape = of_items[2].shape
    own, options = np.empty((*shape[:2], 1 + of_items[0].shape[2]), np.float32), np.empty((*shape, 5), np.float32)
    mask = np.empty((*shape[:2], 1 + shape[2] * (len(constants.kernel.cost) - 1)), np.bool_)
    read(constants, state, own.size + options.size, "observation_kernels", "see_items",
          ("energy", "alive", "boost_level", "wearout"), *of_items, own, options, mask)
    return View.of(own=own, options=options, mask=mask)


def flat_views(constants: MarketConstants, state: State, affinity: Tensor | None,
               shapes: Sequence[tuple[int, int, int]]) -> list[tuple[NDArray[np.float32], NDArray[np.int8]]]:
    """What both sides see as ``facade.Flat`` has it, of a market without mechanisms and history.

    Args:
        constants: the market's.
        state: the worlds.
        affinity: as in ``see_items``; None = the loop works it out, see ``KernelConstants``.
        shapes: of each side, how many agents, features and actions there are.
    """
    packed, boosts = state.packed(constants.kernel.state), log_boosts(constants, state)
    seen = [(np.empty((packed.worlds, agents, width), np.float32), np.empty((packed.worlds, agents, actions), np.int8))
            for agents, width, actions in shapes]
    compiled("step_kernels").flat_views(
        constants.kernel.numbers, packed.layout.starts, packed.arrays,
        *state.population.arrays("item_rows", "shown_rows", "user_features", "segment"),
        *state.slate.arrays("items", "valid"), constants.kernel.examination[1:],
        constants.config.user_sees == "state", *state.population.sizes(constants.config.num_segments),
        NOTHING if affinity is None else as_array(affinity), boosts, _added_up(constants, boosts),
        constants.kernel.cost, _BOUND, *seen[0], *seen[1])
    return seen


def _of_users(constants: MarketConstants, state: State, ranked: bool) -> tuple[Any, ...]:
    """What the view of users reads but for tables of the state itself."""
    population, often = state.population, constants.kernel.examination
    items, valid = state.slate.arrays("items", "valid")
    slots = items.shape[2]
    return (*population.arrays("item_rows", "shown_rows", "user_features"), items, valid, *population.arrays("segment"),
            often[1:1 + slots] if ranked else often[1:2].repeat(slots), constants.config.user_sees == "state", _BOUND)


def _of_items(constants: MarketConstants, state: State, affinity: Tensor) -> tuple[Any, ...]:
    """What the view of items reads but for tables of the state itself."""
    population, boosts = state.population, log_boosts(constants, state)
    return (*population.arrays("shown_rows"), population.sizes(constants.config.num_segments)[1],
            as_array(affinity), boosts, _added_up(constants, boosts), constants.kernel.cost, _BOUND)


def _added_up(constants: MarketConstants, boosts: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of each segment's boosts, ``[B, C]``; empty where loops add up as torch does."""
    return NOTHING[0] if constants.kernel.knows_boosts else torch.from_numpy(boosts).sum(2).numpy()
