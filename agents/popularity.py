"""`popularity`: users take what had most responses so far, platforms show it, items target the largest segment."""

from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.envs.types import Observation


class PopularityAgent(Agent):
    """Follows the crowd; items do it at their lowest level."""

    name: ClassVar[str] = "popularity"
    deterministic: ClassVar[bool] = True

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """How large each crowd is, -1 for doing nothing; see ``Agent.scores``."""
        column = "segment_share" if self.spec.side == "items" else "popularity"
        crowd = observation.options[..., self.spec.option_features.index(column)]
        values = torch.full(observation.mask.shape, -1.0, device=crowd.device)
        if self.spec.num_levels > 0:
            values[..., 1 :: self.spec.num_levels] = crowd
        return values
