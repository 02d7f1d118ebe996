"""`linear-thompson`: a linear model of rewards, tried as it may be.

Agrawal and Goyal, "Thompson sampling for contextual bandits with linear payoffs" (ICML 2013), algorithm 1: each agent
draws weights from the posterior N(A^-1 b, v^2 A^-1) at each step and takes what is best by them. The model is that of
``linucb``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Setting
from interplay.agents.parts.arms import LinearBandit, LinearBanditOptions
from interplay.agents.parts.choosing import best
from interplay.envs.types import InterplayError, Observation, SideSpec


@dataclass(frozen=True)
class LinearThompsonOptions(LinearBanditOptions):
    """Hyper-parameters of ``linear-thompson``."""

    scale: float = 0.5
    """v, standard deviation of a reward around its mean: 0.5 is the most that a response of 0 or 1 can have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale < 0.0:
            raise InterplayError(f"scale={self.scale} must not be below 0")


class LinearThompsonAgent(LinearBandit):
    """Takes the best action by weights drawn from the posterior; without exploration, by their mean."""

    name: ClassVar[str] = "linear-thompson"
    Options: ClassVar[type] = LinearThompsonOptions

    def __init__(self, spec: SideSpec, setting: Setting, options: LinearThompsonOptions | None = None) -> None:
        super().__init__(spec, setting, options)
        self.options: LinearThompsonOptions

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        nothing, options = self._arms.rows(observation)
        weights = self._arms.weights().expand(*nothing.shape[:2], -1, -1)
        if explore:
            weights = weights + self.options.scale * self._deviation(*nothing.shape[:2])
        values = torch.cat([(nothing * weights[:, :, 0]).sum(2, keepdim=True),
                            (options @ weights[:, :, 1:].transpose(2, 3)).flatten(2)], dim=2)
        return best(values, observation.mask)

    def _deviation(self, num_worlds: int, num_agents: int) -> Tensor:
        """Draws from N(0, A^-1) for each agent and model, float64 ``[B, N, 1 + L, F]``."""
        models, size = self._arms.moment.shape
        pair = self.draw(2, num_worlds, num_agents, models, size).double()
        normal = (-2.0 * pair[0].log()).sqrt() * (2.0 * math.pi * pair[1]).cos()
        # With A = C C', the solution of C' x = z has covariance A^-1.
        factor = torch.linalg.cholesky(self._arms.precision).transpose(1, 2)
        deviation: Tensor = torch.linalg.solve_triangular(factor, normal.unsqueeze(4), upper=True)
        return deviation.squeeze(4)
