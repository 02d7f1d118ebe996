"""How likely a user is to respond: the state's part and position bias, around what the behaviour says."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs.constants import MarketConstants
from interplay.envs.noise import Stream, uniform
from interplay.envs.world import State


def response_rate(constants: MarketConstants, state: State, items: Tensor, position: Tensor,
                  extra: Tensor | None) -> Tensor:
    """rho_k r (README, steps 1 and 2).

    Args:
        constants: the market's.
        state: the worlds.
        items: int64 ``[B, U, K]``, items that users consider.
        position: int64, broadcasts to ``items``: the slot that each is in, from 1; 0 = skipped, which has rate 0.
        extra: float32 ``[B, U, K]``, what ``constants.mechanisms`` add to the logit; None = nothing.

    Returns:
        float32 ``[B, U, K]`` in [0, 1].
    """
    shift = state_shift(constants, state, items, extra)
    return constants.behaviour.response(state, items, shift) * constants.noticed[position]


def responses(constants: MarketConstants, state: State, item: Tensor, position: Tensor, extra: Tensor | None,
              first: int = 0) -> Tensor:
    """The responses y, float32 ``[B, U]``, to the items that users took: drawn, or what is expected of them.

    Args:
        constants: the market's.
        state: the worlds.
        item: int64 ``[B, U]``.
        position: int64 ``[B, U]``, the slot it is in; 0 = skipped, and there is no response.
        extra: float32 ``[B, U]``, as in ``response_rate``.
        first: number of the first of these users, by which each has noise of its own.
    """
    extra = None if extra is None else extra.unsqueeze(2)
    rate = response_rate(constants, state, item.unsqueeze(2), position.unsqueeze(2), extra).squeeze(2)
    if constants.config.response_mode == "mean":
        return rate
    return (uniform(state.key, state.time, Stream.RESPONSE, item.shape[1:], first) < rate).to(torch.float32)


def state_shift(constants: MarketConstants, state: State, items: Tensor, extra: Tensor | None) -> Tensor:
    """What moods, satiation and wear-out add to the logit, and ``extra``, float32 ``[B, U, K]``."""
    built_in = constants.built_in
    shift = built_in.mood.shift(state, items)
    for mechanism in (built_in.satiation, built_in.wearout):
        if not mechanism.is_idle:
            shift = shift + mechanism.shift(state, items)
    return shift if extra is None else shift + extra
