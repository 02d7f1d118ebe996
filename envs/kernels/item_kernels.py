"""The loops of what a step does to items, as numba compiles them; see ``dispatch`` and ``user_kernels``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from interplay.envs.kernels.jit import USERS, clamped, exact, loop, spare


@exact
def _hear(first_world: int, last_world: int, item: NDArray[np.int64], response: NDArray[np.float32],
          segment: NDArray[np.int64], heard: NDArray[np.float32], clicks: NDArray[np.float32]) -> None:
    """Responses reach the items; sums are exact because each response is 0 or 1."""
    heard[first_world:last_world], clicks[first_world:last_world] = np.float32(0.0), np.float32(0.0)
    for world in range(first_world, last_world):
        w = world % len(segment)
        for user in range(np.uint64(item.shape[1])):
            taken, y = np.uint64(item[world, user]), response[world, user]
            heard[world, taken, np.uint64(segment[w, user])] += y
            clicks[world, taken] += y


@exact
def _pay(first_world: int, last_world: int, numbers: Any, rows: NDArray[np.float32], sizes: NDArray[np.float32],
         costs: NDArray[np.float32], level: NDArray[np.int64], energy: NDArray[np.float32],
         alive: NDArray[np.bool_], wearout: NDArray[np.float32], popularity: NDArray[np.float32],
         clicks: NDArray[np.float32], cost: NDArray[np.float32], own: NDArray[np.float32],
         terminated: NDArray[np.bool_], new_energy: NDArray[np.float32], new_alive: NDArray[np.bool_],
         new_wearout: NDArray[np.float32], new_popularity: NDArray[np.float32]) -> None:
    """Profits, budgets, deaths and wear-out, which holds the clicks by segment before."""
    c, zero, items, segments = numbers[0], np.float32(0.0), np.uint64(wearout.shape[1]), np.uint64(wearout.shape[2])
    for world in range(first_world, last_world):
        w, w_size = world % len(rows), world % len(sizes)
        for i in range(items):
            for s in range(segments):
                heard = new_wearout[world, i, s] / sizes[w_size, s]
                new_wearout[world, i, s] = c.wearout_decay * wearout[world, i, s] + heard
            cost[world, i] = costs[np.uint64(level[world, i])]
            own[world, i] = rows[w, i, 0] * clicks[world, i] - cost[world, i]
            left, lives = energy[world, i], alive[world, i]
            if c.has_budgets:
                left = clamped(left - c.budgets_upkeep - cost[world, i] + clicks[world, i], zero, c.budgets_max)
                left = left if lives and left > c.tolerance else zero
                lives = left > zero
            new_energy[world, i], new_alive[world, i] = left, lives
            terminated[world, i] = alive[world, i] and not lives
            new_popularity[world, i] = popularity[world, i] + clicks[world, i]


@exact
def _target(first_world: int, last_world: int, numbers: Any, segments: int, costs: NDArray[np.float32],
           cost: NDArray[np.float32], energy: NDArray[np.float32], alive: NDArray[np.bool_], action: NDArray[np.int64],
           new_alive: NDArray[np.bool_], illegal: NDArray[np.bool_], boost_segment: NDArray[np.int64],
           boost_level: NDArray[np.int64]) -> int:
    """The segments that items target next; how many actions were forbidden."""
    c, levels, forbidden = numbers[0], len(costs) - 1, 0
    for world in range(first_world, last_world):
        for i in range(np.uint64(action.shape[1])):
            wanted = action[world, i]
            allowed, now, targeted = wanted == 0, 0, 0
            if 0 < wanted <= segments * levels:
                targeted = (wanted - 1) // levels
                now = wanted - targeted * levels
                allowed = alive[world, i] and costs[np.uint64(now)] <= spare(c, energy[world, i], cost[world, i])
            boosts = allowed and now > 0 and new_alive[world, i]  # an item that has just died targets no segment
            illegal[world, i] = not allowed
            forbidden += not allowed
            boost_segment[world, i], boost_level[world, i] = targeted if boosts else 0, now if boosts else 0
    return forbidden


@exact
def _boost(first_world: int, last_world: int, log_factor: NDArray[np.float32], level: NDArray[np.int64],
           segment: NDArray[np.int64], boosts: NDArray[np.float32]) -> None:
    boosts[first_world:last_world] = np.float32(0.0)
    for world in range(first_world, last_world):
        for i in range(np.uint64(level.shape[1])):
            boosts[world, np.uint64(segment[world, i]), i] = log_factor[np.uint64(level[world, i])]


@loop
def log_boosts(log_factor: NDArray[np.float32], level: NDArray[np.int64], segment: NDArray[np.int64],
               boosts: NDArray[np.float32]) -> None:
    """The logarithm of each item's boost in the segment that it targets, 0 in others: ``boosts [B, C, I]``."""
    worlds, items = level.shape
    each = max(1, USERS // items)
    for part in prange((worlds + each - 1) // each):
        _boost(part * each, min(worlds, (part + 1) * each), log_factor, level, segment, boosts)


@loop
def update_items(numbers: Any, item: NDArray[np.int64], response: NDArray[np.float32], segment: NDArray[np.int64],
                 rows: NDArray[np.float32], sizes: NDArray[np.float32], costs: NDArray[np.float32],
                 level: NDArray[np.int64], energy: NDArray[np.float32], alive: NDArray[np.bool_],
                 wearout: NDArray[np.float32], popularity: NDArray[np.float32], action: NDArray[np.int64],
                 clicks: NDArray[np.float32], cost: NDArray[np.float32], own: NDArray[np.float32],
                 terminated: NDArray[np.bool_], illegal: NDArray[np.bool_], new_energy: NDArray[np.float32],
                 new_alive: NDArray[np.bool_], new_wearout: NDArray[np.float32], new_popularity: NDArray[np.float32],
                 boost_segment: NDArray[np.int64], boost_level: NDArray[np.int64]) -> int:
    """What responses do to items: clicks, profits, budgets, deaths, wear-out; and the segments that they target next.

    Unless the formula is known, ``clicks`` and, in ``new_wearout``, clicks by segment are given.

    Returns:
        How many actions were forbidden.
    """
    worlds, items, segments = wearout.shape
    each, forbidden = max(1, USERS // items), 0
    for part in prange((worlds + each - 1) // each):
        begin, end = part * each, min(worlds, (part + 1) * each)
        if numbers[0].formula:
            _hear(begin, end, item, response, segment, new_wearout, clicks)
        _pay(begin, end, numbers, rows, sizes, costs, level, energy, alive, wearout, popularity, clicks, cost, own,
             terminated, new_energy, new_alive, new_wearout, new_popularity)
        forbidden += _target(begin, end, numbers, segments, costs, cost, energy, alive, action, new_alive, illegal,
                            boost_segment, boost_level)
    return forbidden
