"""`linucb`: a linear model of rewards, and a bonus for what it is not sure of.

Li et al., "A contextual-bandit approach to personalized news article recommendation" (WWW 2010), algorithm 1, with one
model for all agents of a side and one row of features for each option: it learns what is liked now and plans nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Setting
from interplay.agents.parts.arms import LinearBandit, LinearBanditOptions
from interplay.agents.parts.choosing import best
from interplay.envs.types import InterplayError, Observation, SideSpec


@dataclass(frozen=True)
class LinUCBOptions(LinearBanditOptions):
    """Hyper-parameters of ``linucb``."""

    alpha: float = 1.0
    """Width of the confidence bound, in standard deviations of the estimate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha < 0.0:
            raise InterplayError(f"alpha={self.alpha} must not be below 0")


class LinUCBAgent(LinearBandit):
    """Takes the action of highest upper confidence bound; without exploration, of highest estimate."""

    name: ClassVar[str] = "linucb"
    Options: ClassVar[type] = LinUCBOptions

    def __init__(self, spec: SideSpec, setting: Setting, options: LinUCBOptions | None = None) -> None:
        super().__init__(spec, setting, options)
        self.options: LinUCBOptions

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        nothing, options = self._arms.rows(observation)
        weights = self._arms.weights()
        values = _joined(nothing @ weights[0], options @ weights[1:].T)
        if explore:
            spread = torch.linalg.inv(self._arms.precision)
            bonus = _joined(_deviation(nothing, spread[:1]).squeeze(-1), _deviation(options, spread[1:]))
            values = values + self.options.alpha * bonus
        return best(values, observation.mask)


def _deviation(rows: Tensor, spread: Tensor) -> Tensor:
    """``sqrt(x A^-1 x)``, what each model is unsure of each row: ``[..., F]`` and ``[L, F, F]`` to ``[..., L]``."""
    return torch.einsum("...f,lfg,...g->...l", rows, spread, rows).clamp(min=0.0).sqrt()


def _joined(nothing: Tensor, options: Tensor) -> Tensor:
    """``[B, N]`` and ``[B, N, M, L]`` to one number for each action."""
    return torch.cat([nothing.unsqueeze(2), options.flatten(2)], dim=2)
