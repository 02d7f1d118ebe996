"""What ``OptionScorer`` computes, and its gradient, as loops that numba compiles for a CPU; torch's code is the reference.

Rows of agents go through all layers in blocks that stay in a core's own cache: a product by BLAS, then one loop that
normalises and one that cuts off below zero. Torch writes and reads each of these steps in memory, which takes as long as
the products do.

**Layout.** The weights of a network are one array, in the order of ``OptionScorer.parameters()``; so is their gradient.
A first axis counts copies, which seeds stack. The first layers become one table ``[K, hidden]``, which a row of inputs
is multiplied by: own features | mean option | 1 | chosen option | 1. Doing nothing has no option: its last part is 0.

**Blocks.** A product of a block has at most 64^3 multiplications, for which OpenBLAS starts no threads. All rows of a
block go through one head. Sums of a gradient are added up block by block.

**Rounding.** Sums of products and of rows are in another order than torch's: values and gradients differ by some units
in the last place of their largest terms, about 1e-6 of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.envs.kernels.jit import routine, summed, whole

_ROWS, _PRODUCT = 64, 64**3
_EPSILON = np.float32(1e-5)  # of torch's layer norm


class Head(NamedTuple):
    """The parameters of a head, or the gradients of these; without layer norms their gains and shifts are made up."""

    gain: Any
    shift: Any
    weight: Any
    bias: Any
    last_gain: Any
    last_shift: Any
    last_weight: Any
    last_bias: Any


class Heads(NamedTuple):
    """Both heads of a network, or their gradients."""

    option: Head
    nothing: Head


class Scratch(NamedTuple):
    """Memory of a block: its rows before and behind the middle layer, what of them is above zero, and outputs."""

    before: Any
    active: Any
    after: Any
    scale: Any
    zeros: Any
    square: Any
    last: Any
    nothing: Any
    some: Any


@routine
def _times(a: Any, b: Any, out: Any) -> None:
    """Products by BLAS: numba compiles each kind once, and slowly."""
    np.dot(a, b, out)


@routine
def _across_times(a: Any, b: Any, out: Any) -> None:
    np.dot(a.T, b, out)


@routine
def _times_across(a: Any, b: Any, out: Any) -> None:
    np.dot(a, b.T, out)


@routine
def _table(flat: Any, at: int, rows: int, columns: int) -> Any:
    return flat[at:at + rows * columns].reshape((rows, columns))


@routine
def _head(flat: Any, at: int, hidden: int, outputs: int, normal: bool) -> Head:
    """The head whose parameters start there."""
    gain, shift = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)
    last_gain, last_shift = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)
    if normal:
        gain, shift, at = flat[at:at + hidden], flat[at + hidden:at + 2 * hidden], at + 2 * hidden
    weight, at = _table(flat, at, hidden, hidden), at + hidden * hidden
    bias, at = flat[at:at + hidden], at + hidden
    if normal:
        last_gain, last_shift, at = flat[at:at + hidden], flat[at + hidden:at + 2 * hidden], at + 2 * hidden
    last_weight, at = _table(flat, at, outputs, hidden), at + outputs * hidden
    return Head(gain, shift, weight, bias, last_gain, last_shift, last_weight, flat[at:at + outputs])


@routine
def _heads(flat: Any, features: int, width: int, s: Scratch, normal: bool) -> Heads:
    """Both heads of a network whose agents have so many features, and options so many."""
    hidden, outputs, each = s.before.shape[1], s.nothing.shape[1], s.some.shape[1]
    at = hidden * (features + 2 * width + 3)
    size = hidden * (hidden + 1) + each * (hidden + 1) + (4 * hidden if normal else 0)
    return Heads(_head(flat, at, hidden, each, normal), _head(flat, at + size, hidden, outputs, normal))


@routine
def _scratch(hidden: int, outputs: int, each: int) -> Scratch:
    """For as many rows as a block has."""
    rows = max(1, min(_ROWS, _PRODUCT // (hidden * max(hidden, each))))
    shape = (rows, hidden)
    return Scratch(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32),
                   np.empty((2, rows), np.float32), np.zeros(hidden, np.float32),
                   np.empty((hidden, hidden), np.float32), np.empty((each, hidden), np.float32), np.empty((rows, outputs), np.float32),
                   np.empty((rows, each), np.float32))


@routine
def _join_first(flat: Any, features: int, width: int, table: Any) -> None:
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
def _part_first(table: Any, features: int, width: int, flat: Any) -> None:
    """The gradients of the first layers, from that of the table which ``_join_first`` made of them."""
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


@summed
def _normalise(rows: Any, bias: Any, normal: bool, scale: Any) -> None:
    """Add the bias, and normalise if there are norms, whose factors ``scale`` keeps."""
    count, size = rows.shape
    for i in range(count):
        row = rows[i]
        mean, square = np.float32(0.0), np.float32(0.0)
        for j in range(size):
            row[j] += bias[j]
            mean += row[j]
        if normal:
            mean /= np.float32(size)
            for j in range(size):
                square += (row[j] - mean) * (row[j] - mean)
            scale[i] = np.float32(1.0) / np.sqrt(square / np.float32(size) + _EPSILON)
            for j in range(size):
                row[j] = (row[j] - mean) * scale[i]


@summed
def _cut(rows: Any, gain: Any, shift: Any, active: Any) -> None:
    """What is above zero after the gain and shift of a norm; NaN stays."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = rows[i, j] * gain[j] + shift[j]
            active[i, j] = np.float32(0.0) if value < np.float32(0.0) else value


@routine
def _add(total: Any, more: Any) -> None:
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] += more[i, j]


@routine
def _add_up(rows: Any, total: Any) -> None:
    """Add all rows to ``total``."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            total[j] += rows[i, j]


@routine
def _through(head: Head, across: Any, s: Scratch, normal: bool, first: Any, second: Any, scale: Any, factor: Any,
             out: Any) -> None:
    """The outputs ``[n, outputs]`` of a head for the rows ``first``; ``across`` is its weight, transposed.

    The arguments between ``normal`` and ``out`` then hold what ``_back`` needs.
    """
    active = s.active[:len(out)]
    _normalise(first, s.zeros, normal, scale)
    _cut(first, head.gain, head.shift, active)
    _times(active, across, second)
    _normalise(second, head.bias, normal, factor)
    _cut(second, head.last_gain, head.last_shift, active)
    _times_across(active, head.last_weight, out)
    for i in range(out.shape[0]):
        for o in range(out.shape[1]):
            out[i, o] += head.last_bias[o]


@summed
def _uncut(given: Any, rows: Any, active: Any, normal: bool, scale: Any, gain: Any, gain_sum: Any,
           shift_sum: Any) -> None:
    """From the gradient of what ``_cut`` gave to that of what ``_normalise`` got, in place; norms' own are added up."""
    count, size = given.shape
    for i in range(count):
        total, along = np.float32(0.0), np.float32(0.0)
        for j in range(size):
            value = given[i, j] if active[i, j] > np.float32(0.0) else np.float32(0.0)
            gain_sum[j] += value * rows[i, j]
            shift_sum[j] += value
            value *= gain[j]
            total += value
            along += value * rows[i, j]
            given[i, j] = value
        if normal:
            total, along = total / np.float32(size), along / np.float32(size)
            for j in range(size):
                given[i, j] = scale[i] * (given[i, j] - total - rows[i, j] * along)


@routine
def _back(head: Head, sums: Head, s: Scratch, normal: bool, given: Any, first: Any, second: Any, scale: Any,
          factor: Any) -> None:
    """Add a block's gradients to ``sums``, from those of its outputs; write those of its rows into ``s.before``."""
    count = len(given)
    before, active, after, last = s.before[:count], s.active[:count], s.after[:count], s.last[:given.shape[1]]
    _cut(second, head.last_gain, head.last_shift, active)
    _across_times(given, active, last)
    _add(sums.last_weight, last)
    _add_up(given, sums.last_bias)
    _times(given, head.last_weight, after)
    _uncut(after, second, active, normal, factor, head.last_gain, sums.last_gain, sums.last_shift)
    _add_up(after, sums.bias)
    _cut(first, head.gain, head.shift, active)
    _across_times(after, active, s.square)
    _add(sums.weight, s.square)
    _times(after, head.weight, before)
    _uncut(before, first, active, normal, scale, head.gain, sums.gain, sums.shift)


@routine
def _see(own: Any, options: Any, seen: Any) -> None:
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
def _add_context(rows: Any, context: Any, start: int, count: int) -> None:
    """To rows of options from number ``start`` on, of which each agent has so many, their agents' context."""
    agent, left = start // count, count - start % count
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] += context[agent, j]
        left -= 1
        if left == 0:
            agent, left = agent + 1, count


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
def _score_options(options: Any, context: Any, table: Any, head: Head, across: Any, s: Scratch, normal: bool,
                   out: Any) -> None:
    """Values of the options ``[n, M, F]`` of a block's agents, whose context it is, into ``out [n, A * Z]``."""
    agents, count, width = options.shape
    pairs, block = options.reshape((agents * count, width)), len(s.before)
    for start in range(0, len(pairs), block):
        size = min(block, len(pairs) - start)
        before, found = s.before[:size], s.some[:size]
        _times(pairs[start:start + size], table, before)
        _add_context(before, context, start, count)
        _through(head, across, s, normal, before, s.after[:size], s.scale[0], s.scale[1], found)
        _write(found, start, count, out)


@whole
def scores(own: Any, options: Any, weights: Any, hidden: int, levels: int, outputs: int, normal: bool,
           out: Any) -> None:
    """Values of all actions: ``out [S, R, (1 + M * L) * Z]``, of S copies with R rows each."""
    copies, rows, count, width = options.shape
    features = own.shape[2]
    around = features + width + 1
    s = _scratch(hidden, outputs, levels * outputs)
    block = len(s.before)
    table = np.empty((around + width + 1, hidden), np.float32)
    inputs, context = np.empty((block, around), np.float32), np.empty((block, hidden), np.float32)
    for copy in range(copies):
        _join_first(weights[copy], features, width, table)
        heads = _heads(weights[copy], features, width, s, normal)
        option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
        for start in range(0, rows, block):
            size = min(block, rows - start)
            for i in range(size):
                _see(own[copy, start + i], options[copy, start + i], inputs[i])
            _times(inputs[:size], table[:around], context[:size])
            before, found = s.before[:size], s.nothing[:size]
            before[:] = context[:size]
            _through(heads.nothing, nothing_across, s, normal, before, s.after[:size], s.scale[0], s.scale[1], found)
            for i in range(size):
                for k in range(outputs):
                    out[copy, start + i, k] = found[i, k]
                for j in range(hidden):
                    context[i, j] += table[-1, j]
            _score_options(options[copy, start:start + size], context, table[around:-1], heads.option, option_across, s,
                           normal, out[copy, start:start + size])


@routine
def _group(action: Any, order: Any) -> int:
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
def _stop(start: int, split: int, rows: int, block: int) -> int:
    """Where a block ends: all of its rows have one head."""
    return min(start + block, split if start < split else rows)


@routine
def _see_taken(own: Any, options: Any, action: Any, order: Any, levels: int, inputs: Any) -> None:
    """The inputs ``[n, K]`` of a block's rows."""
    width = options.shape[2]
    for i in range(len(order)):
        row = order[i]
        seen, done = inputs[i], action[row]
        _see(own[row], options[row], seen)
        share = np.float32(1.0 if done > 0 else 0.0)
        option, chosen = options[row, max(0, (done - 1) // levels)], seen[len(seen) - width - 1:]
        for k in range(width):
            chosen[k] = share * option[k]
        chosen[width] = share


@routine
def _level(action: int, levels: int, outputs: int) -> int:
    """The first of an action's outputs."""
    return (action - 1) % levels * outputs if action > 0 else 0


@whole
def taken(own: Any, options: Any, action: Any, weights: Any, levels: int, normal: bool, order: Any, inputs: Any,
          first: Any, second: Any, scale: Any, out: Any) -> None:
    """Values of one action of each row, ``out [S, R, Z]``; all between them and ``out`` is kept for ``gradients``."""
    copies, rows, outputs = out.shape
    features, width = own.shape[2], options.shape[3]
    s = _scratch(first.shape[2], outputs, levels * outputs)
    table = np.empty((inputs.shape[2], first.shape[2]), np.float32)
    for copy in range(copies):
        _join_first(weights[copy], features, width, table)
        heads = _heads(weights[copy], features, width, s, normal)
        option_across, nothing_across = heads.option.weight.T.copy(), heads.nothing.weight.T.copy()
        split, start = _group(action[copy], order[copy]), 0
        while start < rows:
            stop = _stop(start, split, rows, len(s.before))
            these, seen = order[copy, start:stop], inputs[copy, start:stop]
            head, across, found = ((heads.nothing, nothing_across, s.nothing[:stop - start]) if start < split
                                   else (heads.option, option_across, s.some[:stop - start]))
            _see_taken(own[copy], options[copy], action[copy], these, levels, seen)
            _times(seen, table, first[copy, start:stop])
            _through(head, across, s, normal, first[copy, start:stop], second[copy, start:stop],
                     scale[copy, 0, start:stop], scale[copy, 1, start:stop], found)
            for i in range(len(these)):
                level = _level(action[copy, these[i]], levels, outputs)
                for z in range(outputs):
                    out[copy, these[i], z] = found[i, level + z]
            start = stop


@routine
def _spread(given: Any, action: Any, order: Any, levels: int, found: Any) -> None:
    """The gradient of a block's values as that of its head's outputs, which are those of all levels."""
    outputs = given.shape[1]
    found[:] = np.float32(0.0)
    for i in range(len(order)):
        level = _level(action[order[i]], levels, outputs)
        for z in range(outputs):
            found[i, level + z] = given[order[i], z]


@whole
def gradients(given: Any, action: Any, weights: Any, features: int, levels: int, normal: bool, order: Any,
              inputs: Any, first: Any, second: Any, scale: Any, out: Any) -> None:
    """The gradient of all weights, ``out [S, P]`` of zeros, from that of values ``given [S, R, Z]``."""
    copies, rows, outputs = given.shape
    width = (inputs.shape[2] - features - 2) // 2
    s = _scratch(first.shape[2], outputs, levels * outputs)
    table, product = (np.empty((inputs.shape[2], first.shape[2]), np.float32),
                      np.empty((inputs.shape[2], first.shape[2]), np.float32))
    for copy in range(copies):
        heads = _heads(weights[copy], features, width, s, normal)
        sums = _heads(out[copy], features, width, s, normal)
        table[:] = np.float32(0.0)
        split, start = (action[copy] == 0).sum(), 0
        while start < rows:
            stop = _stop(start, split, rows, len(s.before))
            head, total, found = ((heads.nothing, sums.nothing, s.nothing[:stop - start]) if start < split
                                  else (heads.option, sums.option, s.some[:stop - start]))
            _spread(given[copy], action[copy], order[copy, start:stop], levels, found)
            _back(head, total, s, normal, found, first[copy, start:stop], second[copy, start:stop],
                  scale[copy, 0, start:stop], scale[copy, 1, start:stop])
            _across_times(inputs[copy, start:stop], s.before[:stop - start], product)
            _add(table, product)
            start = stop
        _part_first(table, features, width, out[copy])
