"""A step in one call, for worlds so small that calls take longer than the work; see ``dispatch`` and ``packed``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.kernels import item_kernels, observation_kernels, slate_kernels, user_kernels
from interplay.envs.kernels.jit import routine, serial, whole
from interplay.envs.kernels.observation_kernels import affinities
from interplay.envs.kernels.packed import StateTables, StepTables

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]
"""Of a ``Packed``."""

_respond = serial(user_kernels.respond)
_update_users = serial(user_kernels.update_users)
_update_items = serial(item_kernels.update_items)
_log_boosts = serial(item_kernels.log_boosts)
_scale = serial(user_kernels.scale)
_slates = serial(slate_kernels.slates)
_see_users = serial(observation_kernels.see_users)
_see_items = serial(observation_kernels.see_items)


@routine
def _one(values: Any, start: int, worlds: int) -> Any:
    return values[start * worlds:(start + 1) * worlds]


@routine
def _row(values: Any, start: int, worlds: int, agents: int) -> Any:
    return values[start * worlds:(start + agents) * worlds].reshape((worlds, agents))


@routine
def _table(values: Any, start: int, worlds: int, agents: int, width: int) -> Any:
    return values[start * worlds:(start + agents * width) * worlds].reshape((worlds, agents, width))


@routine
def _state_tables(c: Any, starts: Any, worlds: int, arrays: Any) -> StateTables:
    """The tables of a state, from their three arrays."""
    users, items, (floats, integers, flags) = c.num_users, c.num_items, arrays
    return StateTables(
        _row(floats, starts[0], worlds, users),
        _table(floats, starts[1], worlds, users, c.num_topics),
        _table(floats, starts[2], worlds, users, c.embedding_size),
        _table(floats, starts[3], worlds, users, c.history_length),
        _row(floats, starts[4], worlds, items),
        _table(floats, starts[5], worlds, items, c.num_segments),
        _row(floats, starts[6], worlds, items),
        _table(integers, starts[7], worlds, users, c.history_length),
        _row(integers, starts[8], worlds, items),
        _row(integers, starts[9], worlds, items),
        _row(flags, starts[10], worlds, users),
        _row(flags, starts[11], worlds, items))


@routine
def _step_tables(c: Any, starts: Any, worlds: int, arrays: Any) -> StepTables:
    users, items, (floats, integers, flags) = c.num_users, c.num_items, arrays
    return StepTables(
        _row(floats, starts[0], worlds, users),
        _row(floats, starts[1], worlds, users),
        _row(floats, starts[2], worlds, items),
        _row(floats, starts[3], worlds, items),
        _row(floats, starts[4], worlds, items),
        _table(floats, starts[5], worlds, c.num_segments, items),
        _row(integers, starts[6], worlds, users),
        _row(integers, starts[7], worlds, users),
        _one(integers, starts[8], worlds),
        _one(integers, starts[9], worlds),
        _row(flags, starts[10], worlds, users),
        _row(flags, starts[11], worlds, users),
        _row(flags, starts[12], worlds, users),
        _row(flags, starts[13], worlds, items),
        _row(flags, starts[14], worlds, items),
        _one(flags, starts[15], worlds))


@routine
def _count(illegal: NDArray[np.bool_], total: int, counts: NDArray[np.int64]) -> None:
    """How many are True in each row, of so many in all: 0 nearly always."""
    counts[:] = 0
    if total > 0:
        for world in range(len(counts)):
            counts[world] = illegal[world].sum()


@routine
def _end(c: Any, step: Any, old: StateTables, new: StateTables, out: StepTables) -> None:
    """Which agents are gone for good, and whether the horizon is reached."""
    for world in range(len(step)):
        out.truncated[world] = step[world] + 1 >= c.horizon
        for user in range(old.active.shape[1]):
            left = old.active[world, user] and not new.active[world, user]
            out.user_terminated[world, user] = left and c.mood_return_rate == 0.0


@whole
def play(numbers: Any, starts: NDArray[np.int64], step_starts: NDArray[np.int64], key: NDArray[np.int32],
         step: NDArray[np.int32], streams: tuple[int, int], slate: Any, population: Any, tables: Any, noise: Any,
         drifts: bool, user_action: NDArray[np.int64], item_action: NDArray[np.int64], before: Arrays, after: Arrays,
         happened: Arrays, answered: bool) -> int:
    """``respond`` and ``update_users``, ``update_items``, and what a ``Step`` says of them.

    Returns:
        How many responses are ``close``. If there are some, all that follows waits for a call with responses that are
        ``answered``.
    """
    (items, valid), (segment, rows, weight, sizes), (examination, costs, log_factor) = slate, population, tables
    old = _state_tables(numbers[0], starts, len(key), before)
    new = _state_tables(numbers[0], starts, len(key), after)
    out = _step_tables(numbers[0], step_starts, len(key), happened)
    if not answered:
        forbidden, unsure = _respond(
            numbers, key, step, streams[0], user_action, items, valid, segment, rows, weight, old.active, old.mood,
            old.satiation, old.user_vector, old.wearout, examination, np.empty((0, 0), np.float32), out.position,
            out.chosen, out.user_illegal, out.response, out.close)
        _count(out.user_illegal, forbidden, out.illegal_users)
        if unsure > 0:
            return unsure
    _move_users(numbers, key, step, streams[1], rows, noise, drifts, old, new, out)
    forbidden = _update_items(
        numbers, out.chosen, out.response, segment, rows, sizes, costs, old.boost_level, old.energy, old.alive,
        old.wearout, old.popularity, item_action, out.item_response, out.cost, out.item_own, out.item_terminated,
        out.item_illegal, new.energy, new.alive, new.wearout, new.popularity, new.boost_segment, new.boost_level)
    _count(out.item_illegal, forbidden, out.illegal_items)
    _log_boosts(log_factor, new.boost_level, new.boost_segment, out.log_boosts)
    _end(numbers[0], step, old, new, out)
    return 0


@routine
def _move_users(numbers: Any, key: Any, step: Any, stream: int, rows: Any, noise: Any, drifts: bool, old: StateTables,
                new: StateTables, out: StepTables) -> None:
    """``update_users``; tastes that do not drift stay."""
    (cosine, radius), taste = noise, new.user_vector
    if not drifts:
        new.user_vector[:] = old.user_vector
        taste = np.empty((len(key), 0, 0), np.float32)
    _update_users(numbers, key, step, stream, rows, cosine, radius, out.chosen, out.position, out.response,
                  old.user_vector, old.mood, old.satiation, old.active, old.taken, old.responses, taste, out.squares,
                  new.mood, new.satiation, new.active, new.taken, new.responses)


@whole
def scale(taste: NDArray[np.float32], root: NDArray[np.float32]) -> None:
    """See ``user_kernels``."""
    _scale(taste, root)


@whole
def slates(numbers: Any, starts: NDArray[np.int64], arrays: Arrays, threads: int, key: NDArray[np.int32],
           step: NDArray[np.int32], stream: int, order: NDArray[np.int64], places: NDArray[np.int64],
           vectors: NDArray[np.float32], ids: NDArray[np.int64], log_factor: NDArray[np.float32],
           items: NDArray[np.int64], valid: NDArray[np.bool_], log_propensity: NDArray[np.float32],
           close: NDArray[np.bool_]) -> int:
    """See ``slate_kernels``."""
    now = _state_tables(numbers[0], starts, len(items), arrays)
    return _slates(numbers, now.user_vector, now.alive, now.boost_level, now.boost_segment, threads, key, step, stream,
                   order, places, vectors, ids, log_factor, items, valid, log_propensity, close)


@whole
def see_users(numbers: Any, starts: NDArray[np.int64], arrays: Arrays, rows: NDArray[np.float32],
              shown: NDArray[np.float32], features: NDArray[np.float32], items: NDArray[np.int64],
              valid: NDArray[np.bool_], segment: NDArray[np.int64], examination: NDArray[np.float32], knows: bool,
              bound: Any, own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """See ``observation_kernels``."""
    now = _state_tables(numbers[0], starts, len(items), arrays)
    _see_users(numbers, now.user_vector, now.mood, now.satiation, now.active, now.wearout, now.energy, now.popularity,
               rows, shown, features, items, valid, segment, examination, knows, bound, own, options, mask)


@whole
def see_items(numbers: Any, starts: NDArray[np.int64], arrays: Arrays, shown: NDArray[np.float32],
              share: NDArray[np.float32], affinity: NDArray[np.float32], boost: NDArray[np.float32],
              boosts: NDArray[np.float32], costs: NDArray[np.float32], bound: Any, own: NDArray[np.float32],
              options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """See ``observation_kernels``."""
    now = _state_tables(numbers[0], starts, len(own), arrays)
    _see_items(numbers, now.energy, now.alive, now.boost_level, now.wearout, shown, share, affinity, boost, boosts,
               costs, bound, own, options, mask)


@routine
def _flatten(own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_],
             features: NDArray[np.float32], allowed: NDArray[np.int8]) -> None:
    """An agent's features in one row, and the mask as integers."""
    worlds, agents, count = own.shape
    for world in range(worlds):
        for agent in range(agents):
            features[world, agent, :count] = own[world, agent]
            features[world, agent, count:] = options[world, agent].ravel()
            for action in range(mask.shape[2]):
                allowed[world, agent, action] = mask[world, agent, action]


@routine
def _flat_users(numbers: Any, now: StateTables, rows: NDArray[np.float32], shown: NDArray[np.float32],
                user_features: NDArray[np.float32], segment: NDArray[np.int64], slate: Any,
                examination: NDArray[np.float32], knows: bool, bound: Any, features: NDArray[np.float32],
                allowed: NDArray[np.int8]) -> None:
    """``see_users`` as ``facade.Flat`` has it."""
    items, valid = slate
    worlds, users, slots = items.shape
    options = np.empty((worlds, users, slots, rows.shape[2] + 3), np.float32)
    own = np.empty((worlds, users, features.shape[2] - slots * options.shape[3]), np.float32)
    mask = np.empty((worlds, users, 1 + slots), np.bool_)
    _see_users(numbers, now.user_vector, now.mood, now.satiation, now.active, now.wearout, now.energy, now.popularity,
               rows, shown, user_features, items, valid, segment, examination, knows, bound, own, options, mask)
    _flatten(own, options, mask, features, allowed)


@routine
def _flat_items(numbers: Any, now: StateTables, shown: NDArray[np.float32], share: NDArray[np.float32],
                affinity: NDArray[np.float32], boost: NDArray[np.float32], boosts: NDArray[np.float32],
                costs: NDArray[np.float32], bound: Any, features: NDArray[np.float32],
                allowed: NDArray[np.int8]) -> None:
    """``see_items`` as ``facade.Flat`` has it."""
    worlds, items, segments = affinity.shape
    options = np.empty((worlds, items, segments, 5), np.float32)
    own = np.empty((worlds, items, 1 + shown.shape[2]), np.float32)
    mask = np.empty(allowed.shape, np.bool_)
    _see_items(numbers, now.energy, now.alive, now.boost_level, now.wearout, shown, share, affinity, boost, boosts,
               costs, bound, own, options, mask)
    _flatten(own, options, mask, features, allowed)


@whole
def flat_views(numbers: Any, starts: NDArray[np.int64], arrays: Arrays, rows: NDArray[np.float32],
               shown: NDArray[np.float32], user_features: NDArray[np.float32], segment: NDArray[np.int64],
               items: NDArray[np.int64], valid: NDArray[np.bool_], examination: NDArray[np.float32], knows: bool,
               sizes: NDArray[np.float32], share: NDArray[np.float32], affinity: NDArray[np.float32],
               boost: NDArray[np.float32], boosts: NDArray[np.float32], costs: NDArray[np.float32], bound: Any,
               user_features_out: NDArray[np.float32], user_mask: NDArray[np.int8],
               item_features_out: NDArray[np.float32], item_mask: NDArray[np.int8]) -> None:
    """What both sides see, as ``facade.Flat`` has it; ``affinity`` is worked out if empty."""
    now = _state_tables(numbers[0], starts, len(items), arrays)
    if affinity.size == 0:
        affinity = np.empty(now.wearout.shape, np.float32)
        affinities(rows, 3 + now.satiation.shape[2], segment, sizes, now.user_vector, affinity)
    _flat_users(numbers, now, rows, shown, user_features, segment, (items, valid), examination, knows, bound,
                user_features_out, user_mask)
    _flat_items(numbers, now, shown, share, affinity, boost, boosts, costs, bound, item_features_out, item_mask)
