"""Who acts for the most part by values: one option after the other, the best, or now and then any."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interplay.agents.base import Agent, Offer, something
from interplay.agents.parts.choosing import best, epsilon_greedy
from interplay.envs.types import Observation


class EpsilonGreedy(Agent):
    """An agent with ``scores`` for all actions, whose options say how often it explores: ``epsilon(progress)``."""

    options: Any

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """The action of highest score, or, exploring, any allowed one with probability epsilon."""
        values = self.scores(observation)
        if explore:
            return epsilon_greedy(self, values, observation.mask, self.options.epsilon(self.progress))
        return best(values, observation.mask)

    @torch.no_grad()
    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``: each slot takes the best of what is left, or any of it, with chances that are known."""
        epsilon = self.options.epsilon(self.progress) if explore else 0.0
        slots = self.slate(observation, size, explore)
        values, mask = self.scores(observation), observation.mask
        log_propensity = torch.zeros(slots.shape[:2], device=slots.device)
        for slot in slots.unbind(-1):
            mask = something(mask)
            chance = epsilon / mask.sum(-1) + (1.0 - epsilon) * (slot == best(values, mask))
            log_propensity += chance.log()
            mask = mask.scatter(-1, slot.unsqueeze(-1), False)
        return Offer(slots, log_propensity)
