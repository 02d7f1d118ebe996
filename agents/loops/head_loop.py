"""One hidden layer after another for a block of rows, and back, as loops that numba compiles for a CPU.

A head is what ``OptionScorer.head`` makes: two times a layer norm (or none), a cut below zero and a linear layer. A
block of rows stays in a core's own cache: a product by BLAS, then one loop that measures and one that normalises and
cuts. Torch writes each of these to memory and reads it again, which takes as long as the products do.

A product of a block has at most 64^3 multiplications, for which OpenBLAS starts no threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.typing.templates import signature

from interplay.envs.kernels.jit import fused, routine, summed, whole

PRODUCT = 64**3
_ROWS = 128
_EPSILON = np.float32(1e-5)  # of torch's layer norm


class Head(NamedTuple):
    """The parameters of a head, or their gradients.

    Without layer norms gains are 1, and shifts are what is added anyway: nothing, and the middle layer's bias.
    """

    gain: Any
    shift: Any
    weight: Any
    bias: Any
    last_gain: Any
    last_shift: Any
    last_weight: Any
    last_bias: Any


class Rows(NamedTuple):
    """A block's rows ``[n, hidden]`` before each cut, and by what their norms multiplied them: what ``back`` needs."""

    first: Any
    last: Any
    first_factor: Any
    last_factor: Any


class Scratch(NamedTuple):
    """Memory of a block: rows, means, what is above zero before both layers, their gradients, outputs of both heads."""

    rows: Rows
    mean: Any
    active: Any
    last_active: Any
    zeros: Any
    weight: Any
    last_weight: Any
    nothing: Any
    some: Any


@routine
def times(a: Any, b: Any, out: Any) -> None:
    """A product of matrices by BLAS."""
    np.dot(a, b, out)


@routine
def across_times(a: Any, b: Any, out: Any) -> None:
    """The same, of ``a`` transposed."""
    np.dot(a.T, b, out)


_numbers = types.CPointer(types.float32)  # type: ignore[no-untyped-call]
_gemm: Any = types.ExternalFunction("numba_xxgemm", signature(  # type: ignore[no-untyped-call]
    types.intc, types.char, types.char, types.char, types.intp, types.intp, types.intp, _numbers, _numbers, types.intp,
    _numbers, types.intp, _numbers, _numbers, types.intp))  # which np.dot calls, too, but never to add
_S, _N, _T = (ord(letter) for letter in "snt")  # float32, as it is, transposed


@routine
def add_product(a: Any, b: Any, total: Any) -> None:
    """Add ``across_times`` of tables in one piece to ``total``, in one pass. To BLAS rows are columns."""
    inner, rows, columns, one = a.shape[0], a.shape[1], b.shape[1], np.ones(1, np.float32)
    _gemm(_S, _N, _T, columns, rows, inner, one.ctypes, b.ctypes, columns, a.ctypes, rows, one.ctypes, total.ctypes,
          columns)


@routine
def _times_across(a: Any, b: Any, out: Any) -> None:
    np.dot(a, b.T, out)


@routine
def head_of(flat: Any, at: int, hidden: int, outputs: int, normal: bool) -> Head:
    """The head whose parameters start there."""
    gain, shift = np.ones(hidden, np.float32), np.zeros(hidden, np.float32)
    if normal:
        gain, shift, at = flat[at:at + hidden], flat[at + hidden:at + 2 * hidden], at + 2 * hidden
    weight, at = flat[at:at + hidden * hidden].reshape((hidden, hidden)), at + hidden * hidden
    bias, at = flat[at:at + hidden], at + hidden
    last_gain, last_shift = np.ones(hidden, np.float32), bias
    if normal:
        last_gain, last_shift, at = flat[at:at + hidden], flat[at + hidden:at + 2 * hidden], at + 2 * hidden
    last_weight, at = flat[at:at + outputs * hidden].reshape((outputs, hidden)), at + outputs * hidden
    return Head(gain, shift, weight, bias, last_gain, last_shift, last_weight, flat[at:at + outputs])


@routine
def scratch(hidden: int, outputs: int, each: int) -> Scratch:
    """For as many rows as a block has, with so many outputs of the heads for doing nothing and for an option."""
    size = max(1, min(_ROWS, PRODUCT // (hidden * max(hidden, each))))
    wide, square, kind = (size, hidden), (hidden, hidden), np.float32
    rows = Rows(np.empty(wide, kind), np.empty(wide, kind), np.empty(size, kind), np.empty(size, kind))
    return Scratch(rows, np.empty(size, kind), np.empty(wide, kind), np.empty(wide, kind), np.zeros((1, hidden), kind),
                   np.empty(square, kind), np.empty((each, hidden), kind), np.empty((size, outputs), kind),
                   np.empty((size, each), kind))


@routine
def part_of(rows: Rows, start: int, stop: int) -> Rows:
    """Some of the rows."""
    return Rows(rows.first[start:stop], rows.last[start:stop], rows.first_factor[start:stop],
                rows.last_factor[start:stop])


@summed
def _measure(rows: Any, more: Any, start: int, each: int, mean: Any, factor: Any) -> None:
    """Add ``more[(start + i) // each]`` to row i; give its mean then, and the factor that makes its variance 1."""
    count, size = rows.shape
    for i in range(count):  # roots and quotients of all rows side by side, as those of one wait for each other
        total, row, added = np.float32(0.0), rows[i], more[(start + i) // each]
        for j in range(size):
            row[j] += added[j]
            total += row[j]
        mean[i] = total / np.float32(size)
    for i in range(count):
        square, row = np.float32(0.0), rows[i]
        for j in range(size):
            square += (row[j] - mean[i]) * (row[j] - mean[i])
        factor[i] = square
    for i in range(count):
        factor[i] = np.float32(1.0) / np.sqrt(factor[i] / np.float32(size) + _EPSILON)


@fused
def _normalise(rows: Any, mean: Any, factor: Any, gain: Any, shift: Any, active: Any) -> None:
    """Give each row mean 0 and variance 1, and ``_cut`` it, in one pass."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] = (rows[i, j] - mean[i]) * factor[i]
            value = rows[i, j] * gain[j] + shift[j]
            active[i, j] = np.float32(0.0) if value < np.float32(0.0) else value


@fused
def _replace(rows: Any, mean: Any, factor: Any, gain: Any, shift: Any) -> None:
    """What ``_normalise`` gives, in place of the rows."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = (rows[i, j] - mean[i]) * factor[i] * gain[j] + shift[j]
            rows[i, j] = np.float32(0.0) if value < np.float32(0.0) else value


@summed
def _cut(rows: Any, gain: Any, shift: Any, active: Any) -> None:
    """What is above zero after the gain and shift of a norm; NaN stays."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = rows[i, j] * gain[j] + shift[j]
            active[i, j] = np.float32(0.0) if value < np.float32(0.0) else value


@routine
def add(total: Any, more: Any) -> None:
    """Add a table to another."""
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] += more[i, j]


@routine
def add_up(rows: Any, total: Any) -> None:
    """Add all rows to ``total``, four at a time, since each addition waits for what the last one wrote."""
    fours = len(rows) // 4 * 4
    for i in range(0, fours, 4):
        first, second, third, fourth = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(len(total)):
            total[j] += (first[j] + second[j]) + (third[j] + fourth[j])
    for i in range(fours, len(rows)):
        for j in range(len(total)):
            total[j] += rows[i, j]


@routine
def _finish(head: Head, active: Any, out: Any) -> None:
    """The outputs of the last layer."""
    _times_across(active, head.last_weight, out)
    for i in range(out.shape[0]):
        for o in range(out.shape[1]):
            out[i, o] += head.last_bias[o]


@routine
def through(head: Head, across: Any, s: Scratch, normal: bool, rows: Rows, out: Any) -> None:
    """The outputs ``[n, outputs]`` of a head for ``rows.first``; ``across`` is its weight, transposed.

    What ``back`` needs stays in ``rows`` and, until the next block, in ``s``.
    """
    count, active, last_active, mean = len(out), s.active[:len(out)], s.last_active[:len(out)], s.mean[:len(out)]
    if normal:
        _measure(rows.first, s.zeros, 0, count, mean, rows.first_factor)
        _normalise(rows.first, mean, rows.first_factor, head.gain, head.shift, active)
    else:
        _cut(rows.first, head.gain, head.shift, active)
    times(active, across, rows.last)
    if normal:
        _measure(rows.last, head.bias.reshape((1, -1)), 0, count, mean, rows.last_factor)
        _normalise(rows.last, mean, rows.last_factor, head.last_gain, head.last_shift, last_active)
    else:
        _cut(rows.last, head.last_gain, head.last_shift, last_active)
    _finish(head, last_active, out)


@routine
def score(head: Head, across: Any, s: Scratch, normal: bool, more: Any, start: int, each: int, out: Any) -> None:
    """The outputs of a head for rows in ``s.rows.first``, which become others, and what ``_measure`` adds to them."""
    count = len(out)
    first, last, mean, factor = s.rows.first[:count], s.rows.last[:count], s.mean[:count], s.rows.first_factor[:count]
    if normal:
        _measure(first, more, start, each, mean, factor)
    else:
        mean[:], factor[:] = np.float32(0.0), np.float32(1.0)
        for i in range(count):
            for j in range(first.shape[1]):
                first[i, j] += more[(start + i) // each, j]
    _replace(first, mean, factor, head.gain, head.shift)
    times(first, across, last)
    if normal:
        _measure(last, head.bias.reshape((1, -1)), 0, count, mean, factor)
    _replace(last, mean, factor, head.last_gain, head.last_shift)
    _finish(head, last, out)


@summed
def _uncut(given: Any, rows: Any, active: Any, normal: bool, factor: Any, gain: Any, gain_sum: Any,
           shift_sum: Any) -> None:
    """From the gradient of what ``_cut`` gave to that of what came before, in place; norms' own are added up."""
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
                given[i, j] = factor[i] * (given[i, j] - total - rows[i, j] * along)


@routine
def recall(head: Head, s: Scratch, rows: Rows) -> None:
    """Work out again what ``through`` left in ``s`` for ``back``, since other blocks came in between."""
    _cut(rows.first, head.gain, head.shift, s.active[:len(rows.first)])
    _cut(rows.last, head.last_gain, head.last_shift, s.last_active[:len(rows.last)])


@routine
def back(head: Head, sums: Head, s: Scratch, normal: bool, given: Any, rows: Rows) -> None:
    """Add a block's gradients to ``sums``, from those of its outputs; write those of its rows into ``s.rows.first``."""
    before, after, last_weight = s.rows.first[:len(given)], s.rows.last[:len(given)], s.last_weight[:given.shape[1]]
    active, last_active = s.active[:len(given)], s.last_active[:len(given)]
    across_times(given, last_active, last_weight)
    add(sums.last_weight, last_weight)
    add_up(given, sums.last_bias)
    times(given, head.last_weight, after)
    _uncut(after, rows.last, last_active, normal, rows.last_factor, head.last_gain, sums.last_gain, sums.last_shift)
    if normal:  # else the middle layer's bias is the last shift
        add_up(after, sums.bias)
    across_times(after, active, s.weight)
    add(sums.weight, s.weight)
    times(after, head.weight, before)
    _uncut(before, rows.first, active, normal, rows.first_factor, head.gain, sums.gain, sums.shift)


@whole
def repeated(a: Any, b: Any, out: Any, count: int) -> None:
    """A product some times, for studies of what products cost alone."""
    for _ in range(count):
        times(a, b, out)
