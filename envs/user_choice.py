"""What users do in a step: what they take, and how they respond."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from interplay.envs import dispatch, kernels
from interplay.envs.constants import MarketConstants
from interplay.envs.masks import legal, user_mask
from interplay.envs.noise import Stream
from interplay.envs.responding import responses
from interplay.envs.world import State, UserOutcome


def respond(constants: MarketConstants, state: State, action: Tensor) -> UserOutcome:
    """What users take, and how they respond. Forbidden actions become a skip."""
    gpu, with_kernels = kernels.of_gpu("users_gpu", state.key), kernels.usable(state.key)
    if gpu is not None and constants.formula and constants.mechanisms.are_none and gpu.can_move(state):
        return UserOutcome(*gpu.respond(constants, state, action, Stream.RESPONSE))
    if not (with_kernels and constants.mechanisms.are_none):
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
    settle(constants, state, choice, close, extra)
    return choice


def settle(constants: MarketConstants, state: State, choice: UserOutcome, close: dispatch.Places,
           extra: Tensor | None) -> None:
    """Have torch decide the responses of these worlds and users, in place; ``extra`` as above."""
    for world, user in close:
        one = state.of_one(world, user)
        here = (slice(world, world + 1), slice(user, user + 1))
        choice.response[here] = responses(constants, one, choice.item[here], choice.position[here],
                                          None if extra is None else extra[here], first=user)


def _chosen(constants: MarketConstants, state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``UserOutcome.position``, ``item`` and ``illegal``. Forbidden actions become a skip and are counted."""
    position, illegal = legal(action, user_mask(constants, state))
    item = state.slate.items.gather(2, (position - 1).clamp(min=0).unsqueeze(2)).squeeze(2)
    return position, item, illegal
