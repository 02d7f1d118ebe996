"""Policies, values and a step of PPO on the actor and the critic of ``ippo``, as loops that numba compiles for a CPU.

Torch's code in ``ippo`` is the reference. Rows are read where the rollout has them. A block of them goes forward and
back before the next does, so that nothing but gradients is kept. These are added up block by block, on one thread: bits
do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from interplay.agents.loops.actor_loop import (
    Acting,
    acting_of,
    actor_of,
    back_to_agents,
    back_to_options,
    meet,
    meeting_of,
    part,
    places_of_all,
    score_block,
    see_block,
)
from interplay.agents.loops.tower_loop import (
    Layers,
    Line,
    across_of,
    back_to_critic,
    back_to_layers,
    block_size,
    critic_of,
    layers_of,
    line_of,
    part_of,
    rows_at_once,
    see_rows,
    value_block,
)
from interplay.envs.kernels.jit import exp, routine, whole

_LOWEST = np.float32(np.finfo(np.float32).min / 4)  # of what the mask forbids: see choosing.log_policy


class Rule(NamedTuple):
    """How losses are made one: see ``policy.Rule``."""

    clip: Any
    value_weight: Any
    entropy_weight: Any


@routine
def _log_policies(scores: Any, mask: Any, rows: Any, out: Any, chances: Any) -> None:
    """Log-softmax of a block over the actions that these rows allow, see ``choosing.log_policy``, and its chances."""
    for i in range(len(rows)):
        highest = _LOWEST
        for k in range(out.shape[1]):
            out[i, k] = scores[i, k] if mask[rows[i], k] else _LOWEST
            highest = highest if out[i, k] <= highest else out[i, k]
        for k in range(out.shape[1]):
            out[i, k] -= highest
    for i in range(len(rows)):
        for k in range(out.shape[1]):
            chances[i, k] = exp(out[i, k])
    for i in range(len(rows)):
        total = np.float32(0.0)
        for k in range(out.shape[1]):
            total += chances[i, k]
        shift, share = np.log(total), np.float32(1.0) / total
        for k in range(out.shape[1]):
            out[i, k] -= shift
            chances[i, k] *= share


@whole
def policies(own: Any, options: Any, mask: Any, weights: Any, starts: Any, agent_place: Any, option_place: Any,
             hidden: int, levels: int, out: Any) -> None:
    """Log-probabilities of all actions: ``out [S, R, 1 + M * L]``, of S copies with R rows each."""
    count, features, width = options.shape[2], len(agent_place), len(option_place)
    at_once = rows_at_once(hidden, max(features, width))
    size, every = block_size(at_once, count), np.arange(own.shape[1])
    a, meeting = acting_of(size, features, width, hidden, levels, count), meeting_of(hidden, levels)
    places, chances = places_of_all(option_place, options.shape[3], count), np.empty_like(a.scores)
    for copy in range(len(weights)):
        actor = actor_of(weights[copy], starts, features, width, hidden, levels)
        agent_across, option_across = across_of(actor.agent), across_of(actor.option)
        meet(actor, meeting)
        for start in range(0, len(every), size):
            rows = every[start:start + size]
            see_block(own[copy], options[copy], rows, agent_place, places, a)
            score_block(actor, meeting, agent_across, option_across, a, at_once, len(rows))
            _log_policies(a.scores, mask[copy], rows, out[copy, start:start + len(rows)], chances)


@routine
def _values(own: Any, rows: Any, weights: Any, starts: Any, place: Any, hidden: int, out: Any) -> None:
    """The values of these rows of one copy, each at the row's place in ``out``."""
    size, critic = rows_at_once(hidden, len(place)), critic_of(weights, starts, len(place), hidden)
    layers, found = layers_of(size, len(place), hidden), np.empty(size, np.float32)
    across, line = across_of(critic.agent), line_of(critic)
    for start in range(0, len(rows), size):
        block = rows[start:start + size]
        see_rows(own, block, place, layers.inputs)
        value_block(critic.agent, across, line, part_of(layers, 0, len(block)), found)
        for i in range(len(block)):
            out[block[i]] = found[i]


@whole
def values(own: Any, weights: Any, starts: Any, place: Any, hidden: int, out: Any) -> None:
    """Values ``out [S, R]``, of S copies with R rows each."""
    for copy in range(len(weights)):
        _values(own[copy], np.arange(own.shape[1]), weights[copy], starts, place, hidden, out[copy])


@routine
def _known(own: Any, after: Any, each: int, values: Any, ahead: Any, rows: Any) -> int:
    """Into ``ahead`` the values of rows that are seen in the next step, too; into ``rows`` the others, how many."""
    count = 0
    for row in range(len(own)):
        same = row + each < len(own)
        if same:
            for k in range(own.shape[1]):
                same &= own[row + each, k] == after[row, k]
        if same:
            ahead[row] = values[row + each]
        else:
            rows[count] = row
            count += 1
    return count


@whole
def step_values(own: Any, after: Any, each: int, weights: Any, starts: Any, place: Any, hidden: int, out: Any,
                ahead: Any) -> None:
    """Values ``out`` of a rollout's rows, ``each`` of a step, and ``ahead`` of what followed: ``[S, T * each]``.

    What followed a step is mostly seen in the next one.
    """
    rows = np.arange(own.shape[1])
    for copy in range(len(weights)):
        _values(own[copy], np.arange(own.shape[1]), weights[copy], starts, place, hidden, out[copy])
        count = _known(own[copy], after[copy], each, out[copy], ahead[copy], rows)
        _values(after[copy], rows[:count], weights[copy], starts, place, hidden, ahead[copy])


@routine
def _judge(scores: Any, mask: Any, action: int, before: Any, advantage: Any, weight: Any, clip: Any,
           entropy_weight: Any, logs: Any, chances: Any) -> Any:
    """The policy's gain and the entropy of a row; its scores become their gradient of the loss."""
    ratio, entropy = np.exp(logs[action] - before), np.float32(0.0)
    clipped = min(max(ratio, np.float32(1.0) - clip), np.float32(1.0) + clip)
    for k in range(len(mask)):
        if mask[k]:
            entropy -= chances[k] * logs[k]
    moves = np.float32(0.0) if ratio * advantage > clipped * advantage else -weight * advantage * ratio
    for k in range(len(mask)):
        found = moves * (np.float32(1.0 if k == action else 0.0) - chances[k])
        found += entropy_weight * chances[k] * (logs[k] + entropy)
        scores[k] = found if mask[k] else np.float32(0.0)
    return min(ratio * advantage, clipped * advantage), entropy


@routine
def _gather(index: Any, agents: int, valid: Any, rows: Any) -> int:
    """The rows of all agents at these places that teach something, into ``rows``; gives how many they are."""
    count = 0
    for place in index:
        for row in range(place * agents, place * agents + agents):
            if valid[row]:
                rows[count] = row
                count += 1
    return count


@routine
def _miss(found: Any, wanted: Any) -> Any:
    """Huber's loss of a value, and its gradient."""
    error = found - wanted
    if abs(error) < np.float32(1.0):
        return np.float32(0.5) * error * error, error
    return abs(error) - np.float32(0.5), np.float32(1.0 if error > np.float32(0.0) else -1.0)


@routine
def _judge_block(rows: Any, mask: Any, action: Any, before: Any, advantage: Any, returns: Any, weight: Any, rule: Rule,
                 share: float, a: Acting, found: Any, totals: Any) -> None:
    """From a block's scores and values ``found`` to their gradients; the losses are added up."""
    logs, chances = np.empty_like(a.scores), np.empty_like(a.scores)
    _log_policies(a.scores, mask, rows, logs, chances)
    for i in range(len(rows)):
        row = rows[i]
        counts = np.float32(share) * weight[row]
        gain, entropy = _judge(a.scores[i], mask[row], action[row], before[row], advantage[row], counts, rule.clip,
                               np.float32(share) * rule.entropy_weight, logs[i], chances[i])
        miss, slope = _miss(found[i], returns[row])
        totals[0] += counts * gain
        totals[1] += counts * miss
        totals[2] += share * entropy
        found[i] = rule.value_weight * counts * slope


@routine
def _update_copy(own: Any, options: Any, mask: Any, action: Any, before: Any, advantage: Any, returns: Any, weight: Any,
                 rows: Any, weights: Any, starts: Any, agent_place: Any, option_place: Any, hidden: int, levels: int,
                 rule: Rule, share: float, totals: Any, out: Any) -> None:
    """The gradient of one copy."""
    count, features, width = options.shape[1], len(agent_place), len(option_place)
    at_once = rows_at_once(hidden, max(features, width))
    size, places = block_size(at_once, count), places_of_all(option_place, options.shape[2], count)
    a, scratch = acting_of(size, features, width, hidden, levels, count), np.empty((at_once, hidden), np.float32)
    judging, more = layers_of(size, 0, hidden), np.empty((size, hidden), np.float32)
    meeting, meeting_sums, found = meeting_of(hidden, levels), meeting_of(hidden, levels), np.empty(size, np.float32)
    actor, sums = (actor_of(weights, starts, features, width, hidden, levels),
                   actor_of(out, starts, features, width, hidden, levels))
    critic, critic_sums = critic_of(weights, starts, features, hidden), critic_of(out, starts, features, hidden)
    agent_across, option_across, across = across_of(actor.agent), across_of(actor.option), across_of(critic.agent)
    line, line_sums = line_of(critic), Line(np.zeros(hidden, np.float32), np.zeros(1, np.float32))
    meet(actor, meeting)
    for start in range(0, len(rows), size):
        block = rows[start:min(start + size, len(rows))]
        n = len(block)
        see_block(own, options, block, agent_place, places, a)
        layers = Layers(a.agent.inputs[:n], judging.first[:n], judging.second[:n])
        score_block(actor, meeting, agent_across, option_across, a, at_once, n)
        value_block(critic.agent, across, line, layers, found)
        _judge_block(block, mask, action, before, advantage, returns, weight, rule, share, a, found, totals)
        back_to_options(actor, sums, a, scratch, at_once, n)
        back_to_agents(actor, sums, meeting, meeting_sums, a, scratch, n)
        back_to_critic(critic.agent, critic_sums.agent, line, line_sums, layers, scratch, more, found[:n])
    part(actor, sums, meeting_sums)
    back_to_layers(critic, critic_sums, line_sums)


@whole
def update(own: Any, options: Any, mask: Any, action: Any, before: Any, advantage: Any, returns: Any, valid: Any,
           weight: Any, index: Any, weights: Any, agents: int, starts: Any, agent_place: Any, option_place: Any,
           hidden: int, levels: int, clip: float, value_weight: float, entropy_weight: float, losses: Any,
           out: Any) -> None:
    """The loss of PPO, the critic's and the entropy, ``losses [S, 3]``, and the first one's gradient ``[S, P]``.

    The tables of a rollout have rows ``[S, R, ...]``, of which ``index [S, n]`` picks n, ``agents`` in a row each.
    ``out`` is of zeros. See ``IPPOAgent`` for the rest.
    """
    rule = Rule(np.float32(clip), np.float32(value_weight), np.float32(entropy_weight))
    rows, totals = np.empty(index.shape[1] * agents, np.int64), np.empty(3)
    for copy in range(len(index)):
        taught = _gather(index[copy], agents, valid[copy], rows)
        share, totals[:] = 1.0 / max(1, taught), 0.0
        _update_copy(own[copy], options[copy], mask[copy], action[copy], before[copy], advantage[copy], returns[copy],
                     weight[copy], rows[:taught], weights[copy], starts, agent_place, option_place, hidden, levels,
                     rule, share, totals, out[copy])
        losses[copy, 0] = value_weight * totals[1] - totals[0] - entropy_weight * totals[2]
        losses[copy, 1], losses[copy, 2] = totals[1], totals[2]
