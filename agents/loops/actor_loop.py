"""What the actor of ``ippo`` computes, and back, as loops that numba compiles for a CPU.

Torch's code in ``towers`` and ``ippo`` is the reference.

**Layout.** All weights of a network are one array; ``starts`` says where in it an agent's tower, an option's tower,
weights and biases of the levels, those of doing nothing, the critic's tower and its last layer begin. Gradients have
the same layout. A first axis counts copies, which seeds stack.

**Products.** The score of an option is ``W . (u * i) + b``, where both towers end in layers that nothing cuts:
``u = A g + a`` and ``i = C h + c``. So it is ``g . (J h)`` with ``J = A' diag(W) C``, beside what biases add: one
product with J for an agent and a level, in place of one with A, and one with C for each option. J is worked out once
for all rows, and the gradients of A, W and C from that of J. See ``Meeting``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.head_loop import add_product, add_up, times
from interplay.agents.loops.tower_loop import (
    Across,
    Layers,
    Tower,
    dot,
    hide,
    layers_of,
    part_of,
    rows_at_once,
    see_rows,
    tower_of,
    unhide,
)
from interplay.envs.kernels.jit import routine, summed


class Actor(NamedTuple):
    """The parameters of an actor, or their gradients: weights are ``level [L, hidden]`` and ``nothing [1, hidden]``."""

    agent: Tower
    option: Tower
    level: Any
    level_bias: Any
    nothing: Any
    nothing_bias: Any


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
        given, more, each: gradients of g, of ``along`` and of h ``[n * M, hidden]``.
    """

    agent: Layers
    options: Layers
    along: Any
    scores: Any
    given: Any
    more: Any
    each: Any


@routine
def actor_of(flat: Any, starts: Any, features: int, width: int, hidden: int, levels: int) -> Actor:
    """The actor whose parts begin there."""
    at, end = starts[2], starts[2] + levels * hidden
    nothing = starts[3] + hidden
    return Actor(tower_of(flat, starts[0], features, hidden), tower_of(flat, starts[1], width, hidden),
                 flat[at:end].reshape((levels, hidden)), flat[end:end + levels],
                 flat[starts[3]:nothing].reshape((1, hidden)), flat[nothing:nothing + 1])


@routine
def meeting_of(hidden: int, levels: int) -> Meeting:
    """Of zeros."""
    pairs = (levels, hidden, hidden)
    return Meeting(np.zeros(pairs, np.float32), np.zeros(pairs, np.float32), np.zeros((levels, hidden), np.float32),
                   np.zeros((1 + levels, hidden), np.float32), np.zeros(1 + levels, np.float32))


@routine
def acting_of(size: int, features: int, width: int, hidden: int, levels: int, options: int) -> Acting:
    """Memory for a block."""
    rows = (levels, size, hidden)
    return Acting(layers_of(size, features, hidden), layers_of(size * options, width, hidden),
                  np.empty(rows, np.float32), np.empty((size, 1 + options * levels), np.float32),
                  np.empty((size, hidden), np.float32), np.empty(rows, np.float32),
                  np.empty((size * options, hidden), np.float32))


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
        sums.nothing[0, j] += dot(agent[j, :-1], meeting.slope[0]) + agent[j, -1] * meeting.bias[0]
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
            sums.level[level, j] += dot(of_agent[j], agent[j])
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


@summed
def _score(options: Any, along: Any, slope: Any, bias: Any, agents: Any, first: int, levels: int, scores: Any) -> None:
    """The scores of one level, of which ``first`` is that of the first option."""
    each = (scores.shape[1] - 1) // levels
    for i in range(len(along)):
        constant = dot(agents[i], slope) + bias
        for m in range(each):
            total = np.float32(0.0)
            for j in range(along.shape[1]):
                total += options[i * each + m, j] * along[i, j]
            scores[i, first + m * levels] = total + constant


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
        a.scores[i, 0] = dot(agent.second[i], meeting.slope[0]) + meeting.bias[0]
    for level in range(levels):
        along = a.along[level, :count]
        times(agent.second, meeting.joint[level], along)
        for i in range(count):
            for j in range(along.shape[1]):
                along[i, j] += meeting.offset[level, j]
        _score(a.options.second, along, meeting.slope[1 + level], meeting.bias[1 + level], agent.second, 1 + level,
               levels, a.scores)


@routine
def _unscore(scores: Any, first: int, levels: int, options: Any, along: Any, more: Any, each: Any) -> None:
    """From the gradient of one level's scores to that of ``along``, in ``more``; add that of options to ``each``."""
    count = (scores.shape[1] - 1) // levels
    for i in range(len(along)):
        for j in range(along.shape[1]):
            more[i, j] = np.float32(0.0)
        for m in range(count):
            for j in range(along.shape[1]):
                more[i, j] += scores[i, first + m * levels] * options[i * count + m, j]
    for i in range(len(along)):
        for m in range(count):
            for j in range(along.shape[1]):
                each[i * count + m, j] += scores[i, first + m * levels] * along[i, j]


@routine
def back_to_options(actor: Actor, sums: Actor, a: Acting, scratch: Any, at_once: int, count: int) -> None:
    """Gradients of the options' hidden layers, and into ``a.more``."""
    levels = len(actor.level)
    options = count * (a.scores.shape[1] - 1) // levels
    a.each[:] = np.float32(0.0)
    for level in range(levels):
        _unscore(a.scores, 1 + level, levels, a.options.second, a.along[level, :count], a.more[level, :count], a.each)
    for start in range(0, options, at_once):
        stop = min(start + at_once, options)
        unhide(actor.option, sums.option, part_of(a.options, start, stop), a.each[start:stop], scratch)


@routine
def back_to_agents(actor: Actor, sums: Actor, meeting: Meeting, meeting_sums: Meeting, a: Acting, scratch: Any,
                   count: int) -> None:
    """Gradients of all else but of what ``meeting`` is made of, from ``a.more``."""
    levels, agent, given, found = len(actor.level), part_of(a.agent, 0, count), a.given[:count], scratch[:count]
    shares = np.empty((count, 1 + levels), np.float32)  # of doing nothing, and of all options of each level
    for i in range(count):
        shares[i] = a.scores[i, :1 + levels]
        for k in range(1 + levels, a.scores.shape[1]):
            shares[i, 1 + (k - 1) % levels] += a.scores[i, k]
    add_up(shares, meeting_sums.bias)
    add_product(shares, agent.second, meeting_sums.slope)
    times(shares, meeting.slope, given)
    for level in range(levels):
        more = a.more[level, :count]
        add_product(agent.second, more, meeting_sums.joint[level])
        add_up(more, meeting_sums.offset[level])
        times(more, meeting.across[level], found)
        for i in range(count):
            for j in range(given.shape[1]):
                given[i, j] += found[i, j]
    unhide(actor.agent, sums.agent, agent, given, scratch)
