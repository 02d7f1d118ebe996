"""The rules of one market: its numbers, its behaviour, and the constants they need on the market's device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from interplay.envs.behaviour.base import Behaviour
from interplay.envs.config import MarketConfig


class Rules(NamedTuple):
    """What every part of a step reads and none changes. Made once, so that no step copies from the host.

    Attributes:
        config: sizes and mechanisms.
        behaviour: who responds and how.
        factor: float32 ``[1 + L]``, xi by level, 1 for rest.
        cost: float32 ``[1 + L]``, what each level costs.
        lists: the behaviour's ``candidates()`` on the device, or None.
    """

    config: MarketConfig
    behaviour: Behaviour
    factor: Tensor
    cost: Tensor
    lists: tuple[Tensor, Tensor] | None

    @classmethod
    def make(cls, config: MarketConfig, behaviour: Behaviour, device: torch.device) -> Rules:
        """Put the constants on ``device``."""
        factor = torch.tensor((1.0, *config.boost_levels), device=device)
        lists = behaviour.candidates()
        on_device = None if lists is None else (lists[0].to(device), lists[1].to(device))
        return cls(config, behaviour, factor, config.boost_cost * (factor - 1.0), on_device)
