"""`random`: any allowed action, each as likely."""

from typing import ClassVar

from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.choosing import Offer, any_slate
from interplay.envs.types import Observation


class RandomAgent(Agent):
    """Uniform over the mask, doing nothing included."""

    name: ClassVar[str] = "random"
    stacks: ClassVar[bool] = True

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``; ``explore`` makes no difference."""
        return self.draw_allowed(observation.mask)

    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor:
        """See ``Agent.log_propensity``."""
        return -observation.mask.sum(-1).log()

    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``: all slates are as likely."""
        return any_slate(self, observation.mask, size)
