"""The loops of tables of values, as numba compiles them: what ``q_learning``'s torch code does, to the same bits.

Powers, products of matrices and long sums are left to torch, which rounds them in ways of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.kernels.jit import inlined, reordered, routine, whole

Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""States ``[B, N]``, and kinds of options ``[B, N, M]``; no kinds where each action has a column of its own."""


@reordered
def _lowest_of(values: Any) -> Any:
    lowest = np.float32(np.inf)
    for value in values:
        lowest = min(lowest, value)
    return lowest


@reordered
def _distances(norm: Any, product: Any, out: Any) -> None:
    for n in range(len(out)):
        out[n] = norm[n] - product[n]


@whole
def nearest(norm: NDArray[np.float32], product: NDArray[np.float32], place: NDArray[np.int64]) -> None:
    """Where ``norm [C]`` less ``product [R, C]`` is lowest, the first of equals, into ``place [R]``."""
    distance = np.empty(len(norm), np.float32)
    for row in range(len(place)):
        _distances(norm, product[row], distance)
        lowest, where = _lowest_of(distance), 0
        while where < len(distance) - 1 and distance[where] != lowest:
            where += 1
        place[row] = where


@inlined
def _column(kinds: Any, world: int, agent: int, action: int, levels: int) -> Any:
    """The column of an action; see ``Abstraction``."""
    if kinds.shape[2] == 0 or action == 0:
        return action
    return 1 + kinds[world, agent, (action - 1) // levels] * levels + (action - 1) % levels


@whole
def values(table: NDArray[np.float32], owner: NDArray[np.int64], level: NDArray[np.float32], levels: int,
           places: Places, out: NDArray[np.float32]) -> None:
    """The mean of tables ``[T, O, S, C]`` for each action, plus the agent's own level, into ``out [B, N, A]``."""
    state, kinds = places
    worlds, agents, actions = out.shape
    for world in range(worlds):
        for agent in range(agents):
            rows = table[:, owner[agent], state[world, agent]]
            for action in range(actions):
                column = _column(kinds, world, agent, action, levels)
                total = np.float32(0.0)
                for one in range(len(rows)):
                    total += rows[one, column]
                out[world, agent, action] = total / np.float32(len(rows)) + level[agent]


@routine
def _ahead(moved: Any, judge: Any, kinds: Any, mask: Any, world: int, agent: int, levels: int) -> Any:
    """What ``judge`` gives the action that is best by ``moved``, two rows of tables; NaN counts as the best."""
    highest, found = np.float32(-np.inf), np.float32(-np.inf)
    for action in range(mask.shape[2]):
        column = _column(kinds, world, agent, action, levels)
        value = moved[column]
        if mask[world, agent, action] and (value > highest or (value != value and highest == highest)):
            highest, found = value, judge[column]
    return found


@whole
def errors(table: NDArray[np.float32], owner: NDArray[np.int64], level: NDArray[np.float32], levels: int,
           discount: Any, before: Places, action: NDArray[np.int64], after: Places, mask: NDArray[np.bool_],
           coin: NDArray[np.float32], reward: NDArray[np.float32], terminated: NDArray[np.bool_],
           valid: NDArray[np.bool_], counted: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
           shared: bool, cell: NDArray[np.int64], error: NDArray[np.float32], visits: NDArray[np.float32],
           steps: NDArray[np.float32], count: NDArray[np.float32]) -> None:
    """How wrong tables were, and counts of what was seen: the first half of an update.

    Args:
        table: ``[T, O, S, C]``.
        owner: ``[N]``, whose table each agent has.
        level: ``[N]``, each agent's own value beside it.
        levels: actions of each option.
        discount: float32, of one step.
        before: where the agents were.
        action: ``[B, N]``, what they did there.
        after: where they came to.
        mask: ``[B, N, A]``, what they may do there.
        coin: ``[B, N]``; of two tables, the first moves below one half.
        reward: ``[B, N]``.
        terminated: ``[B, N]``.
        valid: ``[B, N]``.
        counted: visits of each cell and those of this call, of the table's shape, and steps of each agent ``[N]``; they
            are counted on, steps if agents are ``shared``.
        shared: whether levels move.
        cell: ``[B, N]``, gets the place of what moves in the flattened tables.
        error: ``[B, N]``, gets the errors.
        visits: ``[B, N]``, gets the visits of the cells, at least 1.
        steps: ``[N]``, gets the steps of the agents, at least 1.
        count: ``[N]``, gets the steps of each agent that are valid.
    """
    tables, owners, states, columns = table.shape
    all_visits, here, all_steps = counted[0].reshape(table.size), counted[1].reshape(table.size), counted[2]
    flat = table.reshape(table.size)
    count[:] = np.float32(0.0)
    for world in range(len(action)):
        for agent in range(len(owner)):
            moved = 1 if tables > 1 and coin[world, agent] >= np.float32(0.5) else 0
            row, column = owner[agent], _column(before[1], world, agent, action[world, agent], levels)
            place = ((moved * owners + row) * states + before[0][world, agent]) * columns + column
            cell[world, agent], error[world, agent] = place, np.float32(0.0)
            if not valid[world, agent]:
                continue
            ahead = np.float32(0.0)
            if not terminated[world, agent]:
                there = after[0][world, agent]
                ahead = _ahead(table[moved, row, there], table[tables - 1 - moved, row, there], after[1], mask, world,
                               agent, levels) + level[agent]
            error[world, agent] = reward[world, agent] + discount * ahead - flat[place] - level[agent]
            count[agent] += np.float32(1.0)
            all_visits[place] += np.float32(1.0)
            here[place] += np.float32(1.0)
    for agent in range(len(owner)):
        all_steps[agent] += count[agent] if shared else np.float32(0.0)
        steps[agent] = max(all_steps[agent], np.float32(1.0))
    for world in range(len(action)):
        for agent in range(len(owner)):
            visits[world, agent] = max(all_visits[cell[world, agent]], np.float32(1.0))


@whole
def move(table: NDArray[np.float32], here: NDArray[np.float32], cell: NDArray[np.int64], valid: NDArray[np.bool_],
         weight: NDArray[np.float32], rates: tuple[NDArray[np.float32], NDArray[np.float32]], smallest: Any,
         negative: Any, level: NDArray[np.float32], count: NDArray[np.float32], total: NDArray[np.float32],
         error: NDArray[np.float32]) -> None:
    """Move cells by their errors: the second half of an update.

    Args:
        table: ``[T, O, S, C]``.
        here: of the table's shape, how often each cell was seen in this call; 0 again afterwards.
        cell: ``[B, N]``, see ``errors``.
        valid: ``[B, N]``.
        weight: ``[B, N]``.
        rates: the steps by visits of cells ``[B, N]``, and by those of agents ``[N]``.
        smallest: float32, the smallest step.
        negative: float32, factor of steps where the error is below 0.
        level: ``[N]``, which moves by the mean error, and so leaves less to the table.
        count: ``[N]``, of how many errors.
        total: ``[N]``, their sum; ``[0]`` = levels stay.
        error: ``[B, N]``, less that move afterwards.
    """
    flat, here = table.reshape(table.size), here.reshape(table.size)
    one, rise, rate = np.float32(1.0), np.empty(len(total), np.float32), rates[0]
    for agent in range(len(rise)):
        rise[agent] = max(rates[1][agent], smallest) * total[agent] / max(count[agent], one)
        level[agent] += rise[agent]
    for world in range(len(cell)):
        for agent in range(cell.shape[1]):
            if len(rise) > 0 and valid[world, agent]:
                error[world, agent] -= rise[agent]
            wrong, place = error[world, agent], cell[world, agent]
            step = max(rate[world, agent], smallest) * (negative if wrong < np.float32(0.0) else one)
            step = min(step * weight[world, agent], one)
            flat[place] += step * wrong / max(here[place], one)
    for world in range(len(cell)):
        for agent in range(cell.shape[1]):
            here[cell[world, agent]] = np.float32(0.0)
