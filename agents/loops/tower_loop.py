"""Towers, and critics on them, for a block of rows, and back, as loops that numba compiles for a CPU.

A tower is three linear layers, of which two are cut below zero: see ``parts/towers.py``. As in ``head_loop``, a block
of rows stays in a core's own cache, and its products have at most 64^3 multiplications, for which OpenBLAS starts no
threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.head_loop import PRODUCT, add_product, add_up, times
from interplay.envs.kernels.jit import routine, summed

_ROWS, _CACHED = 128, 512


class Tower(NamedTuple):
    """The parameters of a tower, or their gradients: weights ``[outputs, inputs]`` and biases."""

    first: Any
    first_bias: Any
    middle: Any
    middle_bias: Any
    last: Any
    last_bias: Any


class Across(NamedTuple):
    """The weights of a tower, transposed, so that products read them row by row."""

    first: Any
    middle: Any


class Critic(NamedTuple):
    """The parameters of a critic, or their gradients."""

    agent: Tower
    value: Any
    bias: Any


class Line(NamedTuple):
    """What makes values ``slope . h + bias`` of a critic's second layer h, or its gradient: ``[hidden]`` and ``[1]``.

    Nothing cuts what the tower's last layer gives, so that it and the critic's weights are multiplied out once.
    """

    slope: Any
    bias: Any


class Layers(NamedTuple):
    """What a block has in each layer, ``[n, width]``: its inputs, and hidden layers after the cut."""

    inputs: Any
    first: Any
    second: Any


@routine
def rows_at_once(hidden: int, widest: int) -> int:
    """How many rows a product has, where towers read so many inputs at most."""
    return max(1, min(_ROWS, PRODUCT // (hidden * max(hidden, widest))))


@routine
def block_size(at_once: int, options: int) -> int:
    """How many rows a block has, of which each has so many options."""
    return max(1, min(at_once, _CACHED // max(1, options)))


@routine
def tower_of(flat: Any, at: int, inputs: int, hidden: int) -> Tower:
    """The tower whose parameters start there."""
    first, at = flat[at:at + hidden * inputs].reshape((hidden, inputs)), at + hidden * inputs
    first_bias, at = flat[at:at + hidden], at + hidden
    middle, at = flat[at:at + hidden * hidden].reshape((hidden, hidden)), at + hidden * hidden
    middle_bias, at = flat[at:at + hidden], at + hidden
    last, at = flat[at:at + hidden * hidden].reshape((hidden, hidden)), at + hidden * hidden
    return Tower(first, first_bias, middle, middle_bias, last, flat[at:at + hidden])


@routine
def critic_of(flat: Any, starts: Any, features: int, hidden: int) -> Critic:
    """The critic whose parts begin there."""
    at, end = starts[5], starts[5] + hidden
    return Critic(tower_of(flat, starts[4], features, hidden), flat[at:end].reshape((1, hidden)), flat[end:end + 1])


@routine
def across_of(tower: Tower) -> Across:
    """Its weights, transposed."""
    return Across(tower.first.T.copy(), tower.middle.T.copy())


@routine
def layers_of(size: int, inputs: int, hidden: int) -> Layers:
    """Memory for a block."""
    return Layers(np.empty((size, inputs), np.float32), np.empty((size, hidden), np.float32),
                  np.empty((size, hidden), np.float32))


@routine
def part_of(layers: Layers, start: int, stop: int) -> Layers:
    """Some of the rows."""
    return Layers(layers.inputs[start:stop], layers.first[start:stop], layers.second[start:stop])


@routine
def all_in_place(place: Any, count: int) -> bool:
    """Whether these are all of so many columns, in their order."""
    for k in range(len(place)):
        if place[k] != k:
            return False
    return len(place) == count


@routine
def see_rows(features: Any, rows: Any, place: Any, inputs: Any) -> None:
    """The inputs of these rows ``[n, width]``: the columns at ``place``, 0 where it is -1."""
    as_it_is = all_in_place(place, features.shape[1])
    for i in range(len(rows)):
        seen, found = features[rows[i]], inputs[i]
        if as_it_is:
            for k in range(len(found)):
                found[k] = seen[k]
        else:
            for k in range(len(place)):
                found[k] = seen[place[k]] if place[k] >= 0 else np.float32(0.0)


@routine
def cut(rows: Any, bias: Any) -> None:
    """Add the bias and cut below zero; NaN stays."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = rows[i, j] + bias[j]
            rows[i, j] = np.float32(0.0) if value < np.float32(0.0) else value


@routine
def uncut(given: Any, rows: Any, bias_sum: Any) -> None:
    """The gradient before the cut, in place, from that of what it gave; the bias's is added up."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            given[i, j] = given[i, j] if rows[i, j] > np.float32(0.0) else np.float32(0.0)
    add_up(given, bias_sum)


@summed
def dot(one: Any, other: Any) -> Any:
    """The product of two rows."""
    total = np.float32(0.0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@routine
def hide(tower: Tower, across: Across, layers: Layers) -> None:
    """Both hidden layers, from the inputs."""
    times(layers.inputs, across.first, layers.first)
    cut(layers.first, tower.first_bias)
    times(layers.first, across.middle, layers.second)
    cut(layers.second, tower.middle_bias)


@routine
def unhide(tower: Tower, sums: Tower, layers: Layers, given: Any, scratch: Any) -> None:
    """Add gradients of both hidden layers' parameters to ``sums``, from that of the second, which changes."""
    before = scratch[:len(given)]
    uncut(given, layers.second, sums.middle_bias)
    add_product(given, layers.first, sums.middle)
    times(given, tower.middle, before)
    uncut(before, layers.first, sums.first_bias)
    add_product(before, layers.inputs, sums.first)


@routine
def line_of(critic: Critic) -> Line:
    """Work it out from the critic's last two layers."""
    value, tower = critic.value[0], critic.agent
    slope, bias = np.zeros(len(value), np.float32), critic.bias.copy()
    for j in range(len(value)):
        bias[0] += value[j] * tower.last_bias[j]
        for k in range(len(slope)):
            slope[k] += value[j] * tower.last[j, k]
    return Line(slope, bias)


@routine
def back_to_layers(critic: Critic, sums: Critic, line: Line) -> None:
    """The reverse of ``line_of``: add to ``sums`` what follows from the gradient ``line``."""
    value, tower = critic.value[0], critic.agent
    sums.bias[0] += line.bias[0]
    for j in range(len(value)):
        sums.value[0, j] += dot(tower.last[j], line.slope) + tower.last_bias[j] * line.bias[0]
        sums.agent.last_bias[j] += value[j] * line.bias[0]
        for k in range(len(value)):
            sums.agent.last[j, k] += value[j] * line.slope[k]


@routine
def value_block(tower: Tower, across: Across, line: Line, layers: Layers, out: Any) -> None:
    """Values of a block, from its inputs."""
    hide(tower, across, layers)
    for i in range(len(layers.second)):
        out[i] = dot(layers.second[i], line.slope) + line.bias[0]


@routine
def back_to_critic(tower: Tower, sums: Tower, line: Line, line_sums: Line, layers: Layers, scratch: Any, more: Any,
                   given: Any) -> None:
    """Gradients of a critic's hidden layers and of its line, from those of a block's values; ``more`` is memory."""
    after = more[:len(given)]
    for i in range(len(given)):
        line_sums.bias[0] += given[i]
        for j in range(len(line.slope)):
            line_sums.slope[j] += given[i] * layers.second[i, j]
            after[i, j] = given[i] * line.slope[j]
    unhide(tower, sums, layers, after, scratch)
