"""What every part of a step reads: a market's numbers, its behaviour, and constants on its device."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.active_mechanisms import ActiveMechanisms
from interplay.envs.behaviour.base import Behaviour
from interplay.envs.config import MarketConfig
from interplay.envs.counting import digit_sizes
from interplay.envs.kernels.packed import Layout, state_layout, step_layout
from interplay.envs.kernels.table_operators import adds_up_in_order, sums_in_order
from interplay.envs.lists import Lists
from interplay.envs.mechanisms.built_in import BuiltIn
from interplay.envs.types import TOLERANCE


class KernelConstants(NamedTuple):
    """What kernels read of a market's constants.

    Attributes:
        numbers: those of the config and of built-in mechanisms, ``TOLERANCE`` and ``formula``, as one record.
        cost, log_factor: float32 ``[1 + L]``, as in ``boosts.ByLevel``.
        examination: float32 ``[1 + K]``, as in ``MarketConstants``.
        item_numbers: int64 ``[1, 1, I]``.
        state, step: where tables are that a step writes.
        knows_affinity, knows_boosts: whether loops round as torch does in ``observing.affinity``, and where the boosts
            of a segment's items are added up.
    """

    numbers: Any
    cost: NDArray[np.float32]
    log_factor: NDArray[np.float32]
    examination: NDArray[np.float32]
    item_numbers: NDArray[np.int64]
    state: Layout
    step: Layout
    knows_affinity: bool
    knows_boosts: bool

    @classmethod
    def make(cls, config: MarketConfig, formula: bool, examination: Tensor) -> KernelConstants:
        """From tables on the host."""
        built_in = config.built_in
        _, cost, score = built_in.boosts.by_level
        numbers = kernels.numbers({"": config, **built_in.records()}, has_budgets=built_in.has_budgets,
                                  tolerance=TOLERANCE, mood_floor=TOLERANCE - built_in.mood.max, formula=formula)
        return cls(numbers, cost.numpy(), score.numpy(), examination.numpy(),
                   np.arange(config.num_items).reshape(1, 1, -1), state_layout(config, config.history_length),
                   step_layout(config), adds_up_in_order(config.num_segments, config.num_users, config.embedding_size)
                   and adds_up_in_order(config.num_items, config.embedding_size, config.num_segments),
                   sums_in_order(config.num_items))


class MarketConstants(NamedTuple):
    """What every part of a step reads and none changes. Made once, so that no step copies from the host.

    Attributes:
        config: sizes and mechanisms.
        behaviour: the population and its responses.
        level_of: int64 ``[1 + C * L]``, the boost level of each action of an item.
        segment_of: int64 ``[1 + C * L]``, the segment of each action of an item.
        always: bool ``[1, 1, 1]``, True: the mask of action 0.
        examination: float32 ``[1 + K]``, rho_k of each slot, 1 for a skip.
        noticed: float32 ``[1 + K]``, the same, but 0 for a skip.
        segment_numbers: int64 ``[C]``.
        powers: int64 ``[digits]`` by kind of exact state, what each digit of a state's number counts.
        lists: the behaviour's ``candidates()``, or None where all users may be offered all items.
        kernel: the same as kernels read them.
        formula: whether responses are drawn by the preference formula, which kernels know.
        built_in: the config's mechanisms that kernels know.
        mechanisms: the config's other ones, ready to be asked.
    """

    config: MarketConfig
    behaviour: Behaviour
    level_of: Tensor
    segment_of: Tensor
    always: Tensor
    examination: Tensor
    noticed: Tensor
    segment_numbers: Tensor
    powers: dict[str, Tensor]
    lists: Lists | None
    kernel: KernelConstants
    formula: bool
    built_in: BuiltIn
    mechanisms: ActiveMechanisms

    @classmethod
    def make(cls, config: MarketConfig, behaviour: Behaviour, device: torch.device) -> MarketConstants:
        """Work the constants out on the host, so that they are the same on every device, and put them on ``device``."""
        found = behaviour.candidates()
        lists = None if found is None else Lists.make(*found, config.slate_size, config.num_items).to(device)
        built_in = config.built_in.on(device)
        slot = torch.arange(1 + config.slate_size, device="cpu")
        examination = slot.clamp(min=1).to(torch.float32) ** -config.position_bias
        levels, segments = len(built_in.boosts.levels), range(config.num_segments)
        level_of = [0, *(1 + level for _ in segments for level in range(levels))]
        segment_of = [0, *(segment for segment in segments for _ in range(levels))]
        formula = config.response_mode == "sampled" and behaviour.formula == "preference"
        kernel = KernelConstants.make(config, formula, examination)
        return cls(config, behaviour, torch.tensor(level_of, device=device), torch.tensor(segment_of, device=device),
                   torch.ones(1, 1, 1, dtype=torch.bool, device=device), examination.to(device),
                   (examination * (slot > 0)).to(device), torch.arange(config.num_segments, device=device),
                   _powers(config, device), lists, kernel, formula, built_in,
                   ActiveMechanisms(config, built_in, device))


def _powers(config: MarketConfig, device: torch.device) -> dict[str, Tensor]:
    """See ``MarketConstants.powers``."""
    return {kind: torch.tensor([1, *digit_sizes(config, kind)[:-1]], device=device).cumprod(0)
            for kind in (config.user_state, config.item_state)}
