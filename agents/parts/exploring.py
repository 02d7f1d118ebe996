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


def log_chance(player: Player, values: Tensor, mask: Tensor, action: Tensor, explore: bool) -> Tensor:
    """Log-probability with which ``choose`` chooses ``action``, ``[...]``; -inf for an action that it never takes."""
    epsilon = player.options.epsilon(player.progress) if explore else 0.0
    allowed = mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    explored = torch.where(allowed, epsilon / mask.sum(-1), 0.0)
    return (explored + (1.0 - epsilon) * (action == best(values, mask))).log()


class EpsilonGreedy(Agent):
    """An agent with ``scores`` for all actions, whose options say how often it explores: ``epsilon(progress)``."""

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """The action of highest score, or, exploring, any allowed one with probability epsilon."""
        return choose(self, self.scores(observation), observation.mask, explore)

    @torch.no_grad()
    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor:
        """See ``Agent.log_propensity``: known while it explores, too."""
        return log_chance(self, self.scores(observation), observation.mask, action, explore)

    @torch.no_grad()
    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``: each slot takes the best of what is left, or any of it, with chances that are known."""
        values = self.scores(observation)  # whatever the mask, so that they serve all slots

        def take(mask: Tensor) -> tuple[Tensor, Tensor]:
            slot = choose(self, values, mask, explore)
            return slot, log_chance(self, values, mask, slot, explore)

        return filled(observation.mask, size, take)
