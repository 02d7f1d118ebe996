"""The loops of a step's edges and of what both sides see, as numba compiles them; see ``edges`` and ``loops``.

Every sum, product and comparison is done in float32 and in the order in which torch does it in the reference, so that
the bits are the same. ``numbers`` are the market's, as one record; see ``Rules.numbers``.

Places that are sums are unsigned, since numba looks at signed ones whether they are below 0, and counts from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.parts import USERS, draw, exact, exp_64, first_and_second, inlined, loop, routine


@inlined
def _clamped(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)


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
def _choose(world: int, begin: int, end: int, action: NDArray[np.int64], items: NDArray[np.int64],
            valid: NDArray[np.bool_], active: NDArray[np.bool_], position: NDArray[np.int64], item: NDArray[np.int64],
            illegal: NDArray[np.bool_]) -> int:
    """Actions that the mask forbids become a skip: how many. Without branches, for who does what is a surprise."""
    slots, forbidden = items.shape[2], 0
    for user in range(np.uint64(begin), np.uint64(end)):
        wanted = action[world, user]
        slot = np.uint64(max(0, min(wanted, slots) - 1))
        there = (wanted > 0) & (wanted <= slots) & active[world, user] & valid[world, user, slot]
        illegal[world, user] = ~(there | (wanted == 0))
        forbidden += illegal[world, user]
        position[world, user] = wanted if there else 0
        item[world, user] = items[world, user, slot if there else np.uint64(0)]
    return forbidden


@exact
def _add_up(world: int, begin: int, end: int, numbers: Any, segment: NDArray[np.int64], rows: NDArray[np.float32],
            weight: NDArray[np.float32], mood: NDArray[np.float32], satiation: NDArray[np.float32],
            taste: NDArray[np.float32], wearout: NDArray[np.float32], item: NDArray[np.int64],
            logit: NDArray[np.float64], terms: NDArray[np.float64]) -> None:
    """Logits of the preference formula, for the item that each user has before it, and the sums of their terms' sizes."""
    c, topics, size = numbers[0], np.uint64(satiation.shape[2]), np.uint64(taste.shape[2])
    three, tastes = np.uint64(3), np.uint64(3) + topics
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
        term = c.satiation_weight * tired
        term += c.wearout_weight * wearout[world, taken, segment[w_segment, user]]
        logit[user - np.uint64(begin)], terms[user - np.uint64(begin)] = total - term, sizes + abs(term)


@exact
def _answer(first: Any, second: Any, begin: int, logit: NDArray[np.float64], terms: NDArray[np.float64],
            examination: NDArray[np.float32], position: NDArray[np.int64], response: NDArray[np.float32],
            close: NDArray[np.bool_]) -> int:
    """Draw responses; how many draws are ``close`` to the rate that decides them."""
    unsure = 0
    for n in range(np.int32(len(position))):
        rate = np.float64(examination[position[n]]) / (1.0 + exp_64(-logit[n]))
        drawn = np.float64(draw(first, second, np.int32(begin) + n))
        takes = position[n] > 0
        # By so much may the rate that torch adds up in float32 be another one.
        near = takes & (abs(drawn - rate) < 5e-7 * (4.0 + terms[n]))
        close[n], response[n] = near, np.float32(1.0) if takes & (drawn < rate) else np.float32(0.0)
        unsure += near
    return unsure


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
    blocks = (users + USERS - 1) // USERS
    forbidden, unsure = 0, 0
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        end = min(users, begin + USERS)
        forbidden += _choose(world, begin, end, action, items, valid, active, position, item, illegal)
        if numbers[0].formula:
            first, second = first_and_second(key, step, stream, world)
            logit, terms = np.empty(end - begin, np.float64), np.empty(end - begin, np.float64)
            _add_up(world, begin, end, numbers, segment, rows, weight, mood, satiation, taste, wearout, item, logit,
                    terms)
            unsure += _answer(first, second, begin, logit, terms, examination, position[world, begin:end],
                              response[world, begin:end], close[world, begin:end])
    return forbidden, unsure


@exact
def _drift(world: int, begin: int, end: int, numbers: Any, rows: NDArray[np.float32], topics: int,
           cosine: NDArray[np.float32], radius: NDArray[np.float32], item: NDArray[np.int64],
           response: NDArray[np.float32], taste: NDArray[np.float32], new_taste: NDArray[np.float32], new_squares: NDArray[np.float32]) -> None:
    """Where tastes go, before they are scaled to length 1, and the sums of their squares."""
    c, w, size, tastes = numbers[0], world % len(rows), np.uint64(new_taste.shape[2]), np.uint64(3 + topics)
    squares, shaken = np.empty(size, np.float32), cosine.shape[2] > 0
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


@exact
def _feel(world: int, begin: int, end: int, numbers: Any, first: Any, second: Any, rows: NDArray[np.float32],
          item: NDArray[np.int64], response: NDArray[np.float32], mood: NDArray[np.float32],
          satiation: NDArray[np.float32], active: NDArray[np.bool_], new_mood: NDArray[np.float32],
          new_satiation: NDArray[np.float32], new_active: NDArray[np.bool_]) -> None:
    """Satiation and mood; who leaves and who returns."""
    c, w, topics, three, zero = numbers[0], world % len(rows), satiation.shape[2], np.uint64(3), np.float32(0.0)
    for user in range(np.uint64(begin), np.uint64(end)):
        y, taken = response[world, user], np.uint64(item[world, user])
        gain = c.satiation_gain * y
        for topic in range(np.uint64(topics)):
            more = c.satiation_decay * satiation[world, user, topic] + gain * rows[w, taken, three + topic]
            new_satiation[world, user, topic] = _clamped(more - c.satiation_recovery, zero, c.satiation_max)
        mood_now = _clamped(c.mood_decay * mood[world, user] + y * rows[w, taken, 2], -c.mood_max, c.mood_max)
        stays = active[world, user]
        if c.leaving:
            returns = not stays and draw(first, second, user) < c.return_rate
            mood_now = zero if returns else mood_now
            stays = (stays and mood_now > c.mood_floor) or returns
        new_mood[world, user], new_active[world, user] = mood_now, stays


@exact
def _remember(world: int, begin: int, end: int, item: NDArray[np.int64], position: NDArray[np.int64],
              response: NDArray[np.float32], taken: NDArray[np.int64], responses: NDArray[np.float32],
              new_taken: NDArray[np.int64], new_responses: NDArray[np.float32]) -> None:
    """What users did enters their histories, the oldest drops out."""
    last = taken.shape[2] - 1
    for user in range(begin, end):
        for past in range(last):
            new_taken[world, user, past] = taken[world, user, past + 1]
            new_responses[world, user, past] = responses[world, user, past + 1]
        new_taken[world, user, last] = item[world, user] + 1 if position[world, user] > 0 else 0
        new_responses[world, user, last] = response[world, user]


@loop
def update_users(numbers: Any, key: NDArray[np.int32], step: NDArray[np.int32], stream: int, rows: NDArray[np.float32],
                 cosine: NDArray[np.float32], radius: NDArray[np.float32], item: NDArray[np.int64],
                 position: NDArray[np.int64], response: NDArray[np.float32], taste: NDArray[np.float32], mood: NDArray[np.float32],
                 satiation: NDArray[np.float32], active: NDArray[np.bool_], taken: NDArray[np.int64],
                 responses: NDArray[np.float32], new_taste: NDArray[np.float32], new_squares: NDArray[np.float32],
                 new_mood: NDArray[np.float32], new_satiation: NDArray[np.float32], new_active: NDArray[np.bool_],
                 new_taken: NDArray[np.int64], new_responses: NDArray[np.float32]) -> None:
    """Satiation, mood, taste with its sum of squares, who leaves and returns, and what users remember."""
    worlds, users, topics = satiation.shape
    blocks = (users + USERS - 1) // USERS
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        end = min(users, begin + USERS)
        first, second = first_and_second(key, step, stream, world)
        _feel(world, begin, end, numbers, first, second, rows, item, response, mood, satiation, active, new_mood,
              new_satiation, new_active)
        if new_taste.shape[2] > 0:
            _drift(world, begin, end, numbers, rows, topics, cosine, radius, item, response, taste, new_taste,
                   new_squares)
        if taken.shape[2] > 0:
            _remember(world, begin, end, item, position, response, taken, responses, new_taken, new_responses)


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
                 rows: NDArray[np.float32], sizes: NDArray[np.float32], costs: NDArray[np.float32],
                 level: NDArray[np.int64], energy: NDArray[np.float32], alive: NDArray[np.bool_],
                 wearout: NDArray[np.float32], popularity: NDArray[np.float32], action: NDArray[np.int64],
                 clicks: NDArray[np.float32], cost: NDArray[np.float32], own: NDArray[np.float32],
                 terminated: NDArray[np.bool_], illegal: NDArray[np.bool_], new_energy: NDArray[np.float32],
                 new_alive: NDArray[np.bool_], new_wearout: NDArray[np.float32], new_popularity: NDArray[np.float32],
                 boost_segment: NDArray[np.int64], boost_level: NDArray[np.int64]) -> int:
    """What responses do to items: clicks, profits, budgets, deaths, wear-out; and whom they court next.

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
                heard = new_wearout[world, i, s] / sizes[world % len(sizes), s]
                new_wearout[world, i, s] = c.wearout_decay * wearout[world, i, s] + heard
            cost[world, i] = costs[level[world, i]]
            own[world, i] = rows[world % len(rows), i, 0] * clicks[world, i] - cost[world, i]
            left, lives = energy[world, i], alive[world, i]
            if c.budgets:
                left = _clamped(left - c.upkeep - cost[world, i] + clicks[world, i], zero, c.energy_max)
                left = left if lives and left > c.tolerance else zero
                lives = left > zero
            new_energy[world, i], new_alive[world, i] = left, lives
            terminated[world, i] = alive[world, i] and not lives
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
    return min(max(x, -bound), bound)


@exact
def _see_selves(world: int, begin: int, end: int, numbers: Any, features: NDArray[np.float32],
                taste: NDArray[np.float32], mood: NDArray[np.float32], satiation: NDArray[np.float32],
                active: NDArray[np.bool_], knows: bool, bound: Any, own: NDArray[np.float32]) -> None:
    """What users see of themselves."""
    c, topics, size = numbers[0], satiation.shape[2], taste.shape[2]
    one, tastes = np.uint64(1), np.uint64(1 + topics)
    known, w = np.uint64(1 + topics + size if knows else 1), world % len(features)
    for user in range(np.uint64(begin), np.uint64(end)):
        if knows:
            own[world, user, 0] = _bounded(mood[world, user] / c.mood_max, bound)
            for topic in range(np.uint64(topics)):
                own[world, user, one + topic] = _bounded(satiation[world, user, topic] / c.satiation_max, bound)
            for d in range(np.uint64(size)):
                own[world, user, tastes + d] = _bounded(taste[world, user, d], bound)
        else:
            own[world, user, 0] = np.float32(1.0) if active[world, user] else np.float32(0.0)
        for f in range(np.uint64(features.shape[2])):
            own[world, user, known + f] = _bounded(features[w, user, f], bound)


@exact
def _see_slots(world: int, begin: int, end: int, numbers: Any, rows: NDArray[np.float32], shown: NDArray[np.float32],
               taste: NDArray[np.float32], items: NDArray[np.int64], valid: NDArray[np.bool_],
               segment: NDArray[np.int64], topics: int, active: NDArray[np.bool_], wearout: NDArray[np.float32],
               energy: NDArray[np.float32], popularity: NDArray[np.float32], most: NDArray[np.float32],
               examination: NDArray[np.float32], knows: bool, bound: Any, options: NDArray[np.float32],
               mask: NDArray[np.bool_]) -> None:
    """What users see of their slates."""
    c, slots, size = numbers[0], np.uint64(items.shape[2]), np.uint64(taste.shape[2])
    w, w_segment, top = world % len(rows), world % len(segment), max(most[world], np.float32(1.0))
    three, six, first = np.uint64(3), np.uint64(6), np.uint64(6 + topics)
    rest, columns = np.uint64(rows.shape[2] - 3), np.uint64(options.shape[3])
    for user in range(np.uint64(begin), np.uint64(end)):
        mask[world, user, 0] = True
        for slot in range(slots):
            there = valid[world, user, slot]
            mask[world, user, np.uint64(1) + slot] = there and active[world, user]
            if not there:
                for column in range(columns):
                    options[world, user, slot, column] = np.float32(0.0)
                continue
            item = np.uint64(items[world, user, slot])
            options[world, user, slot, 0] = shown[w, item, 1]
            options[world, user, slot, 1] = shown[w, item, 2]
            options[world, user, slot, 2] = _bounded(wearout[world, item, segment[w_segment, user]], bound)
            options[world, user, slot, 3] = _bounded(energy[world, item] / c.energy_max, bound)
            options[world, user, slot, 4] = _bounded(popularity[world, item] / top, bound)
            options[world, user, slot, 5] = _bounded(examination[slot], bound)
            for column in range(rest):
                options[world, user, slot, six + column] = shown[w, item, three + column]
            if knows:
                for d in range(size):
                    match = rows[w, item, first - three + d] * taste[world, user, d]
                    options[world, user, slot, first + d] = _bounded(match, bound)


@loop
def see_users(numbers: Any, rows: NDArray[np.float32], shown: NDArray[np.float32],
              features: NDArray[np.float32], taste: NDArray[np.float32],
              items: NDArray[np.int64], valid: NDArray[np.bool_], segment: NDArray[np.int64],
              mood: NDArray[np.float32], satiation: NDArray[np.float32], active: NDArray[np.bool_],
              wearout: NDArray[np.float32], energy: NDArray[np.float32], popularity: NDArray[np.float32],
              most: NDArray[np.float32], examination: NDArray[np.float32], knows: bool, bound: Any,
              own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """What users see of themselves and of their slates."""
    worlds, users = mood.shape
    blocks = (users + USERS - 1) // USERS
    for part in prange(worlds * blocks):
        world, begin = part // blocks, part % blocks * USERS
        end = min(users, begin + USERS)
        _see_selves(world, begin, end, numbers, features, taste, mood, satiation, active, knows, bound, own)
        _see_slots(world, begin, end, numbers, rows, shown, taste, items, valid, segment, satiation.shape[2], active,
                   wearout, energy, popularity, most, examination, knows, bound, options, mask)


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
