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
    extra, sampled = None if extra is None else extra.unsqueeze(2), constants.config.response_mode == "sampled"
    draw = uniform(state.key, state.time, Stream.RESPONSE, item.shape[1:], first) if sampled else None
    if draw is not None and constants.behaviour.has_levels:
        return _levels(constants, state, item.unsqueeze(2), constants.noticed[position], extra, draw)
    rate = response_rate(constants, state, item.unsqueeze(2), position.unsqueeze(2), extra).squeeze(2)
    return rate if draw is None else (draw < rate).to(torch.float32)


def _levels(constants: MarketConstants, state: State, items: Tensor, noticed: Tensor, extra: Tensor | None,
            draw: Tensor) -> Tensor:
    """Responses on the levels of the behaviour, 0 for what is not noticed; one draw decides both."""
    shift = state_shift(constants, state, items, extra)
    quantile = (draw / noticed.clamp(min=1e-6)).clamp(max=1.0)
    level = constants.behaviour.level(state, items, shift, quantile.unsqueeze(2)).squeeze(2)
    return torch.where(draw < noticed, level, 0.0)


def state_shift(constants: MarketConstants, state: State, items: Tensor, extra: Tensor | None) -> Tensor:
    """What moods, satiation and wear-out add to the logit, and ``extra``, float32 ``[B, U, K]``."""
    built_in = constants.built_in
    shift = built_in.mood.shift(state, items)
    for mechanism in (built_in.satiation, built_in.wearout):
        if not mechanism.is_idle:
            shift = shift + mechanism.shift(state, items)
    return shift if extra is None else shift + extra
