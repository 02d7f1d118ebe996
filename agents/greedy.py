"""`greedy`: knows the expected reward of every action and takes the highest. It knows much and plans nothing."""

from typing import ClassVar

from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.choosing import best
from interplay.envs.types import InterplayError, Observation


class GreedyAgent(Agent):
    """The myopic oracle: users know their response probabilities, items their profit if no other agent moves."""

    name: ClassVar[str] = "greedy"
    stacks: ClassVar[bool] = True
    deterministic: ClassVar[bool] = True
    sees_expected_reward: ClassVar[bool] = True

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        if observation.expected is None:
            raise InterplayError("greedy needs Observation.expected, which is None: observe(..., expected=True)")
        return best(observation.expected, observation.mask)
