"""What ``OptionScorer`` computes, and its gradient, as loops that numba compiles for a CPU.

Torch's code in ``networks`` is the reference.

**Layout.** The weights of a network are one array, in the order of ``OptionScorer.parameters()``; so is their gradient.
A first axis counts copies, which seeds stack. The first layers become one table ``[K, hidden]``, which a row of inputs
is multiplied by: own features | mean option | 1 | chosen option | 1. Doing nothing has no option: its last part is 0.

**Blocks.** Rows go through all layers in blocks of one head (see ``head_loop``). Gradients are added up block by block,
in their order, on one thread: bits do not depend on the number of threads.

**Rounding.** Sums of products and of rows are in another order than torch's: values and gradients differ by some units
in the last place of their largest terms, about 1e-6 of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.fetching import fetch_ahead
from interplay.agents.loops.head_loop import (
    Head,
    Rows,
    Scratch,
    across_times,
    add,
    back,
    head_of,
    part_of,
    recall,
    score,
    scratch,
    through,
    times,
)
from interplay.envs.kernels.jit import routine, whole


class Heads(NamedTuple):
    """Both heads of a network, or their gradients."""

    option: Head
    nothing: Head


@routine
def heads_of(flat: Any, features: int, width: int, s: Scratch, normal: bool) -> Heads:
    """Both heads of a network whose agents have so many features, and options so many."""
    hidden, outputs, each = s.active.shape[1], s.nothing.shape[1], s.some.shape[1]
    at = hidden * (features + 2 * width + 3)
    size = hidden * (hidden + 1) + each * (hidden + 1) + (4 * hidden if normal else 0)
    return Heads(head_of(flat, at, hidden, each, normal), head_of(flat, at + size, hidden, outputs, normal))


@routine
def join_first(flat: Any, features: int, width: int, table: Any) -> None:
    """The first layers side by side: see Layout above."""
    hidden = table.shape[1]
    option_at, around_at = hidden * (features + 1), hidden * (features + width + 2)
    for j in range(hidden):
        for k in range(features):
            table[k, j] = flat[j * features + k]
        for k in range(width):
            table[features + k, j] = flat[around_at + j * width + k]
            table[features + width + 1 + k, j] = flat[option_at + j * width + k]
        table[features + width, j] = flat[hidden * features + j] + flat[around_at + hidden * width + j]
        table[features + 2 * width + 1, j] = flat[option_at + hidden * width + j]


@routine
def part_first(table: Any, features: int, width: int, flat: Any) -> None:
    """The gradients of the first layers, from that of the table which ``join_first`` made of them."""
    hidden = table.shape[1]
    option_at, around_at = hidden * (features + 1), hidden * (features + width + 2)
    for j in range(hidden):
        for k in range(features):
            flat[j * features + k] = table[k, j]
        for k in range(width):
            flat[around_at + j * width + k] = table[features + k, j]
            flat[option_at + j * width + k] = table[features + width + 1 + k, j]
        flat[hidden * features + j] = flat[around_at + hidden * width + j] = table[features + width, j]
        flat[option_at + hidden * width + j] = table[features + 2 * width + 1, j]


@routine
def see(own: Any, options: Any, seen: Any) -> None:
    """What a row of inputs has of an agent ``[F_own]`` and of the mean of its options, and the 1 behind it."""
    for k in range(len(own)):
        seen[k] = own[k]
    mean, option = seen[len(own):], options[0]
    for k in range(len(option)):
        mean[k] = option[k]
    for m in range(1, len(options)):
        option = options[m]
        for k in range(len(option)):
            mean[k] += option[k]
    share = np.float32(1.0) / np.float32(len(options))
    for k in range(len(option)):
        mean[k] *= share
    mean[len(option)] = np.float32(1.0)


@routine
def _write(found: Any, start: int, count: int, out: Any) -> None:
    """Values of such rows behind those of doing nothing in ``out [n, A * Z]``."""
    each = found.shape[1]
    nothing = out.shape[1] - count * each
    agent, at = start // count, start % count
    for i in range(found.shape[0]):
        for k in range(each):
            out[agent, nothing + at * each + k] = found[i, k]
        at += 1
        if at == count:
            agent, at = agent + 1, 0


@routine
def _gather(options: Any, rows: Any, start: int, pairs: Any) -> None:
    """Options from number ``start`` on, of those of the agents in these rows one after the other."""
    count = options.shape[1]
    for i in range(len(pairs)):
        option = options[rows[(start + i) // count], (start + i) % count]
        for k in range(len(option)):
            pairs[i, k] = option[k]


@routine
def _score_options(options: Any, rows: Any, pairs: Any, context: Any, table: Any, head: Head, across: Any, s: Scratch,
                   normal: bool, out: Any) -> None:
    """Values of the options of a block's agents, whose context it is, into ``out [n, A * Z]``."""
    count, block = options.shape[1], len(s.active)
    for start in range(0, len(rows) * count, block):
        size = min(block, len(rows) * count - start)
        found = s.some[:size]
        _gather(options, rows, start, pairs[:size])
        times(pairs[:size], table, s.rows.first[:size])
        score(head, across, s, normal, context, start, count, found)
        _write(found, start, count, out)


@routine
def score_rows(own: Any, options: Any, rows: Any, weights: Any, s: Scratch, normal: bool, out: Any) -> None:
    """Values of all actions of one copy's agents in these rows, into ``out [n, A * Z]``."""
    features, width, hidden, block = own.shape[1], options.shape[2], s.active.shape[1], len(s.active)
    outputs, around = s.nothing.shape[1], features + width + 1
    table, pairs = np.empty((around + width + 1, hidden), np.float32), np.empty((block, width), np.float32)
    inputs, context = np.empty((block, around), np.float32), np.empty((block, hidden), np.float32)
    join_first(weights, features, width, table)
    heads = heads_of(weights, features, width, s, normal)
    option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
    for start in range(0, len(rows), block):
        these, size = rows[start:start + block], min(block, len(rows) - start)
        for i in range(size):
            fetch_ahead(own, options, rows, start + i)
            see(own[these[i]], options[these[i]], inputs[i])
        times(inputs[:size], table[:around], context[:size])
        found = s.nothing[:size]
        s.rows.first[:size] = context[:size]
        score(heads.nothing, nothing_across, s, normal, s.zeros, 0, size, found)
        for i in range(size):
            for k in range(outputs):
                out[start + i, k] = found[i, k]
            for j in range(hidden):
                context[i, j] += table[-1, j]
        _score_options(options, these, pairs, context, table[around:-1], heads.option, option_across, s, normal,
                       out[start:start + size])


@whole
def scores(own: Any, options: Any, weights: Any, hidden: int, levels: int, outputs: int, normal: bool,
           out: Any) -> None:
    """Values of all actions: ``out [S, R, (1 + M * L) * Z]``, of S copies with R rows each."""
    s, rows = scratch(hidden, outputs, levels * outputs), np.arange(own.shape[1])
    for copy in range(len(own)):
        score_rows(own[copy], options[copy], rows, weights[copy], s, normal, out[copy])


@routine
def group(action: Any, order: Any) -> int:
    """Rows that do nothing, then all others, in ``order``; gives how many do nothing."""
    split = 0
    for row in range(len(action)):
        if action[row] == 0:
            order[split] = row
            split += 1
    place = split
    for row in range(len(action)):
        if action[row] > 0:
            order[place] = row
            place += 1
    return split


@routine
def stop_of(start: int, split: int, rows: int, block: int) -> int:
    """Where a block ends: all of its rows have one head."""
    return min(start + block, split if start < split else rows)


@routine
def see_taken(own: Any, options: Any, rows: Any, action: Any, levels: int, inputs: Any) -> None:
    """The inputs ``[n, K]`` of a block's rows, in which these actions were taken."""
    width = options.shape[2]
    for i in range(len(rows)):
        row = rows[i]
        seen, done = inputs[i], action[i]
        fetch_ahead(own, options, rows, i)
        see(own[row], options[row], seen)
        share = np.float32(1.0 if done > 0 else 0.0)
        option, chosen = options[row, max(0, (done - 1) // levels)], seen[len(seen) - width - 1:]
        for k in range(width):
            chosen[k] = share * option[k]
        chosen[width] = share


@routine
def level_of(action: int, levels: int, outputs: int) -> int:
    """The first of an action's outputs."""
    return (action - 1) % levels * outputs if action > 0 else 0


@whole
def taken(own: Any, options: Any, action: Any, weights: Any, levels: int, normal: bool, order: Any, inputs: Any,
          first: Any, last: Any, factors: Any, out: Any) -> None:
    """Values of one action of each row, ``out [S, R, Z]``; all between ``normal`` and it is kept for ``gradients``."""
    copies, count, outputs = out.shape
    features, width = own.shape[2], options.shape[3]
    s = scratch(first.shape[2], outputs, levels * outputs)
    table = np.empty((inputs.shape[2], first.shape[2]), np.float32)
    for copy in range(copies):
        join_first(weights[copy], features, width, table)
        heads = heads_of(weights[copy], features, width, s, normal)
        option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
        rows = Rows(first[copy], last[copy], factors[copy, 0], factors[copy, 1])
        split, start = group(action[copy], order[copy]), 0
        while start < count:
            stop = stop_of(start, split, count, len(s.active))
            these, seen, block = order[copy, start:stop], inputs[copy, start:stop], part_of(rows, start, stop)
            head, across, found = ((heads.nothing, nothing_across, s.nothing[:stop - start]) if start < split
                                   else (heads.option, option_across, s.some[:stop - start]))
            see_taken(own[copy], options[copy], these, action[copy][these], levels, seen)
            times(seen, table, block.first)
            through(head, across, s, normal, block, found)
            for i in range(len(these)):
                level = level_of(action[copy, these[i]], levels, outputs)
                for z in range(outputs):
                    out[copy, these[i], z] = found[i, level + z]
            start = stop


@routine
def _spread(given: Any, action: Any, order: Any, levels: int, found: Any) -> None:
    """The gradient of a block's values as that of its head's outputs, which are those of all levels."""
    outputs = given.shape[1]
    found[:] = np.float32(0.0)
    for i in range(len(order)):
        level = level_of(action[order[i]], levels, outputs)
        for z in range(outputs):
            found[i, level + z] = given[order[i], z]


@whole
def gradients(given: Any, action: Any, weights: Any, features: int, levels: int, normal: bool, order: Any,
              inputs: Any, first: Any, last: Any, factors: Any, out: Any) -> None:
    """The gradient of all weights, ``out [S, P]`` of zeros, from that of values ``given [S, R, Z]``."""
    copies, count, outputs = given.shape
    width = (inputs.shape[2] - features - 2) // 2
    s = scratch(first.shape[2], outputs, levels * outputs)
    table = np.empty((inputs.shape[2], first.shape[2]), np.float32)
    product = np.empty_like(table)
    for copy in range(copies):
        heads = heads_of(weights[copy], features, width, s, normal)
        sums = heads_of(out[copy], features, width, s, normal)
        rows = Rows(first[copy], last[copy], factors[copy, 0], factors[copy, 1])
        table[:] = np.float32(0.0)
        split, start = (action[copy] == 0).sum(), 0
        while start < count:
            stop = stop_of(start, split, count, len(s.active))
            head, total, found = ((heads.nothing, sums.nothing, s.nothing[:stop - start]) if start < split
                                  else (heads.option, sums.option, s.some[:stop - start]))
            _spread(given[copy], action[copy], order[copy, start:stop], levels, found)
            block = part_of(rows, start, stop)
            recall(head, s, block)
            back(head, total, s, normal, found, block)
            across_times(inputs[copy, start:stop], s.rows.first[:stop - start], product)
            add(table, product)
            start = stop
        part_first(table, features, width, out[copy])
