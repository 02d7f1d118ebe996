"""A step's edges, and what both sides see, by the compiled loops: for a market in the CPU's memory.

Each function does what the torch code does that calls it, to the same bits, and makes new tensors for what it gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.kernels import compiled, loops_of, threads
from interplay.envs.noise import Stream, polar
from interplay.envs.rules import Rules
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import Choice, Slate, State, Takings, once, scaled, take

_NOTHING = np.empty((1, 0, 0), np.float32)
_BOUND = np.float32(FEATURE_BOUND)


def respond(rules: Rules, state: State, action: Tensor, extra: Tensor | None) -> tuple[Choice, list[list[int]]]:
    """What users take, and how they respond. Rates are added up in another order than torch does it.

    Args:
        rules: the market's.
        state: the worlds.
        action: int64 ``[B, U]``.
        extra: float32 ``[B, U]``, what mechanisms add to the logit of what each user takes; None = nothing.

    Returns:
        What they did, with responses by the preference formula; these are not filled in where a market has another.
        And world and number of each user of whom one rounding or another decides; about one of 100,000.
    """
    wanted = _array(action)
    position, item, response = np.empty_like(wanted), np.empty_like(wanted), np.empty(wanted.shape, np.float32)
    illegal, close = np.empty(wanted.shape, np.bool_), np.empty(wanted.shape, np.bool_)
    forbidden, unsure = loops_of(wanted.size * rules.config.embedding_size, "edge_loops").respond(
        rules.numbers, *state.arrays("key", "time"), int(Stream.RESPONSE), wanted,
        *state.slate.arrays("items", "valid"), *state.population.arrays("segment", "item_rows", "weight"),
        *state.arrays("active", "mood", "satiation", "user_vector", "wearout"), rules.examination.numpy(),
        _NOTHING[0] if extra is None else _array(extra), position, item, illegal, response, close)
    choice = Choice.of(position=position, item=item, illegal=_counted(illegal, forbidden), response=response)
    return choice, np.argwhere(close).tolist() if unsure else []


def update_users(rules: Rules, state: State, choice: Choice) -> State:
    """Satiation, mood, taste, who leaves and returns, and what users remember."""
    c = rules.config
    old = state.arrays("mood", "satiation", "active", "taken", "responses")
    new = dict(zip(("mood", "satiation", "active", "taken", "responses"), map(np.empty_like, old), strict=True))
    drifts = c.drift_rate > 0.0 or c.drift_noise > 0.0
    taste = np.empty((*old[0].shape, c.embedding_size), np.float32) if drifts else _NOTHING
    squares = np.empty(old[0].shape, np.float32) if drifts else _NOTHING[0]
    cosine, radius = _NOTHING, _NOTHING
    if c.drift_noise > 0.0:
        shape = (c.num_users, c.embedding_size)
        cosine, radius = (x.numpy() for x in polar(state.key, state.time, Stream.DRIFT, shape))
    loops_of(old[1].size + taste.size, "edge_loops").update_users(
        rules.numbers, *state.arrays("key", "time"), int(Stream.RETURN), *state.population.arrays("item_rows"),
        cosine, radius, *choice.arrays("item", "position", "response"), *state.arrays("user_vector"), *old, taste,
        squares, *new.values())
    if drifts:
        new["user_vector"] = scaled(torch.from_numpy(taste), torch.from_numpy(squares).unsqueeze(2)).numpy()
    return state.changed(**new)


def update_items(rules: Rules, state: State, after: State, choice: Choice, action: Tensor,
                 heard: Tensor | None) -> tuple[State, Takings]:
    """Responses reach the items: budgets, deaths, wear-out, popularity; and whom items court users with next.

    Args:
        rules: the market's.
        state: the worlds.
        after: the worlds, users up to date.
        choice: what users did.
        action: int64 ``[B, I]``.
        heard: float32 ``[B, I, C]``, responses by segment; it is written over. None where each response is 0 or 1, so
            that they may be added up here, in any order.
    """
    wanted, people, segments = _array(action), state.population, rules.config.num_segments
    new = {"energy": np.empty(wanted.shape, np.float32), "alive": np.empty(wanted.shape, np.bool_),
           "wearout": np.empty((*wanted.shape, segments), np.float32) if heard is None else heard.numpy(),
           "popularity": np.empty(wanted.shape, np.float32), "boost_segment": np.empty_like(wanted),
           "boost_level": np.empty_like(wanted)}
    clicks = np.empty(wanted.shape, np.float32) if heard is None else heard.sum(2).numpy()
    cost, own = np.empty(wanted.shape, np.float32), np.empty(wanted.shape, np.float32)
    terminated, illegal = np.empty(wanted.shape, np.bool_), np.empty(wanted.shape, np.bool_)
    item, response = choice.arrays("item", "response")
    count = item.size if len(item) > 1 else 1  # worlds are what goes side by side
    forbidden = loops_of(count, "edge_loops").update_items(
        rules.numbers, item, response, *people.arrays("segment", "item_rows"),
        _array(once(people.segments(segments).divisor)), rules.cost.numpy(),
        *state.arrays("boost_level", "energy", "alive", "wearout", "popularity"), wanted, clicks, cost, own, terminated,
        illegal, *new.values())
    return after.changed(**new), Takings.of(clicks=clicks, cost=cost, own=own, terminated=terminated,
                                            illegal=_counted(illegal, forbidden))


def log_boosts(rules: Rules, state: State) -> Tensor:
    """What ``slates.log_boosts`` gives: float32 ``[B, C, I]``."""
    level, segment = state.arrays("boost_level", "boost_segment")
    boosts = np.empty((len(level), rules.config.num_segments, level.shape[1]), np.float32)
    loops_of(boosts.size, "edge_loops").log_boosts(rules.log_factor.numpy(), level, segment, boosts)
    return torch.from_numpy(boosts)


def draw_slates(rules: Rules, state: State, retrieved: Tensor | None) -> tuple[Slate, list[list[int]]]:
    """The slates of all users at once: scores, noise, the highest and their log-propensity in one pass.

    Args:
        rules: the market's.
        state: the worlds; its old slate is not read.
        retrieved: int64 ``[B, C, M]``, the candidates of each segment; None = all items for all.

    Returns:
        The slates, whose log-propensities, which move nothing, agree with torch's to 1e-5. And the world and the user
        of each close call, where two values lie so near that another rounding could order them otherwise: about one
        slate in 40,000 in town.
    """
    c, people = rules.config, state.population
    if retrieved is None:
        ids, vectors = rules.item_numbers, people.arrays("item_columns")[0][:, None]
    else:
        ids, vectors = _array(retrieved), _array(take(people.item_vector, retrieved).transpose(2, 3))
    shape = (len(state.key), c.num_users)
    items, valid = np.empty((*shape, c.slate_size), np.int64), np.empty((*shape, c.slate_size), np.bool_)
    log_propensity, close = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    unsure = compiled("slate_loops").slates(
        threads(shape[0] * shape[1] * ids.shape[2]), *state.arrays("key", "time"), int(Stream.SLATE),
        *state.arrays("user_vector"), *people.by_segment(c.num_segments), c.num_segments, vectors, ids,
        *state.arrays("alive"), rules.log_factor.numpy(), *state.arrays("boost_level", "boost_segment"),
        np.float32(c.temperature), items, valid, log_propensity, close)
    slate = Slate.of(items=items, valid=valid, log_propensity=log_propensity)
    return slate, np.argwhere(close).tolist() if unsure else []


def see_users(rules: Rules, state: State, examination: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of users whose slots are examined so often, float32 ``[K]``."""
    c, people = rules.config, state.population
    items, valid = state.slate.arrays("items", "valid")
    rows, shown, features = people.arrays("item_rows", "shown_rows", "user_features")
    worlds, users, slots = items.shape
    knows = c.user_sees == "state"
    columns = (1 + c.num_topics + c.embedding_size if knows else 1) + c.num_user_features
    own, mask = np.empty((worlds, users, columns), np.float32), np.empty((worlds, users, 1 + slots), np.bool_)
    options = np.empty((worlds, users, slots, rows.shape[2] + 3), np.float32)
    loops_of(options.size, "view_loops").see_users(
        rules.numbers, rows, shown, features, *state.arrays("user_vector"), items, valid, *people.arrays("segment"),
        *state.arrays("mood", "satiation", "active", "wearout", "energy", "popularity"),
        state.popularity.amax(1).numpy(), _array(examination), knows, _BOUND, own, options, mask)
    return torch.from_numpy(own), torch.from_numpy(options), torch.from_numpy(mask)


def see_items(rules: Rules, state: State, share: Tensor, affinity: Tensor,
              boosts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``Observation.own``, ``options`` and ``mask`` of items; arguments as in ``observing``."""
    rows, suits, costs = *state.population.arrays("shown_rows"), _array(affinity), rules.cost.numpy()
    worlds, items, segments = suits.shape
    own, options = np.empty((worlds, items, 1 + rows.shape[2]), np.float32), np.empty((*suits.shape, 5), np.float32)
    mask = np.empty((worlds, items, 1 + segments * (len(costs) - 1)), np.bool_)
    loops_of(own.size + options.size, "view_loops").see_items(
        rules.numbers, rows, *state.arrays("energy", "alive", "boost_level"), _array(once(share)), suits,
        *state.arrays("wearout"), _array(boosts), boosts.sum(2).numpy(), costs, _BOUND, own, options, mask)
    return torch.from_numpy(own), torch.from_numpy(options), torch.from_numpy(mask)


def _array(tensor: Tensor) -> NDArray[Any]:
    """Always in the same layout, for each that a loop gets is compiled anew."""
    return tensor.contiguous().numpy()


def _counted(illegal: NDArray[np.bool_], total: int) -> NDArray[np.int64]:
    """How many are True in each row, int64 ``[B]``, of so many in all: 0 nearly always."""
    return illegal.sum(1) if total else np.zeros(len(illegal), np.int64)
