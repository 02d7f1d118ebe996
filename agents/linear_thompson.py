"""`linear-thompson`: a linear model of rewards, tried as it may be.

Agrawal and Goyal, "Thompson sampling for contextual bandits with linear payoffs" (ICML 2013), algorithm 1: each agent
of each world draws weights from N(A^-1 b, v^2 A^-1) at each step and takes what is best by them. The model is that of
``linucb``: one regression of all agents of a side, for each level (``agents/parts/linear.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.parts.choosing import best
from interplay.agents.parts.linear import LinearBandit, LinearOptions
from interplay.envs.types import InterplayError, Observation


@dataclass(frozen=True, kw_only=True)
class LinearThompsonOptions(LinearOptions):
    """Hyper-parameters of ``linear-thompson``."""

    scale: float = 0.5
    """v, standard deviation of a reward around its mean: 0.5 is the most that a response of 0 or 1 can have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale < 0.0:
            raise InterplayError(f"scale={self.scale} must be at least 0")


class LinearThompsonAgent(LinearBandit):
    """Takes the best action by weights drawn from the posterior; without exploration, by their mean."""

    name: ClassVar[str] = "linear-thompson"
    Options: ClassVar[type] = LinearThompsonOptions
    options: LinearThompsonOptions

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        if not explore:
            return best(self.scores(observation), observation.mask)
        rows = self.ridge.rows(observation)
        return best(self.ridge.by_action(rows @ self.drawn(*rows.shape[:2]).mT), observation.mask)

    def drawn(self, num_worlds: int, num_agents: int) -> Tensor:
        """Weights from the posterior for each agent of each world, float64 ``[B, N, 1 + L, F]``."""
        mean = self.ridge.weights()
        normal = torch.special.ndtri(self.draw(num_worlds, num_agents, *mean.shape).double())
        return mean + self.options.scale * self.ridge.sample(normal)
