"""Updates of Q-learning on ``OptionScorer``, as loops that numba compiles for a CPU: targets, and errors' gradients.

Torch's code in ``dqn`` and ``pqn`` is the reference. Rows are read where a memory has them. See ``scorer_loop`` for
layouts; a block of rows goes forward and back before the next does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.adam_loop import adam, come_nearer, shorten
from interplay.agents.loops.head_loop import (
    Rows,
    Scratch,
    across_times,
    add,
    back,
    part_of,
    score,
    scratch,
    through,
    times,
)
from interplay.agents.loops.scorer_loop import (
    group,
    heads_of,
    join_first,
    level_of,
    part_first,
    score_rows,
    see_taken,
    stop_of,
)
from interplay.envs.kernels.jit import routine, whole


class Memory(NamedTuple):
    """What ``fit`` works with.

    Attributes:
        hidden: a block's hidden layers.
        inputs: its inputs ``[n, K]``.
        table, product, total: first layers side by side, and gradients of them ``[K, hidden]``.
        rows, done, order: of all: where each is, what was done there, and in which order they come.
    """

    hidden: Rows
    inputs: Any
    table: Any
    product: Any
    total: Any
    rows: Any
    done: Any
    order: Any


@routine
def _memory(block: int, hidden: int, inputs: int, count: int) -> Memory:
    size, table, rows = (block, hidden), (inputs, hidden), count
    return Memory(Rows(np.empty(size, np.float32), np.empty(size, np.float32), np.empty(block, np.float32),
                       np.empty(block, np.float32)), np.empty((block, inputs), np.float32),
                  np.empty(table, np.float32), np.empty(table, np.float32), np.empty(table, np.float32),
                  np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64))


@routine
def _best(values: Any, mask: Any) -> int:
    """The first of the highest allowed values; NaN is the highest."""
    best, highest = 0, np.float32(-np.inf)
    for k in range(len(mask)):
        if mask[k] and not values[k] <= highest:
            best, highest = k, values[k]
    return best


@routine
def _add_ahead(own: Any, options: Any, rows: Any, action: Any, discount: Any, weights: Any, s: Scratch, levels: int,
               normal: bool, out: Any) -> None:
    """Add discounted values of the actions in these rows to ``out [n]``."""
    features, width, hidden = own.shape[1], options.shape[2], s.active.shape[1]
    table, order = np.empty((features + 2 * width + 2, hidden), np.float32), np.empty_like(rows)
    inputs = np.empty((len(s.active), len(table)), np.float32)
    join_first(weights, features, width, table)
    heads = heads_of(weights, features, width, s, normal)
    option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
    split, start = group(action, order), 0
    while start < len(rows):
        these = order[start:stop_of(start, split, len(rows), len(s.active))]
        seen = inputs[:len(these)]
        head, across, found = ((heads.nothing, nothing_across, s.nothing[:len(these)]) if start < split
                               else (heads.option, option_across, s.some[:len(these)]))
        see_taken(own, options, rows[these], action[these], levels, seen)
        times(seen, table, s.rows.first[:len(these)])
        score(head, across, s, normal, s.zeros, 0, len(these), found)
        for i in range(len(these)):
            out[these[i]] += discount[rows[these[i]]] * found[i, level_of(action[these[i]], levels, 1)]
        start += len(these)


@routine
def _aims(own: Any, options: Any, mask: Any, reward: Any, discount: Any, rows: Any, chooser: Any, judge: Any,
          hidden: int, levels: int, normal: bool, double: bool, out: Any) -> None:
    """``targets`` of one copy."""
    s, best = scratch(hidden, 1, levels), np.empty(len(rows), np.int64)
    values = np.empty((len(rows), mask.shape[1]), np.float32)
    score_rows(own, options, rows, chooser, s, normal, values)
    for i in range(len(rows)):
        best[i] = _best(values[i], mask[rows[i]])
        out[i] = reward[rows[i]]
        if not double:
            out[i] += discount[rows[i]] * values[i, best[i]]
    if double:
        _add_ahead(own, options, rows, best, discount, judge, s, levels, normal, out)


@whole
def targets(own: Any, options: Any, mask: Any, reward: Any, discount: Any, index: Any, chooser: Any, judge: Any,
            hidden: int, levels: int, normal: bool, double: bool, out: Any) -> None:
    """``reward + discount * value`` of the best allowed action in each row, ``out [S, n]``.

    Tables have rows ``[S, R, ...]``, of which ``index [S, n]`` picks n. The weights ``chooser`` choose the action; its
    value is what the weights ``judge`` say, if ``double``, else what ``chooser`` says.
    """
    for copy in range(len(index)):
        _aims(own[copy], options[copy], mask[copy], reward[copy], discount[copy], index[copy], chooser[copy],
              judge[copy], hidden, levels, normal, double, out[copy])


@routine
def _miss(error: Any, delta: Any) -> Any:
    """Huber's loss of an error, and its gradient."""
    if abs(error) < delta:
        return np.float32(0.5) * error * error, error
    return delta * (abs(error) - np.float32(0.5) * delta), delta if error > np.float32(0.0) else -delta


@routine
def _judge(these: Any, m: Memory, wanted: Any, valid: Any, weight: Any, taught: int, levels: int, delta: Any,
           found: Any, totals: Any) -> None:
    """From values ``found`` of a block to their gradient; the loss, values and those of valid rows are added up."""
    for i in range(len(these)):
        row, level = m.rows[these[i]], level_of(m.done[these[i]], levels, 1)
        value, share = found[i, level], np.float32(0.0)
        totals[1] += value
        if valid[row]:
            share = weight[row] / np.float32(taught)
            totals[2] += value
        miss, slope = _miss(value - wanted[these[i]], delta)
        totals[0] += share * miss
        found[i] = np.float32(0.0)
        found[i, level] = share * slope


@routine
def _fit_copy(own: Any, options: Any, valid: Any, weight: Any, wanted: Any, weights: Any, s: Scratch, m: Memory,
              levels: int, normal: bool, delta: Any, totals: Any, out: Any) -> None:
    """``fit`` of one copy, whose rows and actions are in ``m``."""
    features, width, taught = own.shape[1], options.shape[2], 0
    join_first(weights, features, width, m.table)
    heads, sums = heads_of(weights, features, width, s, normal), heads_of(out, features, width, s, normal)
    option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
    m.total[:], totals[:] = np.float32(0.0), 0.0
    for row in m.rows:
        taught += valid[row]
    split, start = group(m.done, m.order), 0
    while start < len(m.order):
        these = m.order[start:stop_of(start, split, len(m.order), len(s.active))]
        hidden, seen = part_of(m.hidden, 0, len(these)), m.inputs[:len(these)]
        head, head_sums, across, found = (
            (heads.nothing, sums.nothing, nothing_across, s.nothing[:len(these)]) if start < split
            else (heads.option, sums.option, option_across, s.some[:len(these)]))
        see_taken(own, options, m.rows[these], m.done[these], levels, seen)
        times(seen, m.table, hidden.first)
        through(head, across, s, normal, hidden, found)
        _judge(these, m, wanted, valid, weight, taught, levels, delta, found, totals)
        back(head, head_sums, s, normal, found, hidden)
        across_times(seen, s.rows.first[:len(these)], m.product)
        add(m.total, m.product)
        start += len(these)
    totals[1], totals[2] = totals[1] / max(1, len(m.rows)), totals[2] / max(1, taught)
    part_first(m.total, features, width, out)


@whole
def fit(own: Any, options: Any, action: Any, valid: Any, weight: Any, index: Any, agents: int, wanted: Any,
        weights: Any, hidden: int, levels: int, normal: bool, delta: float, losses: Any, out: Any) -> None:
    """The loss of what was done in some rows, its gradient ``[S, P]``, and what it is of.

    Tables have rows ``[S, R, ...]``, of which ``index [S, n]`` picks n times ``agents`` that follow each other; these
    should have the values ``wanted [S, n * agents]``. ``losses [S, 3]`` are Huber's loss, the mean value, and that of
    valid rows; ``out`` is of zeros.
    """
    s, inputs, totals = scratch(hidden, 1, levels), own.shape[2] + 2 * options.shape[3] + 2, np.empty(3)
    m = _memory(len(s.active), hidden, inputs, wanted.shape[1])
    for copy in range(len(index)):
        for i in range(len(m.rows)):
            m.rows[i] = index[copy, i // agents] * agents + i % agents
            m.done[i] = action[copy, m.rows[i]]
        _fit_copy(own[copy], options[copy], valid[copy], weight[copy], wanted[copy], weights[copy], s, m, levels,
                  normal, np.float32(delta), totals, out[copy])
        for k in range(3):
            losses[copy, k] = totals[k]


@routine
def _improve(own: Any, options: Any, action: Any, valid: Any, weight: Any, index: Any, ends: Any, wanted: Any,
            weights: Any, first: Any, second: Any, counts: Any, rate: float, betas: Any, tiny: float, max_norm: float,
            hidden: int, levels: int, normal: bool, delta: float, losses: Any) -> None:
    """``fit`` of one copy, part by part, each followed by a step of Adam.

    Parts of ``index [n]`` and ``wanted [n * agents]`` end at ``ends [K]``. Weights and what Adam keeps are written.
    """
    s, inputs, totals = scratch(hidden, 1, levels), own.shape[1] + 2 * options.shape[2] + 2, np.empty(3)
    agents, start, out = len(wanted) // max(1, len(index)), 0, np.empty_like(weights)
    for end in ends:
        m = _memory(len(s.active), hidden, inputs, agents * (end - start))
        for i in range(len(m.rows)):
            m.rows[i] = index[start + i // agents] * agents + i % agents
            m.done[i] = action[m.rows[i]]
        out[:] = np.float32(0.0)
        _fit_copy(own, options, valid, weight, wanted[agents * start:agents * end], weights, s, m, levels, normal,
                  np.float32(delta), totals, out)
        if max_norm > 0.0:
            shorten(out, max_norm)
        counts += np.float32(1.0)
        adam(weights, out, first, second, counts[0], rate, betas, tiny)
        start = end
    for k in range(3):
        losses[k] = totals[k]


@whole
def improve(own: Any, options: Any, action: Any, valid: Any, weight: Any, index: Any, ends: Any, wanted: Any,
            weights: Any, first: Any, second: Any, counts: Any, rate: float, betas: Any, tiny: float, max_norm: float,
            hidden: int, levels: int, normal: bool, delta: float, losses: Any) -> None:
    """``_improve`` of all copies, which first axes count; they have taken the same number of steps, ``counts``."""
    before = counts.copy()
    for s in range(len(index)):
        counts[:] = before
        _improve(own[s], options[s], action[s], valid[s], weight[s], index[s], ends, wanted[s], weights[s], first[s],
                 second[s], counts, rate, betas, tiny, max_norm, hidden, levels, normal, delta, losses[s])


@whole
def update(own: Any, options: Any, action: Any, valid: Any, weight: Any, after_own: Any, after_options: Any, mask: Any,
           reward: Any, discount: Any, batches: Any, weights: Any, first: Any, second: Any, counts: Any, rate: float,
           betas: Any, tiny: float, max_norm: float, target: Any, share: float, double: bool, hidden: int, levels: int,
           normal: bool, delta: float, losses: Any) -> None:
    """Updates of deep Q-learning of all copies, one from each of ``batches [S, K, n]`` after the other.

    Each is ``targets``, a step towards them, and weights ``target`` that follow.
    """
    size, before = batches.shape[2], counts.copy()
    wanted, ends = np.empty(size, np.float32), np.array([size])
    for s in range(len(batches)):
        counts[:] = before
        chooser = weights[s] if double else target[s]
        for index in batches[s]:
            _aims(after_own[s], after_options[s], mask[s], reward[s], discount[s], index, chooser, target[s], hidden,
                  levels, normal, double, wanted)
            _improve(own[s], options[s], action[s], valid[s], weight[s], index, ends, wanted, weights[s], first[s],
                     second[s], counts, rate, betas, tiny, max_norm, hidden, levels, normal, delta, losses[s])
            come_nearer(target[s], weights[s], share)
