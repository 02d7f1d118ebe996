"""The layers of ``OptionScorer`` for a block of rows in a GPU's registers, as parts of Triton kernels.

Tables have as many columns as powers of 2 hold; those beyond a layer's are 0. Products are made of three of TF32, so
that they round nearly as float32 does.
"""

from __future__ import annotations

import triton.language as tl

from interplay.envs.kernels.noise_gpu import kernel


@kernel
def product(one, two):
    """Of two tables, nearly as in float32."""
    return tl.dot(one, two, input_precision="tf32x3")


@kernel
def padded_rows(start, place, there, size, column):
    """Rows of a table with ``size`` columns, and zeros."""
    here = there[:, None] & (column < size)[None, :]
    return tl.load(start + place[:, None] * size + column[None, :], mask=here, other=0.0)


@kernel
def across(start, inputs, outputs, row, column):
    """The weights of a layer ``[outputs, inputs]``, transposed."""
    here = (row < inputs)[:, None] & (column < outputs)[None, :]
    return tl.load(start + column[None, :] * inputs + row[:, None], mask=here, other=0.0)


@kernel
def line(start, size, column):
    """``size`` numbers, and zeros."""
    return tl.load(start + column, mask=column < size, other=0.0)


@kernel
def context_of(own, mean, flat, hidden, features, width, own_column, option_column, column):
    """What is the same for all options of an agent: first layers of it and of the mean option."""
    around = flat + hidden * (features + width + 2)
    bias = line(flat + hidden * features, hidden, column) + line(around + hidden * width, hidden, column)
    return (product(own, across(flat, features, hidden, own_column, column))
            + product(mean, across(around, width, hidden, option_column, column)) + bias[None, :])


@kernel
def mean_option(offered, place, there, width, option_column, count: tl.constexpr):
    """The mean option of each row."""
    total = padded_rows(offered, place * count, there, width, option_column)
    for m in range(1, count):
        total += padded_rows(offered + m * width, place * count, there, width, option_column)
    return total / count


@kernel
def first_of_option(offered, place, there, width, flat, hidden, features, option_column, column):
    """The first layer of one option of each row, which ``place`` counts among all options, and the option."""
    layer = flat + hidden * (features + 1)
    option = padded_rows(offered, place, there, width, option_column)
    bias = tl.where(there[:, None], line(layer + hidden * width, hidden, column)[None, :], 0.0)
    return product(option, across(layer, width, hidden, option_column, column)) + bias, option


@kernel
def normalised(rows, start, hidden, column, normal: tl.constexpr):
    """Rows cut at zero after their layer norm, if there is one; as they were before its gain; and its factors."""
    unit, factor, out = rows, tl.sum(rows, axis=1) * 0.0 + 1.0, rows
    if normal:
        here = (column < hidden)[None, :]
        centred = tl.where(here, rows - (tl.sum(rows, axis=1) / hidden)[:, None], 0.0)
        factor = 1.0 / tl.sqrt_rn(tl.sum(centred * centred, axis=1) / hidden + 1e-5)
        unit = centred * factor[:, None]
        out = (unit * line(start, hidden, column)[None, :] + line(start + hidden, hidden, column)[None, :])
    return tl.maximum(out, 0.0), unit, factor


@kernel
def middle_layer(active, start, hidden, column, inner):
    """The layer between a head's norms, whose weights start there."""
    bias = line(start + hidden * hidden, hidden, column)
    return product(active, across(start, hidden, hidden, inner, column)) + bias[None, :]


@kernel
def last_layer(active, start, hidden, outputs, inner, output):
    """The outputs of a head, whose last layer's weights start there."""
    bias = line(start + hidden * outputs, outputs, output)
    return product(active, across(start, hidden, outputs, inner, output)) + bias[None, :]


@kernel
def through(first, head, hidden, outputs, column, output, normal: tl.constexpr):
    """The outputs of a head for a block of rows."""
    norm = 2 * hidden if normal else 0
    active, _, _ = normalised(first, head, hidden, column, normal)
    last = middle_layer(active, head + norm, hidden, column, column)
    after = head + norm + hidden * (hidden + 1)
    active, _, _ = normalised(last, after, hidden, column, normal)
    return last_layer(active, after + norm, hidden, outputs, column, output)


@kernel
def back_through(given, unit, factor, active, start, hidden, column, normal: tl.constexpr):
    """The gradient before a cut and its norm; and the sums over rows of those of the norm's gain and shift."""
    given = tl.where(active > 0.0, given, 0.0)
    gain_sum, shift_sum, out = tl.sum(given * unit, axis=0), tl.sum(given, axis=0), given
    if normal:
        scaled = given * line(start, hidden, column)[None, :]
        along = (tl.sum(scaled * unit, axis=1) / hidden)[:, None]
        mean = (tl.sum(scaled, axis=1) / hidden)[:, None]
        out = tl.where((column < hidden)[None, :], (scaled - mean - unit * along) * factor[:, None], 0.0)
    return out, gain_sum, shift_sum
