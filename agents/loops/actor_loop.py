"""What the actor and the critic of ``ippo`` compute, and back, as loops that numba compiles for a CPU.

Torch's code in ``towers`` and ``ippo`` is the reference.

**Layout.** All weights of a network are one array; ``starts`` says where in it an agent's tower, an option's tower,
weights and biases of the levels, those of doing nothing, the critic's tower and its last layer begin. Gradients have
the same layout. A first axis counts copies, which seeds stack.

**Products.** The score of an option is ``W . (u * i) + b`` with ``i = V h + c``, h its tower's second layer. The loops
take it as ``h . (V' (W * u)) + ...``: one product with V for an agent and a level, not one for each option.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.head_loop import times
from interplay.agents.loops.tower_loop import (
    Across,
    Layers,
    Scratch,
    Tower,
    across_of,
    add_product,
    all_in_place,
    back,
    block_size,
    end,
    hide,
    layers_of,
    see_columns,
    some_of,
    tower_of,
    unhide,
)
from interplay.envs.kernels.jit import routine, summed, whole


class Actor(NamedTuple):
    """The parameters of an actor, or their gradients: weights are ``level [L, hidden]`` and ``nothing [1, hidden]``."""

    agent: Tower
    option: Tower
    level: Any
    level_bias: Any
    nothing: Any
    nothing_bias: Any


class Critic(NamedTuple):
    """The parameters of a critic, or their gradients."""

    agent: Tower
    value: Any
    bias: Any


class Acting(NamedTuple):
    """What a block has in an actor.

    Attributes:
        agent: layers of the agents' tower.
        options: those of their options, one after the other ``[M, n, ...]``.
        vector: u ``[n, hidden]``.
        weighted, along: of each level W * u and V' (W * u) ``[L, n, hidden]``.
        constant: of each level c . (W * u) + b ``[L, n]``.
        scores: ``[n, 1 + M * L]``; afterwards their gradient.
        given, more: gradients of ``vector`` and ``along``.
    """

    agent: Layers
    options: Layers
    vector: Any
    weighted: Any
    along: Any
    constant: Any
    scores: Any
    given: Any
    more: Any


@routine
def actor_of(flat: Any, starts: Any, features: int, width: int, hidden: int, levels: int) -> Actor:
    """The actor whose parts begin there."""
    at, end = starts[2], starts[2] + levels * hidden
    nothing = starts[3] + hidden
    return Actor(tower_of(flat, starts[0], features, hidden), tower_of(flat, starts[1], width, hidden),
                 flat[at:end].reshape((levels, hidden)), flat[end:end + levels],
                 flat[starts[3]:nothing].reshape((1, hidden)), flat[nothing:nothing + 1])


@routine
def critic_of(flat: Any, starts: Any, features: int, hidden: int) -> Critic:
    """The critic whose parts begin there."""
    at, end = starts[5], starts[5] + hidden
    return Critic(tower_of(flat, starts[4], features, hidden), flat[at:end].reshape((1, hidden)), flat[end:end + 1])


@routine
def acting_of(size: int, features: int, width: int, hidden: int, levels: int, options: int) -> Acting:
    """Memory for a block."""
    rows, pairs, each = (size, hidden), (options, size, hidden), (levels, size, hidden)
    return Acting(layers_of(size, features, hidden),
                  Layers(np.empty((options, size, width), np.float32), np.empty(pairs, np.float32),
                         np.empty(pairs, np.float32)),
                  np.empty(rows, np.float32), np.empty(each, np.float32), np.empty(each, np.float32),
                  np.empty((levels, size), np.float32), np.empty((size, 1 + options * levels), np.float32),
                  np.empty(rows, np.float32), np.empty(each, np.float32))


@routine
def _option(layers: Layers, m: int, count: int) -> Layers:
    """The layers of one option of each agent."""
    return Layers(layers.inputs[m, :count], layers.first[m, :count], layers.second[m, :count])


@summed
def _dot(one: Any, other: Any) -> Any:
    total = np.float32(0.0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@routine
def see_block(own: Any, options: Any, rows: Any, agent_place: Any, option_place: Any, a: Acting) -> None:
    """The inputs of a block, which has these rows."""
    agent_as_is = all_in_place(agent_place, own.shape[1])
    option_as_is = all_in_place(option_place, options.shape[2])
    for i in range(len(rows)):
        see_columns(own[rows[i]], agent_place, agent_as_is, a.agent.inputs[i])
        for m in range(options.shape[1]):
            see_columns(options[rows[i], m], option_place, option_as_is, a.options.inputs[m, i])


@routine
def score_block(actor: Actor, agent_across: Across, option_across: Across, a: Acting, count: int) -> None:
    """The scores of a block of so many agents, from its inputs."""
    agent, vector, levels = some_of(a.agent, count), a.vector[:count], len(actor.level)
    hide(actor.agent, agent_across, agent)
    end(actor.agent, agent_across, agent, vector)
    for i in range(count):
        a.scores[i, 0] = _dot(vector[i], actor.nothing[0]) + actor.nothing_bias[0]
    for level in range(levels):
        weighted = a.weighted[level, :count]
        for i in range(count):
            for j in range(vector.shape[1]):
                weighted[i, j] = vector[i, j] * actor.level[level, j]
            a.constant[level, i] = _dot(weighted[i], actor.option.last_bias) + actor.level_bias[level]
        times(weighted, actor.option.last, a.along[level, :count])
    for m in range(len(a.options.inputs)):
        option = _option(a.options, m, count)
        hide(actor.option, option_across, option)
        for i in range(count):
            for level in range(levels):
                a.scores[i, 1 + m * levels + level] = (_dot(option.second[i], a.along[level, i])
                                                       + a.constant[level, i])


@routine
def back_to_options(actor: Actor, sums: Actor, a: Acting, s: Scratch, count: int) -> None:
    """Gradients of the options' hidden layers, and into ``a.more``."""
    levels, size = len(actor.level), a.vector.shape[1]
    a.more[:] = np.float32(0.0)
    for m in range(len(a.options.inputs)):
        option, given = _option(a.options, m, count), s.after[:count]
        given[:] = np.float32(0.0)
        for i in range(count):
            for level in range(levels):
                share, along, more = a.scores[i, 1 + m * levels + level], a.along[level, i], a.more[level, i]
                for j in range(size):
                    given[i, j] += share * along[j]
                    more[j] += share * option.second[i, j]
        unhide(actor.option, sums.option, option, s, given)


@routine
def back_to_agents(actor: Actor, sums: Actor, option_across: Across, a: Acting, s: Scratch, count: int) -> None:
    """Gradients of all else, from ``a.more``."""
    levels, size, vector, given = len(actor.level), a.vector.shape[1], a.vector, a.given[:count]
    for i in range(count):
        share = a.scores[i, 0]
        sums.nothing_bias[0] += share
        for j in range(size):
            given[i, j] = share * actor.nothing[0, j]
            sums.nothing[0, j] += share * vector[i, j]
    for level in range(levels):
        weighted, more, found = a.weighted[level, :count], a.more[level, :count], s.after[:count]
        add_product(weighted, more, s, sums.option.last)
        times(more, option_across.last, found)
        for i in range(count):
            share = np.float32(0.0)
            for at in range(1 + level, a.scores.shape[1], levels):
                share += a.scores[i, at]
            sums.level_bias[level] += share
            for j in range(size):
                sums.option.last_bias[j] += share * weighted[i, j]
                each = found[i, j] + share * actor.option.last_bias[j]
                sums.level[level, j] += each * vector[i, j]
                given[i, j] += each * actor.level[level, j]
    back(actor.agent, sums.agent, some_of(a.agent, count), s, given)


@routine
def value_block(critic: Critic, across: Across, layers: Layers, vector: Any, out: Any) -> None:
    """Values of a block, from its inputs."""
    hide(critic.agent, across, layers)
    end(critic.agent, across, layers, vector)
    for i in range(len(vector)):
        for j in range(vector.shape[1]):
            vector[i, j] = np.float32(0.0) if vector[i, j] < np.float32(0.0) else vector[i, j]
        out[i] = _dot(vector[i], critic.value[0]) + critic.bias[0]


@routine
def back_to_critic(critic: Critic, sums: Critic, layers: Layers, vector: Any, s: Scratch, given: Any) -> None:
    """Gradients of a critic, from those of a block's values; ``vector`` changes."""
    for i in range(len(vector)):
        sums.bias[0] += given[i]
        for j in range(vector.shape[1]):
            active = vector[i, j]
            sums.value[0, j] += given[i] * active
            vector[i, j] = given[i] * critic.value[0, j] if active > np.float32(0.0) else np.float32(0.0)
    back(critic.agent, sums.agent, layers, s, vector)


@whole
def scores(own: Any, options: Any, weights: Any, starts: Any, agent_place: Any, option_place: Any, hidden: int,
           levels: int, out: Any) -> None:
    """Scores of all actions: ``out [S, R, 1 + M * L]``, of S copies with R rows each."""
    count, features, width = options.shape[2], len(agent_place), len(option_place)
    size = block_size(hidden, max(features, width), count)
    a, every = acting_of(size, features, width, hidden, levels, count), np.arange(own.shape[1])
    for copy in range(len(weights)):
        actor = actor_of(weights[copy], starts, features, width, hidden, levels)
        agent_across, option_across = across_of(actor.agent), across_of(actor.option)
        for start in range(0, len(every), size):
            rows = every[start:start + size]
            see_block(own[copy], options[copy], rows, agent_place, option_place, a)
            score_block(actor, agent_across, option_across, a, len(rows))
            out[copy, start:start + len(rows)] = a.scores[:len(rows)]


@whole
def values(own: Any, weights: Any, starts: Any, place: Any, hidden: int, out: Any) -> None:
    """Values ``out [S, R]``, of S copies with R rows each."""
    size, as_is = block_size(hidden, len(place), 1), all_in_place(place, own.shape[2])
    layers, vector = layers_of(size, len(place), hidden), np.empty((size, hidden), np.float32)
    for copy in range(len(weights)):
        critic = critic_of(weights[copy], starts, len(place), hidden)
        across = across_of(critic.agent)
        for start in range(0, own.shape[1], size):
            count = min(size, own.shape[1] - start)
            for i in range(count):
                see_columns(own[copy, start + i], place, as_is, layers.inputs[i])
            value_block(critic, across, some_of(layers, count), vector[:count], out[copy, start:start + count])
