"""Calls the compiled loops of a step for a market in the CPU's memory; those of views are in ``view_dispatch``.

Each function does what the torch code does that calls it, to the same bits, and makes new arrays for what it gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.constants import MarketConstants
from interplay.envs.indexing import gather_rows
from interplay.envs.kernels import compiled, deserved, loops_of, usable
from interplay.envs.noise import Stream, polar
from interplay.envs.threads import on_own_threads
from interplay.envs.world import ItemOutcome, Slate, State, Step, UserOutcome

NOTHING = np.empty((1, 0, 0), np.float32)
"""What a loop reads in place of a table that there is not."""
Places = list[tuple[int, int]]
"""World and number of some users."""
Settle = Callable[[MarketConstants, State, UserOutcome, Places, Tensor | None], None]
_CHOICE = {"position": "position", "item": "chosen", "response": "response", "illegal": "illegal_users"}
_STREAMS = int(Stream.RESPONSE), int(Stream.RETURN)
_TOGETHER = 1 << 16  # draws of small worlds' drift that are made at once, for some steps: what a cache holds


def loops_do(constants: MarketConstants, state: State) -> bool:
    """Whether loops do all of a step but its slates."""
    return constants.formula and constants.mechanisms.are_none and usable(state.key)


def plays_at_once(constants: MarketConstants, state: State) -> bool:
    """Whether ``play`` can do all of a step but its slates: where more threads would not be quicker."""
    c = constants.config
    return (loops_do(constants, state)
            and deserved(state.key.shape[0] * c.num_users * (c.num_topics + c.embedding_size)) == 1)


def play(constants: MarketConstants, state: State, user_action: Tensor | NDArray[np.int64],
         item_action: Tensor | NDArray[np.int64], settle: Settle) -> tuple[State, Step]:
    """A whole step but for its slates, on one thread; only where it ``plays_at_once``.

    Args:
        constants: the market's.
        state: the worlds.
        user_action: int64 ``[B, U]``.
        item_action: int64 ``[B, I]``.
        settle: decides responses that depend on rounding, as ``respond`` lists them, in place.

    Returns:
        The state and the step, each side with its own rewards.
    """
    k, population, c = constants.kernel, state.population, constants.config
    key, time = state.arrays("key", "time")
    old, new, out = state.packed(k.state), k.state.empty(len(time)), k.step.empty(len(time))
    drifts = not constants.built_in.drift.is_idle
    tables = population.arrays("segment", "item_rows", "preference_weight")
    step = (k.numbers, k.state.starts, k.step.starts, key, time, _STREAMS, tuple(state.slate.arrays("items", "valid")),
            (*tables, population.sizes(c.num_segments)[0]), (k.examination, k.cost, k.log_factor),
            _shaking(constants, state), drifts, as_array(user_action), as_array(item_action), old.arrays, new.arrays,
            out.arrays)
    if compiled("step_kernels").play(*step, False):
        choice = UserOutcome.of(**{name: k.step.table(table, out) for name, table in _CHOICE.items()})
        settle(constants, state, choice, _places(k.step.table("close", out)), None)
        compiled("step_kernels").play(*step, True)
    taste = k.state.table("user_vector", new)
    if drifts:
        _scale(taste, k.step.table("squares", out))
    return state.of_next(new, time + 1, taste, k.step.table("log_boosts", out)), Step.of_packed(out)


def respond(constants: MarketConstants, state: State, action: Tensor,
            extra: Tensor | None) -> tuple[UserOutcome, Places]:
    """What users take, and how they respond. Rates are added up in another order than torch does it.

    Args:
        constants: the market's.
        state: the worlds.
        action: int64 ``[B, U]``.
        extra: float32 ``[B, U]``, what mechanisms add to the logit of what each user takes; None = nothing.

    Returns:
        What they did, with responses by the preference formula; these are not filled in where a market has another.
        And world and number of each user whose response depends on rounding; about one of 100,000.
    """
    wanted = as_array(action)
    position, item, response = np.empty_like(wanted), np.empty_like(wanted), np.empty(wanted.shape, np.float32)
    illegal, close = np.empty(wanted.shape, np.bool_), np.empty(wanted.shape, np.bool_)
    forbidden, unsure = loops_of(wanted.size * constants.config.embedding_size, "user_kernels").respond(
        constants.kernel.numbers, *state.arrays("key", "time"), int(Stream.RESPONSE), wanted,
        *state.slate.arrays("items", "valid"), *state.population.arrays("segment", "item_rows", "preference_weight"),
        *state.arrays("active", "mood", "satiation", "user_vector", "wearout"), constants.kernel.examination,
        NOTHING[0] if extra is None else as_array(extra), position, item, illegal, response, close)
    choice = UserOutcome.of(position=position, item=item, illegal=_counted(illegal, forbidden), response=response)
    return choice, _places(close) if unsure else []


def update_users(constants: MarketConstants, state: State, choice: UserOutcome) -> State:
    """Satiation, mood, taste, users that leave and return, and what users remember."""
    c = constants.config
    old = state.arrays("mood", "satiation", "active", "taken", "responses")
    new = dict(zip(("mood", "satiation", "active", "taken", "responses"), map(np.empty_like, old), strict=True))
    drifts = not constants.built_in.drift.is_idle
    taste = np.empty((*old[0].shape, c.embedding_size), np.float32) if drifts else NOTHING
    squares = np.empty(old[0].shape, np.float32) if drifts else NOTHING[0]
    loops_of(old[1].size + taste.size, "user_kernels").update_users(
        constants.kernel.numbers, *state.arrays("key", "time"), int(Stream.RETURN),
        *state.population.arrays("item_rows"), *_shaking(constants, state),
        *choice.arrays("item", "position", "response"), *state.arrays("user_vector"), *old, taste, squares,
        *new.values())
    if drifts:
        _scale(taste, squares)
        new["user_vector"] = taste
    return state.evolve_arrays(time=state.arrays("time")[0] + 1, **new)


def update_items(constants: MarketConstants, state: State, after: State, choice: UserOutcome, action: Tensor,
                 heard: Tensor | None) -> tuple[State, ItemOutcome]:
    """Responses reach the items: budgets, deaths, wear-out, popularity; and the segments that items target next.

    Args:
        constants: the market's.
        state: the worlds.
        after: the worlds, users up to date.
        choice: what users did.
        action: int64 ``[B, I]``.
        heard: float32 ``[B, I, C]``, responses by segment; it is written over. None where each response is 0 or 1, so
            that they may be added up here, in any order.
    """
    wanted, population, segments = as_array(action), state.population, constants.config.num_segments
    new = {"energy": np.empty(wanted.shape, np.float32), "alive": np.empty(wanted.shape, np.bool_),
           "wearout": np.empty((*wanted.shape, segments), np.float32) if heard is None else heard.numpy(),
           "popularity": np.empty(wanted.shape, np.float32), "boost_segment": np.empty_like(wanted),
           "boost_level": np.empty_like(wanted)}
    clicks = np.empty(wanted.shape, np.float32) if heard is None else heard.sum(2).numpy()
    cost, own = np.empty(wanted.shape, np.float32), np.empty(wanted.shape, np.float32)
    terminated, illegal = np.empty(wanted.shape, np.bool_), np.empty(wanted.shape, np.bool_)
    item, response = choice.arrays("item", "response")
    count = item.size if len(item) > 1 else 1  # worlds are what goes side by side
    forbidden = loops_of(count, "item_kernels").update_items(
        constants.kernel.numbers, item, response, *population.arrays("segment", "item_rows"),
        population.sizes(segments)[0], constants.kernel.cost,
        *state.arrays("boost_level", "energy", "alive", "wearout", "popularity"), wanted, clicks, cost, own, terminated,
        illegal, *new.values())
    return after.evolve_arrays(**new), ItemOutcome.of(clicks=clicks, cost=cost, own=own, terminated=terminated,
                                            illegal=_counted(illegal, forbidden))


def _scale(taste: NDArray[np.float32], squares: NDArray[np.float32]) -> None:
    """Scale tastes to length 1, in place; the sums of their squares are lost. Torch has square roots of its own."""
    torch.from_numpy(squares).sqrt_()
    if deserved(taste.size) == 1:
        compiled("step_kernels").scale(taste, squares)
    else:
        loops_of(taste.size, "user_kernels").scale(taste, squares)


def _shaking(constants: MarketConstants, state: State) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The noise of drifts, as ``noise.polar`` gives it.

    Small worlds get that of some steps at once, which takes hardly longer than that of one. What follows from the
    state, by any actions, has the same noise.
    """
    c, (time,) = constants.config, state.arrays("time")
    if constants.built_in.drift.noise == 0.0:
        return NOTHING, NOTHING
    shape, now, worlds = (c.num_users, c.embedding_size), int(time[0]), len(time)
    steps = min(_TOGETHER // (worlds * math.prod(shape)), c.horizon - now)
    known = state.__dict__.get("_drifts", {})
    if (now not in known and steps < 2) or (worlds > 1 and (time != now).any()):
        cosine, radius = _polar(state.key, state.time, Stream.DRIFT, shape)
        return cosine.numpy(), radius.numpy()
    if now not in known:
        keys = torch.from_numpy(np.tile(state.arrays("key")[0], (steps, 1)))
        ahead = torch.from_numpy(np.arange(now, now + steps, dtype=np.int32).repeat(worlds))
        cosines, radii = (x.numpy() for x in _polar(keys, ahead, Stream.DRIFT, shape))
        known = state.__dict__["_drifts"] = {
            now + n: (cosines[n * worlds:(n + 1) * worlds], radii[n * worlds:(n + 1) * worlds]) for n in range(steps)}
    found: tuple[NDArray[np.float32], NDArray[np.float32]] = known[now]
    return found


@on_own_threads(lambda key, _time, _stream, shape: len(key) * math.prod(shape))
def _polar(key: Tensor, time: Tensor, stream: Stream, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """``noise.polar``, which is most of what torch does in a step, on as many threads as it is worth."""
    return polar(key, time, stream, shape)


def log_boosts(constants: MarketConstants, state: State) -> NDArray[np.float32]:
    """What ``slates.log_boosts`` gives: ``[B, C, I]``."""
    known: NDArray[np.float32] | None = state.__dict__.get("_boosts")
    if known is not None:
        return known
    level, segment = state.arrays("boost_level", "boost_segment")
    boosts = np.empty((len(level), constants.config.num_segments, level.shape[1]), np.float32)
    loops_of(boosts.size, "item_kernels").log_boosts(constants.kernel.log_factor, level, segment, boosts)
    return boosts


def fixed_slates(constants: MarketConstants, state: State) -> Slate:
    """All items in the order of their numbers, of which those that are alive are offered."""
    (alive,), users = state.arrays("alive"), constants.config.num_users
    items, nothing = _in_order(*alive.shape, users)
    return Slate.of(items=items, valid=alive[:, None].repeat(users, axis=1), log_propensity=nothing)


@lru_cache(maxsize=4)
def _in_order(worlds: int, items: int, users: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """All items for each user, ``[B, U, I]``, and zeros ``[B, U]``."""
    return np.tile(np.arange(items), (worlds, users, 1)), np.zeros((worlds, users), np.float32)


def draw_slates(constants: MarketConstants, state: State, retrieved: Tensor | None) -> tuple[Slate, Places]:
    """The slates of all users at once: scores, noise, the highest and their log-propensity in one pass.

    Args:
        constants: the market's.
        state: the worlds; its old slate is not read.
        retrieved: int64 ``[B, C, M]``, the candidates of each segment; None = all items for all.

    Returns:
        The slates, whose log-propensities, which move nothing, agree with torch's to 1e-5. And the world and the user
        of each close call, where two values lie so near that another rounding could order them otherwise: about one
        slate in 40,000 in town.
    """
    c, population = constants.config, state.population
    if retrieved is None:
        ids, vectors = constants.kernel.item_numbers, population.arrays("item_columns")[0][:, None]
    else:
        ids, vectors = as_array(retrieved), as_array(gather_rows(population.item_vector, retrieved).transpose(2, 3))
    shape = (len(state.arrays("key")[0]), c.num_users)
    items, valid = np.empty((*shape, c.slate_size), np.int64), np.empty((*shape, c.slate_size), np.bool_)
    log_propensity, close = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    count = shape[0] * shape[1] * ids.shape[2]
    unsure = read(
        constants, state, count, "slate_kernels", "slates", ("user_vector", "alive", "boost_level", "boost_segment"),
        deserved(count), *state.arrays("key", "time"), int(Stream.SLATE), *population.by_segment(c.num_segments),
        vectors, ids, constants.kernel.log_factor, items, valid, log_propensity, close)
    slate = Slate.of(items=items, valid=valid, log_propensity=log_propensity)
    return slate, _places(close) if unsure else []


def read(constants: MarketConstants, state: State, count: int, module: str, loop: str, tables: Sequence[str],
          *arguments: Any) -> Any:
    """Call a loop over so many numbers that reads these tables: on one thread, by way of those that are packed."""
    packed, numbers = state.__dict__.get("_packed"), constants.kernel.numbers
    if packed is not None and deserved(count) == 1:
        return getattr(compiled("step_kernels"), loop)(numbers, packed.layout.starts, packed.arrays, *arguments)
    return getattr(loops_of(count, module), loop)(numbers, *state.arrays(*tables), *arguments)


def as_array(table: Tensor | NDArray[Any]) -> NDArray[Any]:
    """Always in the same layout: a loop is compiled once for each layout."""
    return np.ascontiguousarray(table) if isinstance(table, np.ndarray) else table.contiguous().numpy()


def _places(marked: NDArray[np.bool_]) -> Places:
    """Where ``marked [B, U]`` is True; numpy finds places of one axis ten times sooner than those of two."""
    return [divmod(place, marked.shape[1]) for place in np.flatnonzero(marked).tolist()]


def _counted(illegal: NDArray[np.bool_], total: int) -> NDArray[np.int64]:
    """How many are True in each row, int64 ``[B]``, of so many in all: 0 nearly always."""
    return illegal.sum(1) if total else np.zeros(len(illegal), np.int64)
