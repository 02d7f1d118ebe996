"""The rewards of a step, and what happened in it as one record."""

from __future__ import annotations

from dataclasses import replace

import torch

from interplay.envs.constants import MarketConstants
from interplay.envs.mechanisms.base import Outcome
from interplay.envs.world import ItemOutcome, State, Step, UserOutcome


def account(constants: MarketConstants, state: State, after: State, choice: UserOutcome, item_outcome: ItemOutcome,
            outcome: Outcome | None) -> Step:
    """Rewards of both sides, and the agents that are gone for good."""
    gone = torch.zeros_like(after.active) if constants.config.users_return else state.active != after.active
    step = Step(
        user_reward=choice.response,
        item_reward=item_outcome.own,
        user_own=choice.response,
        item_own=item_outcome.own,
        chosen=choice.item,
        position=choice.position,
        response=choice.response,
        item_response=item_outcome.clicks,
        cost=item_outcome.cost,
        user_terminated=gone,
        item_terminated=item_outcome.terminated,
        truncated=after.time >= constants.config.horizon,
        illegal_users=choice.illegal,
        illegal_items=item_outcome.illegal,
    )
    return rewarded(constants, state, after, step, outcome)


def rewarded(constants: MarketConstants, state: State, after: State, step: Step, outcome: Outcome | None) -> Step:
    """The step with what mechanisms pay, and with welfare in the rewards of learners.

    Welfare is the mean own reward of all ``U + I`` agents, present or not: a smaller world is not a richer one.
    It is paid to the agents that were present when the step began.
    """
    c = constants.config
    if outcome is None and c.team == 0.0:
        return step
    user_own, item_own = step.user_own, step.item_own
    if outcome is not None:
        user_own = constants.mechanisms.user_reward(state, after, outcome)
        item_own = constants.mechanisms.item_reward(state, after, outcome, item_own)
    user_reward, item_reward = user_own, item_own
    if c.team > 0.0:
        welfare = ((user_own.sum(1) + item_own.sum(1)) / (c.num_users + c.num_items)).unsqueeze(1)
        user_reward, item_reward = (
            ((1.0 - c.team) * own + c.team * welfare).masked_fill(~present, 0.0)
            for own, present in ((user_own, state.active), (item_own, state.alive)))
    return replace(step, user_reward=user_reward, item_reward=item_reward, user_own=user_own, item_own=item_own)
