"""The loops of a step's edges and of what both sides see, as numba compiles them; see ``edges`` and ``loops``.

Every sum, product and comparison is done in float32 and in the order in which torch does it in the reference, so that
the bits are the same. ``numbers`` are the market's, as one record; see ``Rules.numbers``.

Places that are sums are unsigned, since numba looks at signed ones whether they are below 0, and counts from the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.parts import USERS, draw, first_and_second, inlined, loop, routine


@inlined
def _clamped(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)


@routine
def _sum_by_halves(values: NDArray[np.float32]) -> Any:
    """In the order of ``world.unit``; the values are lost."""
    count = len(values)
    while count > 1:
        half = count // 2
        for i in range(half):
            values[i] += values[half + i]
        if count % 2 == 1:
            values[half] = values[count - 1]
        count = half + count % 2
    return values[0]


@routine
def _choose(world: int, begin: int, end: int, action: NDArray[np.int64], items: NDArray[np.int64],
            valid: NDArray[np.bool_], active: NDArray[np.bool_], position: NDArray[np.int64], item: NDArray[np.int64],
            illegal: NDArray[np.bool_]) -> int:
    """Actions that the mask forbids become a skip: how many."""
    slots, forbidden = items.shape[2], 0
    for user in range(begin, end):
        wanted = action[world, user]
        allowed = wanted == 0
        if 0 < wanted <= slots:
            allowed = active[world, user] and valid[world, user, wanted - 1]
        illegal[world, user] = not allowed
        forbidden += not allowed
        position[world, user] = wanted if allowed else 0
        item[world, user] = items[world, user, wanted - 1 if allowed and wanted > 0 else 0]
    return forbidden


@loop
def respond(numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, action: NDArray[np.int64],
            items: NDArray[np.int64], valid: NDArray[np.bool_], segment: NDArray[np.int64], rows: NDArray[np.float32],
            weight: NDArray[np.float32], active: NDArray[np.bool_], mood: NDArray[np.float32],
            satiation: NDArray[np.float32], taste: NDArray[np.float32], wearout: NDArray[np.float32],
            examination: NDArray[np.float32], position: NDArray[np.int64], item: NDArray[np.int64],
            illegal: NDArray[np.bool_], response: NDArray[np.float32], close: NDArray[np.bool_]) -> tuple[int, int]:
    """What every user takes and, where the formula says it, the response.

    Returns:
        How many actions were forbidden, and how many draws are ``close`` to the rate that decides them.
    """
    worlds, users = action.shape
    topics, size = np.uint64(satiation.shape[2]), np.uint64(taste.shape[2])
    three, tastes = np.uint64(3), np.uint64(3) + topics
    blocks = (users + USERS - 1) // USERS
    forbidden, unsure = 0, 0
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        end = min(users, begin + USERS)
        forbidden += _choose(world, begin, end, action, items, valid, active, position, item, illegal)
        c = numbers[0]
        if not c.formula:
            continue
        first, second = first_and_second(key, step, stream, world)
        own_weight = weight[world % len(weight)]
        for user in range(begin, end):
            response[world, user], close[world, user] = np.float32(0.0), False
            if position[world, user] == 0:
                continue
            taken = item[world, user]
            row, own = rows[world % len(rows), taken], taste[world, user]
            term = np.float64(c.mood_weight * mood[world, user])
            logit, terms = term + np.float64(row[1]), abs(term) + abs(np.float64(row[1]))
            for d in range(size):
                term = np.float64(own_weight[d] * own[d] * row[tastes + d])
                logit, terms = logit + term, terms + abs(term)
            tired = np.float64(0.0)
            if c.satiation_weight > 0.0:
                for topic in range(topics):
                    tired += np.float64(satiation[world, user, topic] * row[three + topic])
            term = c.satiation_weight * tired
            term += c.wearout_weight * wearout[world, taken, segment[world % len(segment), user]]
            logit, terms = logit - term, terms + abs(term)
            rate = examination[position[world, user]] / (1.0 + math.exp(-logit))
            drawn = draw(first, second, user)
            # By so much may the rate that torch adds up in float32 be another one.
            if abs(drawn - rate) < 5e-7 * (4.0 + terms):
                close[world, user] = True
                unsure += 1
            if drawn < rate:
                response[world, user] = np.float32(1.0)
    return forbidden, unsure


@loop
def update_users(numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, rows: NDArray[np.float32],
                 noise: NDArray[np.float32], item: NDArray[np.int64], position: NDArray[np.int64],
                 response: NDArray[np.float32], taste: NDArray[np.float32], mood: NDArray[np.float32],
                 satiation: NDArray[np.float32], active: NDArray[np.bool_], taken: NDArray[np.int64],
                 responses: NDArray[np.float32], new_taste: NDArray[np.float32], new_squares: NDArray[np.float32],
                 new_mood: NDArray[np.float32], new_satiation: NDArray[np.float32], new_active: NDArray[np.bool_],
                 new_taken: NDArray[np.int64], new_responses: NDArray[np.float32]) -> None:
    """Satiation, mood, taste with its sum of squares, who leaves and returns, and what users remember."""
    worlds, users, topics = satiation.shape
    history, size = taken.shape[2], np.uint64(new_taste.shape[2])
    three, tastes = np.uint64(3), np.uint64(3 + topics)
    blocks = (users + USERS - 1) // USERS
    zero, one = np.float32(0.0), np.float32(1.0)
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        c = numbers[0]
        first, second = first_and_second(key, step, stream, world)
        squares = np.empty(size, np.float32)
        for user in range(block * USERS, min(users, (block + 1) * USERS)):
            y, row = response[world, user], rows[world % len(rows), item[world, user]]
            gain = c.satiation_gain * y
            for topic in range(np.uint64(topics)):
                more = c.satiation_decay * satiation[world, user, topic] + gain * row[three + topic]
                new_satiation[world, user, topic] = _clamped(more - c.satiation_recovery, zero, c.satiation_max)
            mood_now = _clamped(c.mood_decay * mood[world, user] + y * row[2], -c.mood_max, c.mood_max)
            stays = active[world, user]
            if c.leaving:
                returns = not stays and draw(first, second, user) < c.return_rate
                mood_now = zero if returns else mood_now
                stays = (stays and mood_now > c.mood_floor) or returns
            new_mood[world, user], new_active[world, user] = mood_now, stays
            pull = c.drift_rate * y
            for d in range(size):
                drifted = (one - pull) * taste[world, user, d] + pull * row[tastes + d]
                if noise.shape[2] > 0:
                    drifted += c.drift_noise * noise[world, user, d]
                new_taste[world, user, d] = drifted
                squares[d] = drifted * drifted
            if size > 0:
                new_squares[world, user] = _sum_by_halves(squares)
            for past in range(1, history):
                new_taken[world, user, past - 1] = taken[world, user, past]
                new_responses[world, user, past - 1] = responses[world, user, past]
            if history > 0:
                new_taken[world, user, history - 1] = item[world, user] + 1 if position[world, user] > 0 else 0
                new_responses[world, user, history - 1] = y


@inlined
def _can_pay(c: Any, alive: Any, energy: Any, cost: Any) -> Any:
    return alive and (not c.budgets or cost <= energy)


@routine
def _hear(world: int, item: NDArray[np.int64], response: NDArray[np.float32], own: NDArray[np.int64],
          heard: NDArray[np.float32], clicks: NDArray[np.float32]) -> None:
    """Responses reach the items; sums are exact because each response is 0 or 1."""
    heard[world], clicks[world] = np.float32(0.0), np.float32(0.0)
    for user in range(item.shape[1]):
        heard[world, item[world, user], own[user]] += response[world, user]
        clicks[world, item[world, user]] += response[world, user]


@loop
def update_items(numbers: Any, item: NDArray[np.int64], response: NDArray[np.float32], segment: NDArray[np.int64],
                 sizes: NDArray[np.float32], costs: NDArray[np.float32], level: NDArray[np.int64],
                 energy: NDArray[np.float32], alive: NDArray[np.bool_], wearout: NDArray[np.float32],
                 popularity: NDArray[np.float32], action: NDArray[np.int64], clicks: NDArray[np.float32],
                 cost: NDArray[np.float32], new_energy: NDArray[np.float32], new_alive: NDArray[np.bool_],
                 new_wearout: NDArray[np.float32], new_popularity: NDArray[np.float32],
                 boost_segment: NDArray[np.int64], boost_level: NDArray[np.int64], illegal: NDArray[np.bool_]) -> int:
    """What responses do to items: clicks, budgets, deaths, wear-out; and whom they court next.

    Unless the formula is known, ``clicks`` and, in ``new_wearout``, clicks by segment are given.

    Returns:
        How many actions were forbidden.
    """
    worlds, items, segments = wearout.shape
    levels = len(costs) - 1
    zero, forbidden = np.float32(0.0), 0
    for world in prange(worlds):
        c = numbers[0]
        if c.formula:
            _hear(world, item, response, segment[world % len(segment)], new_wearout, clicks)
        for i in range(items):
            for s in range(segments):
                size = max(sizes[world % len(sizes), s], np.float32(1.0))
                new_wearout[world, i, s] = c.wearout_decay * wearout[world, i, s] + new_wearout[world, i, s] / size
            cost[world, i] = costs[level[world, i]]
            left, lives = energy[world, i], alive[world, i]
            if c.budgets:
                left = _clamped(left - c.upkeep - cost[world, i] + clicks[world, i], zero, c.energy_max)
                left = left if lives and left > c.tolerance else zero
                lives = left > zero
            new_energy[world, i], new_alive[world, i] = left, lives
            new_popularity[world, i] = popularity[world, i] + clicks[world, i]
            wanted = action[world, i]
            allowed, now, courted = wanted == 0, 0, 0
            if 0 < wanted <= segments * levels:
                now, courted = (wanted - 1) % levels + 1, (wanted - 1) // levels
                allowed = _can_pay(c, alive[world, i], energy[world, i], costs[now])
            boosts = allowed and now > 0 and lives  # who has just died courts nobody
            illegal[world, i] = not allowed
            forbidden += not allowed
            boost_segment[world, i], boost_level[world, i] = courted if boosts else 0, now if boosts else 0
    return forbidden


@inlined
def _bounded(x: Any, bound: Any) -> Any:
    """Between ``-bound`` and ``bound``, by its bits: integers are compared faster than what could be NaN."""
    bits, most = np.float32(x).view(np.int32), np.float32(bound).view(np.int32)
    size = np.int32(min(np.int32(bits & np.int32(0x7FFFFFFF)), most))
    return np.int32(size | np.int32(bits & np.int32(-0x80000000))).view(np.float32)


@loop
def see_users(numbers: Any, rows: NDArray[np.float32], shown: NDArray[np.float32],
              features: NDArray[np.float32], taste: NDArray[np.float32],
              items: NDArray[np.int64], valid: NDArray[np.bool_], segment: NDArray[np.int64],
              mood: NDArray[np.float32], satiation: NDArray[np.float32], active: NDArray[np.bool_],
              wearout: NDArray[np.float32], energy: NDArray[np.float32], popularity: NDArray[np.float32],
              most: NDArray[np.float32], examination: NDArray[np.float32], knows: bool, bound: Any,
              own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """What users see of themselves and of their slates."""
    worlds, users, slots = items.shape
    topics, size, known = satiation.shape[2], taste.shape[2], own.shape[2] - features.shape[2]
    three, first, behind = np.uint64(3), np.uint64(3 + topics), np.uint64(3 + topics + size)
    one, tastes, last = np.uint64(1), np.uint64(1 + topics), np.uint64(rows.shape[2])
    blocks = (users + USERS - 1) // USERS
    for part in prange(worlds * blocks):
        world, block = part // blocks, part % blocks
        c = numbers[0]
        w, w_segment = world % len(rows), world % len(segment)
        top = max(most[world], np.float32(1.0))
        for user in range(block * USERS, min(users, (block + 1) * USERS)):
            here, own_taste = own[world, user], taste[world, user]
            if knows:
                here[0] = _bounded(mood[world, user] / c.mood_max, bound)
                for topic in range(np.uint64(topics)):
                    here[one + topic] = _bounded(satiation[world, user, topic] / c.satiation_max, bound)
                for d in range(np.uint64(size)):
                    here[tastes + d] = _bounded(own_taste[d], bound)
            else:
                here[0] = np.float32(1.0) if active[world, user] else np.float32(0.0)
            for f in range(features.shape[2]):
                here[known + f] = _bounded(features[world % len(features), user, f], bound)
            mask[world, user, 0] = True
            for slot in range(slots):
                there, seen = valid[world, user, slot], options[world, user, slot]
                mask[world, user, 1 + slot] = there and active[world, user]
                if not there:
                    seen[:] = np.float32(0.0)
                    continue
                item = items[world, user, slot]
                row, told = rows[w, item], shown[w, item]
                seen[0], seen[1] = told[1], told[2]
                seen[2] = _bounded(wearout[world, item, segment[w_segment, user]], bound)
                seen[3] = _bounded(energy[world, item] / c.energy_max, bound)
                seen[4] = _bounded(popularity[world, item] / top, bound)
                seen[5] = _bounded(examination[slot], bound)
                for column in range(three, first):
                    seen[three + column] = told[column]
                for column in range(first, behind):
                    match = row[column] * own_taste[column - first]
                    seen[three + column] = _bounded(match, bound) if knows else told[column]
                for column in range(behind, last):
                    seen[three + column] = told[column]


@loop
def see_items(numbers: Any, shown: NDArray[np.float32], energy: NDArray[np.float32], alive: NDArray[np.bool_],
              share: NDArray[np.float32], affinity: NDArray[np.float32], wearout: NDArray[np.float32],
              boost: NDArray[np.float32], boosts: NDArray[np.float32], costs: NDArray[np.float32], bound: Any,
              own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """What items see of themselves and of the segments."""
    worlds, items, segments = wearout.shape
    levels = len(costs) - 1
    rivals = np.float32(max(1, items - 1))
    for part in prange(worlds * items):
        world, i = part // items, part % items
        c = numbers[0]
        row = own[world, i]
        row[0] = energy[world, i] / c.energy_max
        row[0] = _bounded(row[0], bound)
        row[1:] = shown[world % len(shown), i]
        mask[world, i, 0] = True
        for s in range(segments):
            row = options[world, i, s]
            row[0], row[1], row[2] = share[world % len(share), s], affinity[world, i, s], wearout[world, i, s]
            row[3] = boost[world, s, i]
            row[4] = (boosts[world, s] - row[3]) / rivals
            for column in range(5):
                row[column] = _bounded(row[column], bound)
            for level in range(levels):
                mask[world, i, 1 + s * levels + level] = _can_pay(c, alive[world, i], energy[world, i],
                                                                  costs[1 + level])
