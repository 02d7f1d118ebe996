"""The loop that adds a step to the sums of an episode, as numba compiles it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.kernels.jit import routine, whole

_EXACT = np.float32(1 << 24)  # up to which whole numbers have the same sum in any order


@routine
def _add_users(active: Any, own: Any, position: Any, response: Any, old: Any, new: Any, world: int) -> bool:
    """A world's users; gives whether all responses are whole numbers."""
    taken, responses, exact = np.float32(0.0), np.float32(0.0), True
    for user in range(len(own)):
        left = old[5][world, user] or not active[user]
        new[5][world, user] = left
        new[6][world, user] = old[6][world, user] or (old[5][world, user] and active[user])
        new[0][world, user] = old[0][world, user] + own[user]
        new[4][world, user] = old[4][world, user] + (np.float32(0.0) if left else np.float32(1.0))
        taken += np.float32(1.0) if position[user] > 0 else np.float32(0.0)
        responses += response[user]
        exact &= response[user] == np.floor(response[user]) and abs(responses) < _EXACT
    new[2][world], new[3][world] = old[2][world] + taken, old[3][world] + responses
    return exact


@whole
def add(active: NDArray[np.bool_], level: NDArray[np.int64], items: NDArray[np.int64], valid: NDArray[np.bool_],
        factor: NDArray[np.float32], started: int, user_own: NDArray[np.float32], item_own: NDArray[np.float32],
        position: NDArray[np.int64], response: NDArray[np.float32], cost: NDArray[np.float32], old: Any,
        new: Any) -> bool:
    """What ``EpisodeStats.add`` gives: its sums so far, in the order of its fields, and one step more.

    Returns:
        Whether the responses are whole numbers, whose sum is the same in any order.
    """
    exact = True
    for world in range(len(active)):
        exact &= _add_users(active[world], user_own[world], position[world], response[world], old, new, world)
        shown = np.zeros(item_own.shape[1], np.float32)
        for user in range(items.shape[1]):
            for slot in range(items.shape[2]):
                if valid[world, user, slot]:
                    shown[items[world, user, slot]] += np.float32(1.0)
        for item in range(len(shown)):
            boost = factor[level[world, item]] if started > 0 else np.float32(0.0)
            new[1][world, item] = old[1][world, item] + item_own[world, item]
            new[7][world, item] = old[7][world, item] + shown[item]
            new[8][world, item] = old[8][world, item] + cost[world, item]
            new[9][world, item] = old[9][world, item] + boost
    return exact
