"""`beta-bernoulli`: Thompson sampling on counts of successes, with no look at features.

Chapelle and Li, "An empirical evaluation of Thompson sampling" (NeurIPS 2011), algorithm 2, with an arm for each item
(for items: segment) and level, and one for doing nothing. Rewards other than 0 and 1 become successes by a trial of
their own (Agrawal and Goyal, "Analysis of Thompson sampling for the multi-armed bandit problem", COLT 2012, algorithm
2): with chance (r - lowest) / (highest - lowest), of all rewards so far and of the responses 0 and 1. What was counted
stays as it is when that range grows.

Arms are distinguished by ids. So they mean most where ids do: in logs and fixed catalogues. In markets with other
people in each world, as `town` has, a number is another item each time. With shared counts all users then follow one
arbitrary ranking, which starves all items but a few; with counts of their own they do not, but learn N times slower
where ids do mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.action_ids import action_ids, gather_action, num_action_ids
from interplay.agents.parts.choosing import best
from interplay.agents.parts.optimising import valid_mean
from interplay.envs.checking import Checked
from interplay.envs.types import Observation, Transition

_CANDIDATES = 4


@dataclass(frozen=True, kw_only=True)
class BetaBernoulliOptions(Checked):
    """Hyper-parameters of ``beta-bernoulli``."""

    shared: bool = True
    """Whether all agents of the side fill the same counts."""


class BetaBernoulliAgent(Agent):
    """Takes the arm whose drawn success rate is highest; without exploration, whose mean is."""

    name: ClassVar[str] = "beta-bernoulli"
    Options: ClassVar[type] = BetaBernoulliOptions
    options: BetaBernoulliOptions

    def build(self) -> None:
        """See ``Player.build``."""
        owners = 1 if self.options.shared else self.num_agents
        # Beta(1, 1): every rate is as likely before the first try. Double, because float32 cannot count beyond 2^24.
        self.success = torch.ones(owners, num_action_ids(self.spec), dtype=torch.float64)
        self.failure = torch.ones_like(self.success)
        self.range = torch.tensor([0.0, 1.0])
        self._owner = torch.arange(self.num_agents) * (not self.options.shared)

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """See ``Agent.act``."""
        if not explore:
            return best(self.scores(observation), observation.mask)
        cell = self._cells(observation)
        success, failure = (gamma(count.view(-1)[cell], self.draw(2, _CANDIDATES, *cell.shape))
                            for count in (self.success, self.failure))
        return best(success / (success + failure), observation.mask)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Mean success rates; see ``Agent.scores``."""
        cell = self._cells(observation, agent_ids)
        success, failure = self.success.view(-1)[cell], self.failure.view(-1)[cell]
        return success / (success + failure)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Count a success or a failure for each agent."""
        reward, valid, weight = transition.reward, transition.valid, transition.weight.double().flatten()
        self.range = _widened(self.range, reward.masked_fill(~valid, 0.0))  # which always holds 0
        chance = (reward - self.range[0]) / (self.range[1] - self.range[0])
        won = self.draw(*reward.shape) < chance
        cell = gather_action(self._cells(transition.observation), transition.action).flatten()
        expected = (self.success / (self.success + self.failure)).view(-1)[cell].view_as(chance)
        self.success.view(-1).index_add_(0, cell, (won & valid).flatten() * weight)
        self.failure.view(-1).index_add_(0, cell, (~won & valid).flatten() * weight)
        return {"chance": valid_mean(chance * transition.weight, valid),
                "loss": valid_mean((chance - expected).square() * transition.weight, valid)}

    def _cells(self, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Place of each action in the flattened counts, int64 ``[B, N, A]``."""
        owner = self._owner if agent_ids is None else self._owner[agent_ids]
        return owner.unsqueeze(1) * self.success.shape[1] + action_ids(self.spec, seen)



def gamma(shape: Tensor, uniforms: Tensor) -> Tensor:
    """Gamma(shape) draws for shapes of at least 1; the ratio x / (x + y) of two is a Beta draw.

    Marsaglia and Tsang, "A simple method for generating gamma variables" (TOMS 2000): d (1 + c z)^3 of a normal z is
    nearly gamma distributed, and exactly so once it has been refused now and then. Here a fixed number of candidates
    stands in for the loop, which would wait for the device: at most 1 in 20 is refused, all four in 1 of 160,000 draws,
    which then keep the last.

    Args:
        shape: ``[...]``.
        uniforms: float32 in (0, 1), ``[2, candidates, ...]``.

    Returns:
        float64 ``[...]``, above 0.
    """
    normal = torch.special.ndtri(uniforms[0].double())
    d = shape.double() - 1.0 / 3.0
    cube: Tensor = (1.0 + normal / (9.0 * d).sqrt()).clamp(min=1e-6) ** 3
    accepted = uniforms[1].log() < 0.5 * normal**2 + d - d * cube + d * cube.log()
    first = accepted.int().argmax(0, keepdim=True)
    last = torch.where(accepted.any(0, keepdim=True), first, len(accepted) - 1)
    return d * cube.gather(0, last).squeeze(0)


def _widened(extremes: Tensor, values: Tensor) -> Tensor:
    """``[lowest, highest]`` of these and of ``values``."""
    return torch.stack([torch.minimum(extremes[0], values.min()), torch.maximum(extremes[1], values.max())])
