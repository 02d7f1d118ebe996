"""The loops of tables of values, as numba compiles them: what ``q_learning``'s torch code does, to the same bits.

A first axis counts copies of an agent, which seeds stack. Powers and long sums are left to torch, which rounds them in
ways of its own. Products with centres are BLAS's, which add up so few terms in torch's order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.agents.loops.head_loop import PRODUCT, times
from interplay.envs.kernels.jit import exact, inlined, routine, whole

Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""States ``[S, B, N]``, and kinds of options ``[S, B, N, M]``; none where each action has a column of its own."""
Moves = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]
"""Actions, rewards, and whether they were ``terminated`` and ``valid``, ``[S, B, N]`` each."""
Counts = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""See ``errors``."""
CENTRES = 4
_ROWS, _VECTOR = 64, 16


@exact
def _find_lowest(norm: Any, product: Any, lowest: Any, place: Any) -> None:
    """Where ``norm [C]`` less a column of ``product [C, R]`` is lowest, the first of equals, into ``place [R]``.

    Of ``CENTRES`` centres in a row the lowest is found first: rows are read and written that much less often.
    """
    lowest[:], place[:] = np.float32(np.inf), np.int32(0)
    for c in range(0, len(norm), CENTRES):
        norms = norm[c], norm[c + 1], norm[c + 2], norm[c + 3]
        for r in range(len(place)):
            a, b = norms[0] - product[c, r], norms[1] - product[c + 1, r]
            x, y = norms[2] - product[c + 2, r], norms[3] - product[c + 3, r]
            first = np.int32(c + 1) if b < a else np.int32(c)
            second = np.int32(c + 3) if y < x else np.int32(c + 2)
            a, x = min(a, b), min(x, y)
            first, a = second if x < a else first, min(a, x)
            place[r], lowest[r] = first if a < lowest[r] else place[r], min(a, lowest[r])


@whole
def nearest(rows: NDArray[np.float32], half: NDArray[np.float32], centre: NDArray[np.float32],
            norm: NDArray[np.float32], place: NDArray[np.int64]) -> None:
    """The nearest ``centre [S, C, F]`` of rows ``[S, R, F]``, the first of equals, into ``place [S, R]``.

    ``half [S, F]`` is half the scale of features, ``norm [S, C]`` the square of each centre's length; C is a multiple
    of ``CENTRES``. Blocks of rows stay in a core's own cache, and their products are as small as those of
    ``head_loop``.
    """
    count, features = centre.shape[1:]
    most = min(_ROWS, max(1, PRODUCT // (features * count)))
    block = most - most % _VECTOR if most > _VECTOR else most
    for s in range(len(rows)):
        for start in range(0, rows.shape[1], block):
            size = min(block, rows.shape[1] - start)
            scaled, product = np.empty((features, size), np.float32), np.empty((count, size), np.float32)
            lowest, found = np.empty(size, np.float32), np.empty(size, np.int32)
            for i in range(size):
                for k in range(features):
                    scaled[k, i] = rows[s, start + i, k] / half[s, k]
            times(centre[s], scaled, product)
            _find_lowest(norm[s], product, lowest, found)
            place[s, start:start + size] = found


@inlined
def _column(kinds: Any, world: int, agent: int, action: int, levels: int) -> Any:
    """The column of an action; see ``Abstraction``."""
    if kinds.shape[2] == 0 or action == 0:
        return action
    return 1 + kinds[world, agent, (action - 1) // levels] * levels + (action - 1) % levels


@routine
def _values(table: Any, owner: Any, level: Any, levels: int, state: Any, kinds: Any, out: Any) -> None:
    """Of one copy; see ``values``."""
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


@whole
def values(table: NDArray[np.float32], owner: NDArray[np.int64], level: NDArray[np.float32], levels: int,
           places: Places, out: NDArray[np.float32]) -> None:
    """The mean of tables ``[S, T, O, C, K]`` for each action, plus the agent's own level, into ``out [S, B, N, A]``."""
    for copy in range(len(out)):
        _values(table[copy], owner[copy], level[copy], levels, places[0][copy], places[1][copy], out[copy])


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


@routine
def _count(cell: NDArray[np.int64], valid: NDArray[np.bool_], shared: bool, counted: Counts,
           visits: NDArray[np.float32], steps: NDArray[np.float32], count: NDArray[np.float32]) -> None:
    """Count what was seen; see ``errors``."""
    all_visits, here, all_steps = counted
    flat, here, one = all_visits.reshape(all_visits.size), here.reshape(here.size), np.float32(1.0)
    count[:] = np.float32(0.0)
    for world in range(len(cell)):
        for agent in range(len(count)):
            if valid[world, agent]:
                count[agent] += one
                flat[cell[world, agent]] += one
                here[cell[world, agent]] += one
    for agent in range(len(count)):
        all_steps[agent] += count[agent] if shared else np.float32(0.0)
        steps[agent] = max(all_steps[agent], one)
    for world in range(len(cell)):
        for agent in range(len(count)):
            visits[world, agent] = max(flat[cell[world, agent]], one)


@routine
def _errors(table: Any, owner: Any, level: Any, levels: int, discount: Any, before: Any, after: Any, mask: Any,
            coin: Any, step: Any, cell: Any, error: Any) -> None:
    """Of one copy; see ``errors``."""
    action, reward, terminated, valid = step
    tables, owners, states, columns = table.shape
    flat = table.reshape(table.size)
    for world in range(len(action)):
        for agent in range(len(owner)):
            moved = 1 if tables > 1 and coin[world, agent] >= np.float32(0.5) else 0
            row, column = owner[agent], _column(before[1], world, agent, action[world, agent], levels)
            place = ((moved * owners + row) * states + before[0][world, agent]) * columns + column
            ahead, there = np.float32(0.0), after[0][world, agent]
            if not terminated[world, agent]:
                ahead = level[agent] + _ahead(table[moved, row, there], table[tables - 1 - moved, row, there], after[1],
                                              mask, world, agent, levels)
            wrong = reward[world, agent] + discount * ahead - flat[place] - level[agent]
            cell[world, agent], error[world, agent] = place, wrong if valid[world, agent] else np.float32(0.0)


@inlined
def _of(copy: int, tables: Any) -> Any:
    """Those of one copy."""
    return tables[0][copy], tables[1][copy]


@whole
def errors(table: NDArray[np.float32], owner: NDArray[np.int64], level: NDArray[np.float32], levels: int,
           discount: Any, before: Places, after: Places, mask: NDArray[np.bool_], coin: NDArray[np.float32],
           step: Moves, shared: bool, counted: Counts, cell: NDArray[np.int64], error: NDArray[np.float32],
           visits: NDArray[np.float32], steps: NDArray[np.float32], count: NDArray[np.float32]) -> None:
    """How wrong tables were, and counts of what was seen: the first half of an update.

    Tables are ``[S, T, O, C, K]``, with C states and K columns, and each agent has that of its ``owner [S, N]``, and a
    ``level [S, N]`` of its own beside it. With two tables, the first moves where the ``coin`` is below one half. If
    levels are ``shared``, agents' steps are counted. ``counted`` holds how often cells were seen, and are in this call,
    and the steps of agents.

    Gives the cells that move, their places in the copy's flattened tables, the errors, how often these cells were seen
    and how many steps the agents have taken, at least 1, and the valid steps of each agent in this call.
    """
    for s in range(len(cell)):
        moves = step[0][s], step[1][s], step[2][s], step[3][s]
        _errors(table[s], owner[s], level[s], levels, discount, _of(s, before), _of(s, after), mask[s], coin[s], moves,
                cell[s], error[s])
        seen = counted[0][s], counted[1][s], counted[2][s]
        _count(cell[s], step[3][s], shared, seen, visits[s], steps[s], count[s])


@routine
def _raise(level: NDArray[np.float32], rate: NDArray[np.float32], smallest: Any, count: NDArray[np.float32],
           total: NDArray[np.float32], valid: NDArray[np.bool_], error: NDArray[np.float32]) -> None:
    """Move levels by the mean error, which leaves so much less to the table; see ``move``."""
    for agent in range(len(total)):
        rise = max(rate[agent], smallest) * total[agent] / max(count[agent], np.float32(1.0))
        level[agent] += rise
        for world in range(len(error)):
            if valid[world, agent]:
                error[world, agent] -= rise


@routine
def _move(table: Any, here: Any, cell: Any, weight: Any, rate: Any, smallest: Any, negative: Any, error: Any) -> None:
    """Of one copy; see ``move``."""
    flat, here, one = table.reshape(table.size), here.reshape(table.size), np.float32(1.0)
    for world in range(len(cell)):
        for agent in range(cell.shape[1]):
            wrong, place = error[world, agent], cell[world, agent]
            step = max(rate[world, agent], smallest) * (negative if wrong < np.float32(0.0) else one)
            step = min(step * weight[world, agent], one)
            flat[place] += step * wrong / max(here[place], one)
    for world in range(len(cell)):
        for agent in range(cell.shape[1]):
            here[cell[world, agent]] = np.float32(0.0)


@whole
def move(table: NDArray[np.float32], here: NDArray[np.float32], cell: NDArray[np.int64], valid: NDArray[np.bool_],
         weight: NDArray[np.float32], rates: tuple[NDArray[np.float32], NDArray[np.float32]], smallest: Any,
         negative: Any, level: NDArray[np.float32], count: NDArray[np.float32], total: NDArray[np.float32],
         error: NDArray[np.float32]) -> None:
    """Move cells by their errors: the second half of an update.

    ``here`` is how often each cell was seen in this call, and 0 again afterwards. ``rates`` are the steps by visits of
    cells, and by those of agents, ``smallest`` is the smallest step, and ``negative`` a factor of it where the error is
    below 0. Levels move by the mean error, the ``total`` of so many, unless there are no totals, and errors are less by
    that afterwards.
    """
    for s in range(len(cell)):
        _raise(level[s], rates[1][s], smallest, count[s], total[s], valid[s], error[s])
        _move(table[s], here[s], cell[s], weight[s], rates[0][s], smallest, negative, error[s])
