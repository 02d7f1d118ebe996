"""`beta-bernoulli`: Thompson sampling on counts of successes, with no look at features.

Chapelle and Li, "An empirical evaluation of Thompson sampling" (NeurIPS 2011), algorithm 2, with an arm for each item
(for items: segment) and level. Rewards between the smallest and the largest one seen become successes with that
probability (Agrawal and Goyal, "Analysis of Thompson sampling for the multi-armed bandit problem", COLT 2012,
algorithm 2). Arms are told apart by ids, so that they mean most where ids do: in logs and fixed catalogues.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent, Setting
from interplay.agents.parts.arms import arms, num_arms, taken
from interplay.agents.parts.choosing import best
from interplay.envs.types import Observation, SideSpec, Transition


@dataclass(frozen=True)
class BetaBernoulliOptions:
    """Hyper-parameters of ``beta-bernoulli``."""

    shared: bool = True
    """Whether all agents of the side fill the same counts."""


class BetaBernoulliAgent(Agent):
    """Takes the arm whose drawn success rate is highest; without exploration, whose mean is."""

    name: ClassVar[str] = "beta-bernoulli"
    learns: ClassVar[bool] = True
    Options: ClassVar[type] = BetaBernoulliOptions

    def __init__(self, spec: SideSpec, setting: Setting, options: BetaBernoulliOptions | None = None) -> None:
        super().__init__(spec, setting, options)
        self.options: BetaBernoulliOptions
        owners = 1 if self.options.shared else spec.num_agents
        # Beta(1, 1): every rate is as likely before the first try.
        self.success = torch.ones(owners, num_arms(spec), device=setting.device)
        self.failure = torch.ones_like(self.success)
        self._range = torch.tensor([0.0, 1.0], device=setting.device)
        self._owner = torch.arange(spec.num_agents, device=setting.device) * (not self.options.shared)

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        cell = self._cells(observation)
        success, failure = self.success.view(-1)[cell], self.failure.view(-1)[cell]
        if explore:
            success, failure = (gamma(count, self.draw(2, *cell.shape)) for count in (success, failure))
        return best(success / (success + failure), observation.mask)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Count a success or a failure for each agent."""
        self.learned += 1
        reward, valid = transition.reward, transition.valid
        self._range = torch.stack([torch.minimum(self._range[0], torch.where(valid, reward, 0.0).min()),
                                   torch.maximum(self._range[1], torch.where(valid, reward, 0.0).max())])
        chance = (reward - self._range[0]) / (self._range[1] - self._range[0])
        won = self.draw(*reward.shape) < chance
        cell = taken(self._cells(transition.observation), transition.action).flatten()
        self.success.view(-1).index_add_(0, cell, (won & valid).float().flatten())
        self.failure.view(-1).index_add_(0, cell, (~won & valid).float().flatten())
        return {"chance": chance.mean()}

    def _cells(self, seen: Observation) -> Tensor:
        """Place of each action in the flattened counts, int64 ``[B, N, A]``."""
        return self._owner.unsqueeze(1) * self.success.shape[1] + arms(self.spec, seen)

    def state_dict(self) -> dict[str, Any]:
        """Counts, and the range of rewards."""
        return super().state_dict() | {"success": self.success.clone(), "failure": self.failure.clone(),
                                       "range": self._range}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        super().load_state_dict(state)
        self.success.copy_(state["success"])
        self.failure.copy_(state["failure"])
        self._range = state["range"].to(self.setting.device)


def gamma(shape: Tensor, uniforms: Tensor) -> Tensor:
    """Nearly Gamma(shape) draws for shapes of at least 1, without a loop that waits for acceptance.

    The cube root of a gamma variable is nearly normal (Wilson and Hilferty 1931). A ratio of two such draws has the
    mean and the deviation of a Beta variable to within 0.01.

    Args:
        shape: float32 ``[...]``.
        uniforms: in (0, 1), ``[2, ...]``.
    """
    normal = (-2.0 * uniforms[0].log()).sqrt() * (2.0 * math.pi * uniforms[1]).cos()
    root = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * shape.sqrt())
    return shape * root.clamp(min=1e-3) ** 3
