"""`conditional-logit`: users who choose by chance, the better the likelier, as simulators of this field have them.

McFadden, "Conditional logit analysis of qualitative choice behavior" (1973), equation 12, over what the slate holds:

    P(take k) = exp(z_k / temperature) / (exp(nothing / temperature) + sum_j exp(z_j / temperature)),

where sigmoid(z_k) is the response probability of the item in slot k. RecSim's users choose the same way, and SlateQ
assumes it of them (Ie et al., 2019, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.choosing import log_policy, sampled
from interplay.envs.checking import Checked, Positive
from interplay.envs.types import InterplayError, Observation, Side


@dataclass(frozen=True, kw_only=True)
class ConditionalLogitOptions(Checked):
    """How users choose."""

    temperature: Positive = 0.5
    """How much is left to chance: 0 would be the best item always."""
    nothing: float = 0.0
    """What taking nothing is worth, on the scale of z: 0 is worth an item that is liked half of the time."""


class ConditionalLogitAgent(Agent):
    """Simulated users: they know what they like, plan nothing, and choose by chance in evaluations too."""

    name: ClassVar[str] = "conditional-logit"
    sees_expected_reward: ClassVar[bool] = True
    plays: ClassVar[tuple[Side, ...]] = ("users",)
    Options: ClassVar[type] = ConditionalLogitOptions

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        return sampled(self, self._log_policy(observation))

    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor:
        """See ``Agent.log_propensity``."""
        return self._log_policy(observation).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def _log_policy(self, observation: Observation) -> Tensor:
        if observation.expected is None:
            raise InterplayError("conditional-logit needs Observation.expected, which is None: "
                                 "observe(..., expected=True)")
        options: ConditionalLogitOptions = self.options
        score = torch.logit(observation.expected, eps=1e-6)
        score = torch.cat([torch.full_like(score[..., :1], options.nothing), score[..., 1:]], dim=-1)
        return log_policy(score, observation.mask, options.temperature)
