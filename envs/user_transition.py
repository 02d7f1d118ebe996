"""What users do in a step: what they take, how they respond, and their next state."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.constants import TOLERANCE, MarketConstants
from interplay.envs.kernels import dispatch
from interplay.envs.masks import legal, user_mask
from interplay.envs.noise import Stream, normal, uniform
from interplay.envs.responding import responses
from interplay.envs.vectors import normalise
from interplay.envs.world import State, UserOutcome


def respond(constants: MarketConstants, state: State, action: Tensor) -> UserOutcome:
    """What users take, and how they respond. Forbidden actions become a skip."""
    with_kernels = kernels.usable(state.key)
    if not with_kernels or constants.mechanisms:
        position, item, illegal = _chosen(constants, state, action)
        shift = constants.mechanisms.shift(state, item.unsqueeze(2))
        extra = None if shift is None else shift.squeeze(2)
        if not with_kernels:
            return UserOutcome(position, item, illegal, responses(constants, state, item, position, extra))
        return replace(_fused_responses(constants, state, position, extra), illegal=illegal)
    return _fused_responses(constants, state, action, None)


def _fused_responses(constants: MarketConstants, state: State, action: Tensor, extra: Tensor | None) -> UserOutcome:
    """The same by kernels; ``extra`` float32 ``[B, U]`` is what mechanisms add to logits."""
    choice, close = dispatch.respond(constants, state, action, extra)
    if not constants.formula:
        return replace(choice, response=responses(constants, state, choice.item, choice.position, extra))
    for world, user in close:
        one = state.of_one(world, user)
        here = (slice(world, world + 1), slice(user, user + 1))
        choice.response[here] = responses(constants, one, choice.item[here], choice.position[here],
                                          None if extra is None else extra[here], first=user)
    return choice


def _chosen(constants: MarketConstants, state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``UserOutcome.position``, ``item`` and ``illegal``. Forbidden actions become a skip and are counted."""
    position, illegal = legal(action, user_mask(constants, state))
    item = state.slate.items.gather(2, (position - 1).clamp(min=0).unsqueeze(2)).squeeze(2)
    return position, item, illegal


def update_users(constants: MarketConstants, state: State, choice: UserOutcome) -> State:
    """The next time; satiation, mood, taste; users that leave and return."""
    if kernels.usable(state.key):
        return dispatch.update_users(constants, state, choice)
    c, y, taken = constants.config, choice.response.unsqueeze(2), state.population.of_items(choice.item)
    satiation = c.satiation_decay * state.satiation + c.satiation_gain * y * taken.topics
    satiation = (satiation - c.satiation_recovery).clamp(0.0, c.satiation_max)
    mood = c.mood_decay * state.mood + choice.response * taken.mood_effect
    mood = mood.clamp(-c.mood_max, c.mood_max)
    taste = state.user_vector
    if c.drift_rate > 0.0 or c.drift_noise > 0.0:
        taste = _drift(constants, state, taken.vector, y)
    active = state.active
    if c.leaving:
        returns = uniform(state.key, state.time, Stream.RETURN, (c.num_users,)) < c.return_rate
        mood = mood.masked_fill(returns & ~active, 0.0)
        active = torch.where(active, mood > TOLERANCE - c.mood_max, returns)
    return replace(_remember(state, choice), time=state.time + 1, satiation=satiation, mood=mood,
                   user_vector=taste, active=active)


def _remember(state: State, choice: UserOutcome) -> State:
    """The newest step enters users' histories, the oldest drops out."""
    if state.taken.shape[2] == 0:
        return state
    taken = torch.where(choice.position > 0, choice.item + 1, 0).unsqueeze(2)
    return replace(state, taken=torch.cat([state.taken, taken], dim=2)[:, :, 1:],
                   responses=torch.cat([state.responses, choice.response.unsqueeze(2)], dim=2)[:, :, 1:])


def _drift(constants: MarketConstants, state: State, towards: Tensor, y: Tensor) -> Tensor:
    c, shape = constants.config, state.user_vector.shape[1:]
    pull = c.drift_rate * y
    taste = (1.0 - pull) * state.user_vector + pull * towards
    if c.drift_noise > 0.0:
        taste = taste + c.drift_noise * normal(state.key, state.time, Stream.DRIFT, shape)
    return normalise(taste)
