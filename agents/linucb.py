"""`linucb`: a linear model of rewards, and a bonus for what it is not sure of.

Li et al., "A contextual-bandit approach to personalized news article recommendation" (WWW 2010), algorithm 1, line 9:

    a = argmax_a x_a' A^-1 b + alpha * sqrt(x_a' A^-1 x_a).

There each arm has its own regression. Here items change with the worlds, so all options of all agents of a side share
one regression for each level, and their features distinguish them (``agents/parts/linear.py``). It learns what pays now
and plans nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from interplay.agents.parts.choosing import best
from interplay.agents.parts.linear import LinearBandit, LinearOptions
from interplay.envs.types import InterplayError, Observation


@dataclass(frozen=True, kw_only=True)
class LinUCBOptions(LinearOptions):
    """Hyper-parameters of ``linucb``."""

    alpha: float = 1.0
    """Width of the confidence bound, in standard deviations of the estimate where rewards have variance 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha < 0.0:
            raise InterplayError(f"alpha={self.alpha} must be at least 0")


class LinUCBAgent(LinearBandit):
    """Takes the action of highest upper confidence bound; without exploration, of highest estimate."""

    name: ClassVar[str] = "linucb"
    deterministic: ClassVar[bool] = True
    Options: ClassVar[type] = LinUCBOptions
    options: LinUCBOptions

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        values = self.scores(observation)
        if explore:
            deviation = self.ridge.deviation(self.ridge.rows(observation))
            values = values + self.options.alpha * self.ridge.by_action(deviation)
        return best(values, observation.mask)
