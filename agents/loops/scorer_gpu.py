"""What ``OptionScorer`` computes, and its gradient, as Triton kernels for a GPU.

Torch's code in ``networks`` is the reference; layouts of weights and tables are those of ``scorer_loop``. A program
takes a block of rows through all layers of a head. Only inputs and values go through the GPU's memory, where torch
writes and reads each hidden layer six times. The gradient's kernel computes hidden layers again, adds up what its
blocks give, and all programs' sums are added up in a fixed order.
"""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from interplay.agents.loops.head_gpu import (
    back_through,
    context_of,
    first_of_option,
    mean_option,
    middle_layer,
    normalised,
    padded_rows,
    product,
    through,
)
from interplay.agents.loops.scorer import Form
from interplay.envs.kernels.noise_gpu import kernel as _specialised

kernel = partial(_specialised, unspecialised=("rows", "each", "levels", "outputs"))
_FEWEST = 16  # columns of a product
_ROWS, _ROWS_BACK = 64, 32  # of a program: the first is the fewest for which weights need no registers
_GROUPS = 8  # programs that share the options of some rows, at most: each looks at all options for their mean
_WIDEST_AHEAD = 64  # columns from which nothing is loaded ahead
_PROGRAMS = 132  # of a gradient and a head, at most: each gives a row of sums


@kernel
def _scores(own, offered, flat, out, rows, weights, features, width, hidden, each, outputs, count: tl.constexpr,
            group: tl.constexpr, normal: tl.constexpr, height: tl.constexpr, wide: tl.constexpr, own_wide: tl.constexpr,
            option_wide: tl.constexpr, output_wide: tl.constexpr):
    copy = tl.program_id(2).to(tl.int64)
    own, offered, flat = own + copy * rows * features, offered + copy * rows * count * width, flat + copy * weights
    size = outputs + count * each
    out += copy * rows * size
    place = tl.program_id(0).to(tl.int64) * height + tl.arange(0, height)
    there = place < rows
    column, output = tl.arange(0, wide), tl.arange(0, output_wide)
    own_column, option_column = tl.arange(0, own_wide), tl.arange(0, option_wide)
    mean = mean_option(offered, place, there, width, option_column, count)
    context = context_of(padded_rows(own, place, there, features, own_column), mean, flat, hidden, features, width,
                       own_column, option_column, column)
    head = flat + hidden * (features + 2 * width + 3)
    if tl.program_id(1) == 0:
        norms = 4 * hidden if normal else 0
        nothing = head + norms + (hidden + each) * (hidden + 1)
        value = through(context, nothing, hidden, outputs, column, output, normal)
        tl.store(out + place[:, None] * size + output[None, :], value,
                 mask=there[:, None] & (output < outputs)[None, :])
    else:
        for number in range(group):
            m = (tl.program_id(1) - 1) * group + number
            here = there & (m < count)
            first, _ = first_of_option(offered, place * count + m, here, width, flat, hidden, features, option_column,
                                       column)
            value = through(first + context, head, hidden, each, column, output, normal)
            tl.store(out + place[:, None] * size + (outputs + m * each + output)[None, :], value,
                     mask=here[:, None] & (output < each)[None, :])


@kernel
def _rows_of(own, offered, action, flat, place, rows, features, width, hidden, levels, chooses, own_column,
             option_column, column, count: tl.constexpr):
    """Rows whose action a head has: which; the level; first layers; and what they were made of."""
    there = place < rows
    done = tl.load(action + place, mask=there, other=0)
    mine = there & ((done > 0) == chooses)
    own = padded_rows(own, place, mine, features, own_column)
    mean = mean_option(offered, place, mine, width, option_column, count)
    first = context_of(own, mean, flat, hidden, features, width, own_column, option_column, column)
    number = tl.maximum(done - 1, 0)
    more, option = first_of_option(offered, place * count + number // levels, mine & chooses, width, flat, hidden,
                           features, option_column, column)
    return mine, number % levels, first + more, own, mean, option


@kernel
def _head_of(flat, chooses, features, width, hidden, levels, outputs, normal: tl.constexpr):
    """Where the weights of a head begin: that of options, or of doing nothing; and its number of outputs."""
    head, each = flat + hidden * (features + 2 * width + 3), levels * outputs
    if not chooses:
        head += (4 * hidden if normal else 0) + (hidden + each) * (hidden + 1)
        each = outputs
    return head, each


@kernel
def _taken(own, offered, action, flat, out, rows, weights, features, width, hidden, levels, outputs,
           count: tl.constexpr, normal: tl.constexpr, height: tl.constexpr, wide: tl.constexpr, own_wide: tl.constexpr,
           option_wide: tl.constexpr, output_wide: tl.constexpr):
    copy, chooses = tl.program_id(2).to(tl.int64), tl.program_id(1) == 1
    own, offered, flat = own + copy * rows * features, offered + copy * rows * count * width, flat + copy * weights
    action, out = action + copy * rows, out + copy * rows * outputs
    place = tl.program_id(0).to(tl.int64) * height + tl.arange(0, height)
    column, output = tl.arange(0, wide), tl.arange(0, output_wide)
    mine, level, first, _, _, _ = _rows_of(own, offered, action, flat, place, rows, features, width, hidden, levels,
                                           chooses, tl.arange(0, own_wide), tl.arange(0, option_wide), column, count)
    head, each = _head_of(flat, chooses, features, width, hidden, levels, outputs, normal)
    value = through(first, head, hidden, each, column, output, normal)
    at = level[:, None] * outputs
    here = mine[:, None] & (output[None, :] >= at) & (output[None, :] < at + outputs)
    tl.store(out + place[:, None] * outputs + output[None, :] - at, value, mask=here)


@kernel
def _put(start, table, inputs, outputs, row, column):
    """Write the gradient of a layer's weights ``[outputs, inputs]``, given transposed."""
    here = (row < inputs)[:, None] & (column < outputs)[None, :]
    tl.store(start + column[None, :] * inputs + row[:, None], table, mask=here)


@kernel
def _put_firsts(out, own_sum, mean_sum, option_sum, bias_sum, chooses, features, width, hidden, own_column,
                option_column, column):
    """Write the gradients of first layers; gives where those of a head begin."""
    here = column < hidden
    _put(out, own_sum, features, hidden, own_column, column)
    out += hidden * features
    tl.store(out + column, bias_sum, mask=here)
    out += hidden
    _put(out, option_sum, width, hidden, option_column, column)
    out += hidden * width
    tl.store(out + column, tl.where(chooses, bias_sum, 0.0), mask=here)
    out += hidden
    _put(out, mean_sum, width, hidden, option_column, column)
    out += hidden * width
    tl.store(out + column, bias_sum, mask=here)
    return out + hidden


@kernel
def _put_layer(out, gain, shift, weight, bias, inputs, outputs, row, column, normal: tl.constexpr):
    """Write the gradients of a norm, if there is one, and of the layer behind it; gives where the next begin."""
    if normal:
        tl.store(out + row, gain, mask=row < inputs)
        tl.store(out + inputs + row, shift, mask=row < inputs)
        out += 2 * inputs
    _put(out, weight, inputs, outputs, row, column)
    out += inputs * outputs
    tl.store(out + column, bias, mask=column < outputs)
    return out + outputs


@kernel
def _back(first, wanted, head, hidden, each, column, output, normal: tl.constexpr):
    """Gradients of a head for a block: of its input rows, and the sums over rows of those of all its weights."""
    norm = 2 * hidden if normal else 0
    after = head + norm + hidden * (hidden + 1)
    active, unit, factor = normalised(first, head, hidden, column, normal)
    last = middle_layer(active, head + norm, hidden, column, column)
    last_active, last_unit, last_factor = normalised(last, after, hidden, column, normal)
    end = product(tl.trans(last_active), wanted)
    back = product(wanted, padded_rows(after + norm, output, output < each, hidden, column))
    back, last_gain, last_shift = back_through(back, last_unit, last_factor, last_active, after, hidden, column, normal)
    middle, middle_bias = product(tl.trans(active), back), tl.sum(back, axis=0)
    back = product(back, padded_rows(head + norm, column, column < hidden, hidden, column))
    back, gain, shift = back_through(back, unit, factor, active, head, hidden, column, normal)
    return back, gain, shift, middle, middle_bias, last_gain, last_shift, end, tl.sum(wanted, axis=0)


@kernel
def _gradients(given, own, offered, action, flat, out, rows, weights, features, width, hidden, levels, outputs, sums,
               count: tl.constexpr, tiles: tl.constexpr, normal: tl.constexpr, height: tl.constexpr,
               wide: tl.constexpr, own_wide: tl.constexpr, option_wide: tl.constexpr, output_wide: tl.constexpr):
    copy, chooses, programs = tl.program_id(2).to(tl.int64), tl.program_id(1) == 1, tl.num_programs(0)
    own, offered, flat = own + copy * rows * features, offered + copy * rows * count * width, flat + copy * weights
    action, given = action + copy * rows, given + copy * rows * outputs
    column, output = tl.arange(0, wide), tl.arange(0, output_wide)
    own_column, option_column = tl.arange(0, own_wide), tl.arange(0, option_wide)
    head, each = _head_of(flat, chooses, features, width, hidden, levels, outputs, normal)
    own_sum, mean_sum = tl.zeros((own_wide, wide), tl.float32), tl.zeros((option_wide, wide), tl.float32)
    option_sum, bias_sum = tl.zeros((option_wide, wide), tl.float32), tl.zeros((wide,), tl.float32)
    gain, shift, middle_bias = bias_sum, bias_sum, bias_sum
    last_gain, last_shift, middle = bias_sum, bias_sum, tl.zeros((wide, wide), tl.float32)
    end, end_bias = tl.zeros((wide, output_wide), tl.float32), tl.zeros((output_wide,), tl.float32)
    for tile in range(tiles):
        place = ((tl.program_id(0) + tile * programs) * height + tl.arange(0, height)).to(tl.int64)
        mine, level, first, agents, mean, option = _rows_of(own, offered, action, flat, place, rows, features, width,
                                                            hidden, levels, chooses, own_column, option_column, column,
                                                            count)
        at = level[:, None] * outputs
        here = mine[:, None] & (output[None, :] >= at) & (output[None, :] < at + outputs)
        wanted = tl.load(given + place[:, None] * outputs + output[None, :] - at, mask=here, other=0.0)
        (back, a_gain, a_shift, a_middle, a_middle_bias, a_last_gain, a_last_shift, an_end,
         an_end_bias) = _back(first, wanted, head, hidden, each, column, output, normal)
        gain, shift, end, end_bias = gain + a_gain, shift + a_shift, end + an_end, end_bias + an_end_bias
        middle, middle_bias = middle + a_middle, middle_bias + a_middle_bias
        last_gain, last_shift = last_gain + a_last_gain, last_shift + a_last_shift
        own_sum += product(tl.trans(agents), back)
        mean_sum += product(tl.trans(mean), back)
        option_sum += product(tl.trans(option), back)
        bias_sum += tl.sum(back, axis=0)
    out += ((copy * 2 + tl.program_id(1)) * programs + tl.program_id(0)) * sums
    out = _put_firsts(out, own_sum, mean_sum, option_sum, bias_sum, chooses, features, width, hidden, own_column,
                      option_column, column)
    out = _put_layer(out, gain, shift, middle, middle_bias, hidden, hidden, column, column, normal)
    _put_layer(out, last_gain, last_shift, end, end_bias, hidden, each, column, output, normal)


def scores(form: Form, flat: Tensor, own: Tensor, options: Tensor) -> Tensor:
    """Values of all actions: float32 ``[S, R, (1 + M * L) * Z]`` of S copies with R rows each."""
    copies, rows, count, width = options.shape
    each = form.levels * form.outputs
    out = flat.new_empty(copies, rows, form.outputs + count * each)
    if out.numel() > 0:
        group = triton.cdiv(count, _GROUPS)
        with torch.cuda.device_of(out):
            _scores[(triton.cdiv(rows, _ROWS), 1 + triton.cdiv(count, group), copies)](
                own, options, flat, out, rows, flat.shape[1], own.shape[2], width, form.hidden, each, form.outputs,
                count=count, group=group, **_sizes(form, own.shape[2], width, _ROWS))
    return out


def taken(form: Form, flat: Tensor, own: Tensor, options: Tensor, action: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Values of one action of each row: float32 ``[S, R, Z]``, and what ``gradients`` needs."""
    copies, rows, count, width = options.shape
    out = flat.new_empty(copies, rows, form.outputs)
    if out.numel() > 0:
        with torch.cuda.device_of(out):
            _taken[(triton.cdiv(rows, _ROWS), 2, copies)](
                own, options, action, flat, out, rows, flat.shape[1], own.shape[2], width, form.hidden, form.levels,
                form.outputs, count=count, **_sizes(form, own.shape[2], width, _ROWS))
    return out, (own, options, action)


def gradients(form: Form, flat: Tensor, given: Tensor, own: Tensor, options: Tensor, action: Tensor) -> Tensor:
    """The gradient of all weights, ``[S, P]``, from that of values ``given [S, R, Z]``."""
    copies, rows, count, width = options.shape
    if given.numel() == 0:
        return torch.zeros_like(flat)
    features, hidden, each = own.shape[2], form.hidden, form.levels * form.outputs
    firsts, norms = hidden * (features + 2 * width + 3), 4 * hidden if form.normal else 0
    of_nothing, of_option = (norms + (hidden + outputs) * (hidden + 1) for outputs in (form.outputs, each))
    tiles = triton.cdiv(rows, _ROWS_BACK)
    programs = min(tiles, max(1, _PROGRAMS // copies))
    sums = flat.new_empty(copies, 2, programs, firsts + of_option)
    with torch.cuda.device_of(flat):
        _gradients[(programs, 2, copies)](
            given, own, options, action, flat, sums, rows, flat.shape[1], features, width, hidden, form.levels,
            form.outputs, sums.shape[3], count=count, tiles=triton.cdiv(tiles, programs),
            **_sizes(form, features, width, _ROWS_BACK), num_warps=8)
    nothing, option = sums.sum(2).unbind(1)
    return torch.cat([nothing[:, :firsts] + option[:, :firsts], option[:, firsts:],
                      nothing[:, firsts:firsts + of_nothing]], dim=1)


def _sizes(form: Form, features: int, width: int, rows: int) -> dict[str, int | bool]:
    """Numbers of rows and columns that programs hold, which are powers of 2."""
    def padded(size: int) -> int:
        return max(_FEWEST, int(triton.next_power_of_2(size)))

    sizes = {"own_wide": padded(features), "option_wide": padded(width),
             "output_wide": padded(form.levels * form.outputs)}
    # What is loaded ahead of a loop takes shared memory, of which not all chips have enough for wide tables.
    return {"normal": form.normal, "height": rows, "wide": padded(form.hidden), **sizes,
            "num_stages": 3 if max(sizes.values()) < _WIDEST_AHEAD else 1}
