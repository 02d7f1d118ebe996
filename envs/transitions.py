"""From a step of a market to what learners get of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from interplay.envs.market import Market
from interplay.envs.targets import Targets
from interplay.envs.types import SIDES, Observation, Side, Transition
from interplay.envs.world import State, Step

Seen = Mapping[Side, Observation]


def transitions(market: Market, before: State, seen: Seen, action: Mapping[Side, Tensor], step: Step, after: Seen,
                slots: Tensor | None = None) -> dict[Side, Transition]:
    """The step of each side that acts.

    Args:
        market: the market.
        before: the worlds before the step.
        seen: what each side saw of them.
        action: what users and items did, int64 ``[B, N]``.
        step: what happened.
        after: what each side saw next.
        slots: the candidates that a platform put into the slates, int64 ``[B, U, K]``; None where there is no platform.
    """
    made: dict[Side, Transition] = {side: _of_side(market, side, before, seen, action[side], step, after)
                                    for side in SIDES}
    targets = market.targets(before, step)
    made["users"] = _with_targets(made["users"], targets)
    if slots is not None:
        taken = slots.gather(2, (step.position - 1).clamp(min=0).unsqueeze(2)).squeeze(2)
        taken = torch.where(step.position > 0, taken, 0)
        platform = _of_side(market, "platform", before, seen, taken, step, after)
        made["platform"] = replace(_with_targets(platform, targets), slate=slots)
    return made


def _of_side(market: Market, side: Side, before: State, seen: Seen, action: Tensor, step: Step,
             after: Seen) -> Transition:
    """One side's step. A platform earns what its users earn.

    Users who are away count where they may return: somebody has to learn what that is worth. What users see the end
    of has ended for them when it is reached.
    """
    users = side != "items"
    terminated = step.user_terminated if users else step.item_terminated
    present = before.alive if not users else before.active
    if users and market.config.users_return:
        present = torch.ones_like(present)
    reward = step.user_reward if users else step.item_reward
    response = step.response if users else step.item_response
    truncated = step.truncated.unsqueeze(1).expand_as(terminated)
    if users and any(m.shows_end for m in market.config.mechanisms):
        terminated = terminated | truncated
    return Transition(seen[side], action, reward, after[side], response, terminated, truncated, present)


def _with_targets(transition: Transition, targets: Targets[Tensor] | None) -> Transition:
    """The step with targets of learning in place of the rewards; the responses stay."""
    if targets is None:
        return transition
    return replace(transition, reward=targets.reward, valid=transition.valid & targets.valid, weight=targets.weight)
