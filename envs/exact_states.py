"""The number of the exact state of a small game, for tabular agents."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs.config import MarketConfig
from interplay.envs.constants import BUDGET_STEP, MarketConstants
from interplay.envs.types import InterplayError
from interplay.envs.world import State


def state_of(config: MarketConfig, kind: str) -> str:
    """The kind of exact state that tabular agents see; one that leaves out what mechanisms carry over is not exact."""
    return "none" if kind != "single" and any(m.carries_over for m in config.mechanisms) else kind


def num_states(config: MarketConfig, kind: str) -> int | None:
    """How many exact states there are; they are numbered by 64-bit integers."""
    count = _count_states(config, kind)
    if count is not None and count >= 1 << 63:
        raise InterplayError(f"state {kind!r} has {count:.3g} values, more than 2^63: choose 'none', or lower "
                             "num_topics, num_items or the largest satiation, mood or budget")
    return count


def _count_states(config: MarketConfig, kind: str) -> int | None:
    if kind == "own":
        satiations: int = (int(config.satiation_max) + 1) ** config.num_topics
        return satiations * (2 * int(config.mood_max) + 1)
    if kind == "budgets":
        budgets: int = (int(config.energy_max / BUDGET_STEP) + 1) ** config.num_items
        return budgets
    if kind == "boost":
        return 1 + config.num_segments * len(config.boost_levels)
    return 1 if kind == "single" else None


def exact_state(constants: MarketConstants, state: State, kind: str, num_agents: int) -> Tensor | None:
    """The number of the state that tabular agents see, int64 ``[B, num_agents]``."""
    config = constants.config
    if kind == "none":
        return None
    shape = (state.key.shape[0], num_agents)
    if kind == "single":
        return torch.zeros(shape, dtype=torch.int64, device=state.key.device)
    if kind == "boost":
        served = 1 + state.boost_segment * len(config.boost_levels) + state.boost_level - 1
        return torch.where(state.boost_level > 0, served, 0)
    if kind == "own":
        digits = torch.cat([state.satiation, (state.mood + config.mood_max).unsqueeze(2)], dim=2)
    else:
        digits = (state.energy / BUDGET_STEP).unsqueeze(1)
    return (digits.round().long() * constants.powers[kind]).sum(2).expand(shape)
