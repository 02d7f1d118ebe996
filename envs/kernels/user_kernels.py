"""The loops of what users do in a step and of what it does to them, as numba compiles them; see ``dispatch``.

Every sum, product and comparison is done in float32 and in the order in which torch does it in the reference, so that
the bits are the same. ``numbers`` are the market's, as one record; see ``MarketConstants.numbers``.

Places that are sums are unsigned, since numba looks at signed ones whether they are below 0, and counts from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.jit import (
    USERS,
    clamped,
    draw,
    exact,
    exp_64,
    first_and_second,
    loop,
    parts_of,
    reordered,
    where_of,
)


@exact
def _sum_by_halves(values: NDArray[np.float32]) -> Any:
    """In the order of ``world.unit``; the values are lost."""
    count = np.uint64(len(values))
    while count > 1:
        half = count // np.uint64(2)
        for i in range(half):
            values[i] += values[half + i]
        if count % np.uint64(2) == 1:
            values[half] = values[count - np.uint64(1)]
        count = half + count % np.uint64(2)
    return values[0]


@exact
def _choose(where: Any, action: NDArray[np.int64], items: NDArray[np.int64], valid: NDArray[np.bool_],
            active: NDArray[np.bool_], position: NDArray[np.int64], item: NDArray[np.int64],
            illegal: NDArray[np.bool_]) -> int:
    """Actions that the mask forbids become a skip: how many. Without branches, since actions are unpredictable."""
    first_world, last_world, begin, end = where
    slots, forbidden = items.shape[2], 0
    for world in range(first_world, last_world):
        for user in range(np.uint64(begin), np.uint64(end)):
            wanted = action[world, user]
            slot = np.uint64(max(0, min(wanted, slots) - 1))
            there = (wanted > 0) & (wanted <= slots) & active[world, user] & valid[world, user, slot]
            illegal[world, user] = ~(there | (wanted == 0))
            forbidden += illegal[world, user]
            position[world, user] = wanted if there else 0
            item[world, user] = items[world, user, slot if there else np.uint64(0)]
    return forbidden


@reordered
def _add_up(where: Any, numbers: Any, segment: NDArray[np.int64], rows: NDArray[np.float32],
            weight: NDArray[np.float32], mood: NDArray[np.float32], satiation: NDArray[np.float32],
            taste: NDArray[np.float32], wearout: NDArray[np.float32], extra: NDArray[np.float32],
            item: NDArray[np.int64], logit: NDArray[np.float64], terms: NDArray[np.float64]) -> None:
    """Logits of the preference formula for the items that users have before them, and sums of their terms' sizes.

    In any order: ``_answer`` leaves to torch what depends on how they are rounded.
    """
    first_world, last_world, begin, end = where
    c, topics, size, n = numbers[0], np.uint64(satiation.shape[2]), np.uint64(taste.shape[2]), np.uint64(0)
    three, tastes = np.uint64(3), np.uint64(3) + topics
    for world in range(first_world, last_world):
        w, w_segment, w_weight = world % len(rows), world % len(segment), world % len(weight)
        for user in range(np.uint64(begin), np.uint64(end)):
            taken = np.uint64(item[world, user])
            term = np.float64(c.mood_weight * mood[world, user])
            total, sizes = term + np.float64(rows[w, taken, 1]), abs(term) + abs(np.float64(rows[w, taken, 1]))
            for d in range(size):
                term = np.float64(weight[w_weight, d] * taste[world, user, d] * rows[w, taken, tastes + d])
                total, sizes = total + term, sizes + abs(term)
            tired = np.float64(0.0)
            if c.satiation_weight > 0.0:
                for topic in range(topics):
                    tired += np.float64(satiation[world, user, topic] * rows[w, taken, three + topic])
            if extra.size > 0:
                total, sizes = total + np.float64(extra[world, user]), sizes + abs(np.float64(extra[world, user]))
            term = c.satiation_weight * tired
            term += c.wearout_weight * wearout[world, taken, segment[w_segment, user]]
            logit[n], terms[n] = total - term, sizes + abs(term)
            n += np.uint64(1)


@exact
def _as_chances(logit: NDArray[np.float64]) -> None:
    """Put the sigmoid of each logit in its place: a pass of its own, which becomes vector instructions."""
    for n in range(len(logit)):
        logit[n] = 1.0 / (1.0 + exp_64(-logit[n]))


@exact
def _answer(where: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, chance: NDArray[np.float64],
            terms: NDArray[np.float64], examination: NDArray[np.float32], position: NDArray[np.int64],
            response: NDArray[np.float32], close: NDArray[np.bool_]) -> int:
    """Draw responses; how many draws are ``close`` to the rate that decides them."""
    first_world, last_world, begin, end = where
    unsure, n = 0, np.uint64(0)
    for world in range(first_world, last_world):
        first, second = first_and_second(key, step, stream, world)
        for user in range(np.uint64(begin), np.uint64(end)):
            slot = position[world, user]
            rate = np.float64(examination[slot]) * chance[n]
            drawn = np.float64(draw(first, second, user))
            takes = slot > 0
            # By so much may the rate that torch adds up in float32 be another one.
            near = takes & (abs(drawn - rate) < 5e-7 * (4.0 + terms[n]))
            close[world, user] = near
            response[world, user] = np.float32(1.0) if takes & (drawn < rate) else np.float32(0.0)
            unsure += near
            n += np.uint64(1)
    return unsure


@loop
def respond(numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, action: NDArray[np.int64],
            items: NDArray[np.int64], valid: NDArray[np.bool_], segment: NDArray[np.int64], rows: NDArray[np.float32],
            weight: NDArray[np.float32], active: NDArray[np.bool_], mood: NDArray[np.float32],
            satiation: NDArray[np.float32], taste: NDArray[np.float32], wearout: NDArray[np.float32],
            examination: NDArray[np.float32], extra: NDArray[np.float32], position: NDArray[np.int64],
            item: NDArray[np.int64], illegal: NDArray[np.bool_], response: NDArray[np.float32],
            close: NDArray[np.bool_]) -> tuple[int, int]:
    """What every user takes and, where the formula says it, the response.

    Returns:
        How many actions were forbidden, and how many draws are ``close`` to the rate that decides them.
    """
    worlds, users = action.shape
    forbidden, unsure = 0, 0
    for part in prange(parts_of(worlds, users)):
        where = where_of(part, worlds, users)
        forbidden += _choose(where, action, items, valid, active, position, item, illegal)
        if numbers[0].formula:
            logit, terms = np.zeros(USERS, np.float64), np.empty(USERS, np.float64)
            _add_up(where, numbers, segment, rows, weight, mood, satiation, taste, wearout, extra, item, logit,
                    terms)
            _as_chances(logit)
            unsure += _answer(where, key, step, stream, logit, terms, examination, position, response, close)
    return forbidden, unsure


@exact
def _drift(where: Any, numbers: Any, rows: NDArray[np.float32], topics: int, cosine: NDArray[np.float32],
           radius: NDArray[np.float32], item: NDArray[np.int64], response: NDArray[np.float32],
           taste: NDArray[np.float32], new_taste: NDArray[np.float32], new_squares: NDArray[np.float32]) -> None:
    """Where tastes go, before they are scaled to length 1, and the sums of their squares."""
    first_world, last_world, begin, end = where
    c, size, tastes, shaken = numbers[0], np.uint64(new_taste.shape[2]), np.uint64(3 + topics), cosine.shape[2] > 0
    squares = np.empty(size, np.float32)
    for world in range(first_world, last_world):
        w = world % len(rows)
        for user in range(np.uint64(begin), np.uint64(end)):
            pull, taken = c.drift_rate * response[world, user], np.uint64(item[world, user])
            stay = np.float32(1.0) - pull
            for d in range(size):
                drifted = stay * taste[world, user, d] + pull * rows[w, taken, tastes + d]
                if shaken:
                    drifted += c.drift_noise * (cosine[world, user, d] * radius[world, user, d])
                new_taste[world, user, d] = drifted
                squares[d] = drifted * drifted
            new_squares[world, user] = _sum_by_halves(squares)


@loop
def scale(taste: NDArray[np.float32], root: NDArray[np.float32]) -> None:
    """Divide tastes by their lengths, of which ``root [B, U]`` holds the exact ones; see ``world.scaled``."""
    worlds, users, size = taste.shape
    for part in prange(parts_of(worlds, users)):
        first_world, last_world, begin, end = where_of(part, worlds, users)
        for world in range(first_world, last_world):
            for user in range(begin, end):
                length = max(root[world, user], np.float32(1e-12))
                for d in range(size):
                    taste[world, user, d] /= length


@exact
def _feel(where: Any, numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int,
          rows: NDArray[np.float32], item: NDArray[np.int64], response: NDArray[np.float32], mood: NDArray[np.float32],
          satiation: NDArray[np.float32], active: NDArray[np.bool_], new_mood: NDArray[np.float32],
          new_satiation: NDArray[np.float32], new_active: NDArray[np.bool_]) -> None:
    """Satiation and mood; users that leave and return."""
    first_world, last_world, begin, end = where
    c, topics, three, zero = numbers[0], np.uint64(satiation.shape[2]), np.uint64(3), np.float32(0.0)
    for world in range(first_world, last_world):
        w = world % len(rows)
        first, second = first_and_second(key, step, stream, world)
        for user in range(np.uint64(begin), np.uint64(end)):
            y, taken = response[world, user], np.uint64(item[world, user])
            gain = c.satiation_gain * y
            for topic in range(topics):
                more = c.satiation_decay * satiation[world, user, topic] + gain * rows[w, taken, three + topic]
                new_satiation[world, user, topic] = clamped(more - c.satiation_recovery, zero, c.satiation_max)
            mood_now = clamped(c.mood_decay * mood[world, user] + y * rows[w, taken, 2], -c.mood_max, c.mood_max)
            stays = active[world, user]
            if c.mood_leaving:
                returns = not stays and draw(first, second, user) < c.mood_return_rate
                mood_now = zero if returns else mood_now
                stays = (stays and mood_now > c.mood_floor) or returns
            new_mood[world, user], new_active[world, user] = mood_now, stays


@exact
def _remember(where: Any, item: NDArray[np.int64], position: NDArray[np.int64], response: NDArray[np.float32],
              taken: NDArray[np.int64], responses: NDArray[np.float32], new_taken: NDArray[np.int64],
              new_responses: NDArray[np.float32]) -> None:
    """What users did enters their histories, the oldest drops out."""
    first_world, last_world, begin, end = where
    last = taken.shape[2] - 1
    for world in range(first_world, last_world):
        for user in range(begin, end):
            for past in range(last):
                new_taken[world, user, past] = taken[world, user, past + 1]
                new_responses[world, user, past] = responses[world, user, past + 1]
            new_taken[world, user, last] = item[world, user] + 1 if position[world, user] > 0 else 0
            new_responses[world, user, last] = response[world, user]


@loop
def update_users(numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, rows: NDArray[np.float32],
                 cosine: NDArray[np.float32], radius: NDArray[np.float32], item: NDArray[np.int64],
                 position: NDArray[np.int64], response: NDArray[np.float32], taste: NDArray[np.float32],
                 mood: NDArray[np.float32], satiation: NDArray[np.float32], active: NDArray[np.bool_],
                 taken: NDArray[np.int64], responses: NDArray[np.float32], new_taste: NDArray[np.float32],
                 new_squares: NDArray[np.float32], new_mood: NDArray[np.float32], new_satiation: NDArray[np.float32],
                 new_active: NDArray[np.bool_], new_taken: NDArray[np.int64],
                 new_responses: NDArray[np.float32]) -> None:
    """Satiation, mood, taste with its sum of squares, users that leave and return, and what users remember."""
    worlds, users, topics = satiation.shape
    for part in prange(parts_of(worlds, users)):
        where = where_of(part, worlds, users)
        _feel(where, numbers, key, step, stream, rows, item, response, mood, satiation, active, new_mood,
              new_satiation, new_active)
        if new_taste.shape[2] > 0:
            _drift(where, numbers, rows, topics, cosine, radius, item, response, taste, new_taste, new_squares)
        if taken.shape[2] > 0:
            _remember(where, item, position, response, taken, responses, new_taken, new_responses)
