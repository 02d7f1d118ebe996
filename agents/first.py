"""`first`: takes the first slot, or targets the first segment at the lowest level."""

from typing import ClassVar

from torch import Tensor

from interplay.agents.base import Agent
from interplay.envs.types import Observation


class FirstAgent(Agent):
    """The first action after doing nothing, where the side has one and the mask allows it."""

    name: ClassVar[str] = "first"
    deterministic: ClassVar[bool] = True

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        return observation.mask[..., 1:2].sum(-1)
