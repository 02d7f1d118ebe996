"""Who acts for the most part by values: one option after the other, the best, or now and then any."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.agents.base import Agent, Offer, Player, filled
from interplay.agents.parts.choosing import best, epsilon_greedy
from interplay.envs.types import Observation


def choose(player: Player, values: Tensor, mask: Tensor, explore: bool) -> Tensor:
    """The action of highest value, or, exploring, any allowed one with probability ``options.epsilon(progress)``."""
    if explore:
        return epsilon_greedy(player, values, mask, player.options.epsilon(player.progress))
    return best(values, mask)


class EpsilonGreedy(Agent):
    """An agent with ``scores`` for all actions, whose options say how often it explores: ``epsilon(progress)``."""

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """The action of highest score, or, exploring, any allowed one with probability epsilon."""
        return choose(self, self.scores(observation), observation.mask, explore)

    @torch.no_grad()
    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``: each slot takes the best of what is left, or any of it, with chances that are known."""
        epsilon = self.options.epsilon(self.progress) if explore else 0.0
        values = self.scores(observation)  # whatever the mask, so that they serve all slots

        def take(mask: Tensor) -> tuple[Tensor, Tensor]:
            slot = choose(self, values, mask, explore)
            chance = epsilon / mask.sum(-1) + (1.0 - epsilon) * (slot == best(values, mask))
            return slot, chance.log()

        return filled(observation.mask, size, take)
