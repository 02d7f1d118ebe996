"""`rest`: never does anything. Items at rest leave the market to tastes alone."""

from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.envs.types import Observation


class RestAgent(Agent):
    """Always action 0."""

    name: ClassVar[str] = "rest"
    stacks: ClassVar[bool] = True
    deterministic: ClassVar[bool] = True

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        return torch.zeros_like(observation.mask[..., 0], dtype=torch.int64)
