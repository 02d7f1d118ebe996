"""The loops of what both sides see, as numba compiles them; see ``dispatch`` and ``user_kernels``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.jit import clamped, exact, highest_of, loop, parts_of, routine, spare, where_of


@exact
def _see_selves(where: Any, numbers: Any, features: NDArray[np.float32], taste: NDArray[np.float32],
                mood: NDArray[np.float32], satiation: NDArray[np.float32], active: NDArray[np.bool_], knows: bool,
                bound: Any, own: NDArray[np.float32]) -> None:
    """What users see of themselves."""
    first_world, last_world, begin, end = where
    c, topics, size = numbers[0], satiation.shape[2], taste.shape[2]
    one, tastes, known = np.uint64(1), np.uint64(1 + topics), np.uint64(1 + topics + size if knows else 1)
    for world in range(first_world, last_world):
        w = world % len(features)
        for user in range(np.uint64(begin), np.uint64(end)):
            if knows:
                own[world, user, 0] = clamped(mood[world, user] / c.mood_max, -bound, bound)
                for topic in range(np.uint64(topics)):
                    tired = satiation[world, user, topic] / c.satiation_max
                    own[world, user, one + topic] = clamped(tired, -bound, bound)
                for d in range(np.uint64(size)):
                    own[world, user, tastes + d] = clamped(taste[world, user, d], -bound, bound)
            else:
                own[world, user, 0] = np.float32(1.0) if active[world, user] else np.float32(0.0)
            for f in range(np.uint64(features.shape[2])):
                own[world, user, known + f] = clamped(features[w, user, f], -bound, bound)


@exact
def _see_slots(where: Any, numbers: Any, rows: NDArray[np.float32], shown: NDArray[np.float32],
               taste: NDArray[np.float32], items: NDArray[np.int64], valid: NDArray[np.bool_],
               segment: NDArray[np.int64], topics: int, active: NDArray[np.bool_], wearout: NDArray[np.float32],
               energy: NDArray[np.float32], popularity: NDArray[np.float32], most: NDArray[np.float32],
               examination: NDArray[np.float32], knows: bool, bound: Any, options: NDArray[np.float32],
               mask: NDArray[np.bool_]) -> None:
    """What users see of their slates."""
    first_world, last_world, begin, end = where
    c, slots, size = numbers[0], np.uint64(items.shape[2]), np.uint64(taste.shape[2])
    three, six, first = np.uint64(3), np.uint64(6), np.uint64(6 + topics)
    rest, columns = np.uint64(rows.shape[2] - 3), np.uint64(options.shape[3])
    before, behind = (np.uint64(topics), np.uint64(topics) + size) if knows else (rest, rest)
    for world in range(first_world, last_world):
        w, w_segment, top = world % len(rows), world % len(segment), max(most[world], np.float32(1.0))
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
                options[world, user, slot, 2] = clamped(wearout[world, item, segment[w_segment, user]], -bound, bound)
                options[world, user, slot, 3] = clamped(energy[world, item] / c.budgets_max, -bound, bound)
                options[world, user, slot, 4] = clamped(popularity[world, item] / top, -bound, bound)
                options[world, user, slot, 5] = clamped(examination[slot], -bound, bound)
                for column in range(before):
                    options[world, user, slot, six + column] = shown[w, item, three + column]
                if knows:
                    for d in range(size):
                        match = rows[w, item, first - three + d] * taste[world, user, d]
                        options[world, user, slot, first + d] = clamped(match, -bound, bound)
                for column in range(behind, rest):
                    options[world, user, slot, six + column] = shown[w, item, three + column]


@loop
def see_users(numbers: Any, taste: NDArray[np.float32], mood: NDArray[np.float32], satiation: NDArray[np.float32],
              active: NDArray[np.bool_], wearout: NDArray[np.float32], energy: NDArray[np.float32],
              popularity: NDArray[np.float32], rows: NDArray[np.float32], shown: NDArray[np.float32],
              features: NDArray[np.float32], items: NDArray[np.int64], valid: NDArray[np.bool_],
              segment: NDArray[np.int64], examination: NDArray[np.float32], knows: bool, bound: Any,
              own: NDArray[np.float32], options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """What users see of themselves and of their slates."""
    worlds, users = mood.shape
    most = np.empty(worlds, np.float32)
    for world in range(worlds):
        most[world] = highest_of(popularity[world])
    for part in prange(parts_of(worlds, users)):
        where = where_of(part, worlds, users)
        _see_selves(where, numbers, features, taste, mood, satiation, active, knows, bound, own)
        _see_slots(where, numbers, rows, shown, taste, items, valid, segment, satiation.shape[2], active, wearout,
                   energy, popularity, most, examination, knows, bound, options, mask)


@exact
def _see_options(where: Any, numbers: Any, energy: NDArray[np.float32], alive: NDArray[np.bool_],
                 served: NDArray[np.int64], share: NDArray[np.float32], affinity: NDArray[np.float32],
                 wearout: NDArray[np.float32], boost: NDArray[np.float32], boosts: NDArray[np.float32],
                 costs: NDArray[np.float32], bound: Any, options: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """What items see of the segments, and what they can pay for."""
    first_world, last_world, begin, end = where
    c, segments, levels = numbers[0], np.uint64(wearout.shape[2]), np.uint64(len(costs) - 1)
    rivals, one = np.float32(max(1, wearout.shape[1] - 1)), np.uint64(1)
    for world in range(first_world, last_world):
        w_share = world % len(share)
        for i in range(np.uint64(begin), np.uint64(end)):
            mask[world, i, 0] = True
            most = spare(c, energy[world, i], costs[np.uint64(served[world, i])])
            for s in range(segments):
                mine = boost[world, s, i]
                options[world, i, s, 0] = clamped(share[w_share, s], -bound, bound)
                options[world, i, s, 1] = clamped(affinity[world, i, s], -bound, bound)
                options[world, i, s, 2] = clamped(wearout[world, i, s], -bound, bound)
                options[world, i, s, 3] = clamped(mine, -bound, bound)
                options[world, i, s, 4] = clamped((boosts[world, s] - mine) / rivals, -bound, bound)
                for level in range(levels):
                    can = alive[world, i] and costs[one + level] <= most
                    mask[world, i, one + s * levels + level] = can


@exact
def _see_own(where: Any, numbers: Any, shown: NDArray[np.float32], energy: NDArray[np.float32], bound: Any,
             own: NDArray[np.float32]) -> None:
    """What items see of themselves."""
    first_world, last_world, begin, end = where
    c, columns, one = numbers[0], np.uint64(shown.shape[2]), np.uint64(1)
    for world in range(first_world, last_world):
        w = world % len(shown)
        for i in range(np.uint64(begin), np.uint64(end)):
            own[world, i, 0] = clamped(energy[world, i] / c.budgets_max, -bound, bound)
            for column in range(columns):
                own[world, i, one + column] = shown[w, i, column]


@loop
def see_items(numbers: Any, energy: NDArray[np.float32], alive: NDArray[np.bool_], served: NDArray[np.int64],
              wearout: NDArray[np.float32], shown: NDArray[np.float32], share: NDArray[np.float32],
              affinity: NDArray[np.float32], boost: NDArray[np.float32], boosts: NDArray[np.float32],
              costs: NDArray[np.float32], bound: Any, own: NDArray[np.float32], options: NDArray[np.float32],
              mask: NDArray[np.bool_]) -> None:
    """What items see of themselves and of the segments, whose ``boosts`` are added up here if there are none."""
    worlds, items = energy.shape
    if boosts.size == 0:
        boosts = np.empty(boost.shape[:2], np.float32)
        add_up(boost, boosts)
    for part in prange(parts_of(worlds, items)):
        where = where_of(part, worlds, items)
        _see_own(where, numbers, shown, energy, bound, own)
        _see_options(where, numbers, energy, alive, served, share, affinity, wearout, boost, boosts, costs, bound,
                     options, mask)


@routine
def affinities(rows: NDArray[np.float32], first: int, segment: NDArray[np.int64], sizes: NDArray[np.float32],
               taste: NDArray[np.float32], affinity: NDArray[np.float32]) -> None:
    """``observing.affinity`` of few numbers, whose products torch adds up one after another, too.

    ``first`` is where vectors start in ``rows``, ``sizes`` are those of segments, at least 1.
    """
    worlds, items, segments = affinity.shape
    means = np.empty((segments, taste.shape[2]), np.float32)
    for world in range(worlds):
        w, w_segment, w_size = world % len(rows), world % len(segment), world % len(sizes)
        means[:] = np.float32(0.0)
        for user in range(taste.shape[1]):
            for d in range(taste.shape[2]):
                means[segment[w_segment, user], d] += taste[world, user, d]
        for s in range(segments):
            for d in range(taste.shape[2]):
                means[s, d] /= sizes[w_size, s]
        for item in range(items):
            for s in range(segments):
                total = np.float32(0.0)
                for d in range(taste.shape[2]):
                    total += rows[w, item, first + d] * means[s, d]
                affinity[world, item, s] = total


@routine
def _by_fours(values: NDArray[np.float32], first: int, step: int, count: int) -> Any:
    """``count`` of the values added up in four interleaved sums."""
    one = two = three = four = np.float32(0.0)
    fours = count // 4 * 4
    for n in range(0, fours, 4):
        one += values[first + n * step]
        two += values[first + (n + 1) * step]
        three += values[first + (n + 2) * step]
        four += values[first + (n + 3) * step]
    for n in range(fours, count):
        one += values[first + n * step]
    return one + two + three + four


@routine
def add_up(values: NDArray[np.float32], sums: NDArray[np.float32]) -> None:
    """The sum of each row of ``values [B, C, I]`` in the order of ``table_operators.sum_in_order``."""
    worlds, rows, count = values.shape
    eights = count // 8 * 8
    for world in range(worlds):
        for row in range(rows):
            each = values[world, row]
            if count < 8:
                sums[world, row] = _by_fours(each, 0, 1, count)
                continue
            total = np.float32(0.0)
            for n in range(eights, count):
                total += each[n]
            for lane in range(8):
                total += _by_fours(each, lane, 8, count // 8)
            sums[world, row] = total
