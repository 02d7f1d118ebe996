"""What the actor and the critic of ``ippo`` compute, and back, as loops that numba compiles for a CPU.

Torch's code in ``towers`` and ``ippo`` is the reference.

**Layout.** All weights of a network are one array; ``starts`` says where in it an agent's tower, an option's tower,
weights and biases of the levels, those of doing nothing, the critic's tower and its last layer begin. Gradients have
the same layout. A first axis counts copies, which seeds stack.

**Products.** The score of an option is ``W . (u * i) + b``, where both towers end in layers that nothing cuts:
``u = A g + a`` and ``i = C h + c``. So it is ``g . (J h)`` with ``J = A' diag(W) C``, beside what biases add: one product
with J for an agent and a level, in place of one with A, and one with C for each option. J is worked out once for all
rows, and the gradients of A, W and C from that of J. See ``Meeting``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.head_loop import add, add_up, times
from interplay.agents.loops.tower_loop import (
    Across,
    Layers,
    Scratch,
    Tower,
    across_of,
    add_product,
    back,
    block_size,
    end,
    hide,
    layers_of,
    part_of,
    rows_at_once,
    see_rows,
    tower_of,
    unhide,
)
from interplay.envs.kernels.jit import routine, summed, whole

_LOWEST = np.float32(np.finfo(np.float32).min / 4)  # of what the mask forbids: see choosing.log_policy


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


class Meeting(NamedTuple):
    """What makes scores of both towers' second layers, g of an agent and h of an option; or its gradients.

    Of an option they are ``h . (J' g + offset) + slope . g + bias``, of doing nothing ``slope . g + bias``.

    Attributes:
        joint: J of each level ``[L, hidden, hidden]``.
        across: the same, transposed.
        offset: of each level ``[L, hidden]``.
        slope, bias: of doing nothing, then of each level ``[1 + L, hidden]`` and ``[1 + L]``.
    """

    joint: Any
    across: Any
    offset: Any
    slope: Any
    bias: Any


class Acting(NamedTuple):
    """What a block has in an actor.

    Attributes:
        agent: layers of the agents' tower.
        options: those of their options ``[n * M, ...]``.
        along: of each level J' g + offset ``[L, n, hidden]``.
        scores: ``[n, 1 + M * L]``; afterwards their gradient.
        given, more: gradients of g and of ``along``.
    """

    agent: Layers
    options: Layers
    along: Any
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
def meeting_of(hidden: int, levels: int) -> Meeting:
    """Of zeros."""
    pairs = (levels, hidden, hidden)
    return Meeting(np.zeros(pairs, np.float32), np.zeros(pairs, np.float32), np.zeros((levels, hidden), np.float32),
                   np.zeros((1 + levels, hidden), np.float32), np.zeros(1 + levels, np.float32))


@routine
def acting_of(size: int, features: int, width: int, hidden: int, levels: int, options: int) -> Acting:
    """Memory for a block."""
    each = (levels, size, hidden)
    return Acting(layers_of(size, features, hidden), layers_of(size * options, width, hidden),
                  np.empty(each, np.float32), np.empty((size, 1 + options * levels), np.float32),
                  np.empty((size, hidden), np.float32), np.empty(each, np.float32))


@summed
def _dot(one: Any, other: Any) -> Any:
    total = np.float32(0.0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@routine
def _with_bias(weight: Any, bias: Any) -> Any:
    """A layer's parameters as one table ``[outputs, inputs + 1]``."""
    found = np.empty((weight.shape[0], weight.shape[1] + 1), np.float32)
    found[:, :-1] = weight
    found[:, -1] = bias
    return found


@routine
def _times_all(a: Any, b: Any) -> Any:
    """A product of any size, in parts that BLAS starts no threads for."""
    found = np.empty((a.shape[0], b.shape[1]), np.float32)
    size = rows_at_once(a.shape[1], b.shape[1])
    for start in range(0, len(a), size):
        times(a[start:start + size], b, found[start:start + size])
    return found


@routine
def meet(actor: Actor, meeting: Meeting) -> None:
    """Work it out from the towers' last layers and the weights of levels."""
    agent = _with_bias(actor.agent.last, actor.agent.last_bias).T.copy()
    nothing = _times_all(actor.nothing, agent.T.copy())
    meeting.slope[0], meeting.bias[0] = nothing[0, :-1], nothing[0, -1] + actor.nothing_bias[0]
    for level in range(len(actor.level)):
        option = _with_bias(actor.option.last, actor.option.last_bias)
        for j in range(len(option)):
            option[j] *= actor.level[level, j]
        found = _times_all(agent, option)
        meeting.joint[level], meeting.across[level] = found[:-1, :-1], found[:-1, :-1].T
        meeting.offset[level], meeting.slope[1 + level] = found[-1, :-1], found[:-1, -1]
        meeting.bias[1 + level] = found[-1, -1] + actor.level_bias[level]


@routine
def part(actor: Actor, sums: Actor, meeting: Meeting) -> None:
    """The reverse of ``meet``: add to ``sums`` what follows from the gradient ``meeting``."""
    agent = _with_bias(actor.agent.last, actor.agent.last_bias)
    option = _with_bias(actor.option.last, actor.option.last_bias)
    hidden, given = len(option), np.empty((agent.shape[1], agent.shape[1]), np.float32)
    sums.nothing_bias[0] += meeting.bias[0]
    for j in range(hidden):
        sums.nothing[0, j] += _dot(agent[j, :-1], meeting.slope[0]) + agent[j, -1] * meeting.bias[0]
        sums.agent.last_bias[j] += actor.nothing[0, j] * meeting.bias[0]
        for k in range(hidden):
            sums.agent.last[j, k] += actor.nothing[0, j] * meeting.slope[0, k]
    for level in range(len(actor.level)):
        given[:-1, :-1], given[-1, :-1] = meeting.joint[level], meeting.offset[level]
        given[:-1, -1], given[-1, -1] = meeting.slope[1 + level], meeting.bias[1 + level]
        of_agent, of_option = _times_all(option, given.T.copy()), _times_all(agent, given)
        sums.level_bias[level] += meeting.bias[1 + level]
        for j in range(hidden):
            weight = actor.level[level, j]
            sums.level[level, j] += _dot(of_agent[j], agent[j])
            sums.agent.last_bias[j] += weight * of_agent[j, -1]
            sums.option.last_bias[j] += weight * of_option[j, -1]
            for k in range(hidden):
                sums.agent.last[j, k] += weight * of_agent[j, k]
                sums.option.last[j, k] += weight * of_option[j, k]


@routine
def places_of_all(place: Any, width: int, count: int) -> Any:
    """The columns of so many options side by side, each of this width; -1 = zeros."""
    found = np.empty(count * len(place), np.int64)
    for m in range(count):
        for k in range(len(place)):
            found[m * len(place) + k] = m * width + place[k] if place[k] >= 0 else -1
    return found


@routine
def see_block(own: Any, options: Any, rows: Any, agent_place: Any, option_places: Any, a: Acting) -> None:
    """The inputs of a block, which has these rows."""
    see_rows(own, rows, agent_place, a.agent.inputs)
    count, seen = options.shape[1], a.options.inputs
    see_rows(options.reshape((len(options), count * options.shape[2])), rows, option_places,
             seen.reshape((len(seen) // count, count * seen.shape[1])))


@routine
def score_block(actor: Actor, meeting: Meeting, agent_across: Across, option_across: Across, a: Acting, at_once: int,
                count: int) -> None:
    """The scores of a block of so many agents, from its inputs."""
    levels, agent = len(actor.level), part_of(a.agent, 0, count)
    options = count * (a.scores.shape[1] - 1) // levels
    hide(actor.agent, agent_across, agent)
    for start in range(0, options, at_once):
        hide(actor.option, option_across, part_of(a.options, start, min(start + at_once, options)))
    for i in range(count):
        a.scores[i, 0] = _dot(agent.second[i], meeting.slope[0]) + meeting.bias[0]
    for level in range(levels):
        times(agent.second, meeting.joint[level], a.along[level, :count])
        for i in range(count):
            along, constant = a.along[level, i], _dot(agent.second[i], meeting.slope[1 + level])
            for j in range(len(along)):
                along[j] += meeting.offset[level, j]
            for m in range(options // count):
                a.scores[i, 1 + m * levels + level] = (_dot(a.options.second[i * (options // count) + m], along)
                                                       + constant + meeting.bias[1 + level])


@routine
def back_to_options(actor: Actor, sums: Actor, a: Acting, s: Scratch, at_once: int, count: int) -> None:
    """Gradients of the options' hidden layers, and into ``a.more``."""
    levels, each = len(actor.level), (a.scores.shape[1] - 1) // len(actor.level)
    a.more[:] = np.float32(0.0)
    for start in range(0, count * each, at_once):
        options = part_of(a.options, start, min(start + at_once, count * each))
        given = s.after[:len(options.second)]
        given[:] = np.float32(0.0)
        for k in range(len(given)):
            i, m = (start + k) // each, (start + k) % each
            for level in range(levels):
                share, along, more = a.scores[i, 1 + m * levels + level], a.along[level, i], a.more[level, i]
                for j in range(len(along)):
                    given[k, j] += share * along[j]
                    more[j] += share * options.second[k, j]
        unhide(actor.option, sums.option, options, s, given)


@routine
def back_to_agents(actor: Actor, sums: Actor, meeting: Meeting, meeting_sums: Meeting, a: Acting, s: Scratch,
                   count: int) -> None:
    """Gradients of all else but of what ``meeting`` is made of, from ``a.more``."""
    levels, agent, given, found = len(actor.level), part_of(a.agent, 0, count), a.given[:count], s.after[:count]
    given[:] = np.float32(0.0)
    for level in range(levels):
        more = a.more[level, :count]
        add_product(agent.second, more, s, meeting_sums.joint[level])
        add_up(more, meeting_sums.offset[level])
        times(more, meeting.across[level], found)
        add(given, found)
    for i in range(count):
        for level in range(1 + levels):  # of which the first is to do nothing
            share = a.scores[i, level]
            for at in range(level + levels, a.scores.shape[1] if level > 0 else 0, levels):
                share += a.scores[i, at]
            meeting_sums.bias[level] += share
            for j in range(given.shape[1]):
                given[i, j] += share * meeting.slope[level, j]
                meeting_sums.slope[level, j] += share * agent.second[i, j]
    unhide(actor.agent, sums.agent, agent, s, given)


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


@routine
def log_policy(scores: Any, mask: Any, out: Any, chances: Any) -> None:
    """Log-softmax over allowed actions, see ``choosing.log_policy``, and what it is the logarithm of."""
    highest, total = _LOWEST, np.float32(0.0)
    for k in range(len(out)):
        out[k] = scores[k] if mask[k] else _LOWEST
        highest = highest if out[k] <= highest else out[k]
    for k in range(len(out)):
        chances[k] = np.exp(out[k] - highest)
        total += chances[k]
    shift, share = highest + np.log(total), np.float32(1.0) / total
    for k in range(len(out)):
        out[k] -= shift
        chances[k] *= share


@whole
def policies(own: Any, options: Any, mask: Any, weights: Any, starts: Any, agent_place: Any, option_place: Any,
             hidden: int, levels: int, out: Any) -> None:
    """Log-probabilities of all actions: ``out [S, R, 1 + M * L]``, of S copies with R rows each."""
    count, features, width = options.shape[2], len(agent_place), len(option_place)
    at_once = rows_at_once(hidden, max(features, width))
    size, every = block_size(at_once, count), np.arange(own.shape[1])
    a, meeting = acting_of(size, features, width, hidden, levels, count), meeting_of(hidden, levels)
    places, chances = places_of_all(option_place, options.shape[3], count), np.empty(out.shape[2], np.float32)
    for copy in range(len(weights)):
        actor = actor_of(weights[copy], starts, features, width, hidden, levels)
        agent_across, option_across = across_of(actor.agent), across_of(actor.option)
        meet(actor, meeting)
        for start in range(0, len(every), size):
            rows = every[start:start + size]
            see_block(own[copy], options[copy], rows, agent_place, places, a)
            score_block(actor, meeting, agent_across, option_across, a, at_once, len(rows))
            for i in range(len(rows)):
                log_policy(a.scores[i], mask[copy, rows[i]], out[copy, rows[i]], chances)


@whole
def values(own: Any, weights: Any, starts: Any, place: Any, hidden: int, out: Any) -> None:
    """Values ``out [S, R]``, of S copies with R rows each."""
    size, every = rows_at_once(hidden, len(place)), np.arange(own.shape[1])
    layers, vector = layers_of(size, len(place), hidden), np.empty((size, hidden), np.float32)
    for copy in range(len(weights)):
        critic = critic_of(weights[copy], starts, len(place), hidden)
        across = across_of(critic.agent)
        for start in range(0, len(every), size):
            rows = every[start:start + size]
            see_rows(own[copy], rows, place, layers.inputs)
            value_block(critic, across, part_of(layers, 0, len(rows)), vector[:len(rows)],
                        out[copy, start:start + len(rows)])
