"""The number of the exact state of a small game, for tabular agents."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from interplay.envs.config import MarketConfig
from interplay.envs.constants import MarketConstants
from interplay.envs.counting import digit_sizes, states_of_mechanism, with_digits
from interplay.envs.types import InterplayError, Side
from interplay.envs.world import State


def state_of(config: MarketConfig, side: Side) -> str:
    """The kind of exact state that tabular agents see; one that leaves out what mechanisms carry over is not exact."""
    kind = config.user_state if side == "users" else config.item_state
    leaves_out = kind not in ("single", "mechanism") and any(m.carries_over for m in config.further)
    return "none" if leaves_out else kind


def num_states(config: MarketConfig, side: Side) -> int | None:
    """How many exact states there are; they are numbered by 64-bit integers."""
    kind = state_of(config, side)
    if kind == "none":
        return None
    count = states_of_mechanism(config, side) if kind == "mechanism" else math.prod(digit_sizes(config, kind))
    if count >= 1 << 63:
        raise InterplayError(f"state {kind!r} has about 10^{math.log10(count):.0f} values, more than 2^63: choose "
                             "'none', or lower num_topics, num_items or the largest satiation, mood or budget")
    return count


def exact_state(constants: MarketConstants, state: State, side: Side) -> Tensor | None:
    """The number of the state that tabular agents of a side see, int64 ``[B, N]``."""
    config, kind = constants.config, state_of(constants.config, side)
    if kind == "none":
        return None
    if kind == "mechanism":
        return constants.mechanisms.exact_state(side, state)
    shape = state.active.shape if side == "users" else state.alive.shape
    if kind == "single":
        return torch.zeros(shape, dtype=torch.int64, device=state.key.device)
    digits = torch.cat([mechanism.digits(state) for mechanism in with_digits(config, kind)], dim=2)
    return (digits.round().long() * constants.powers[kind]).sum(2).expand(shape)
