"""An actor and a critic on the article's towers, which ``ippo`` and ``mappo`` train."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from interplay.agents.loops.flat import usable
from interplay.agents.loops.policy import Form, critic_values, log_policies, step_values
from interplay.agents.parts.choosing import log_policy
from interplay.agents.parts.networks import linear_layer, parameters_of
from interplay.agents.parts.towers import Scoring, Towers
from interplay.envs.types import Observation, Side, SideSpec


class ActorCritic(nn.Module):
    """Towers for the policy, towers for the critic.

    Args:
        specs, hidden, device, encoder, scorer: as for ``Towers``.
        critic_inputs: embeddings that the critic's head reads side by side.
    """

    def __init__(self, specs: Mapping[Side, SideSpec], hidden: int, device: torch.device, *, encoder: str,
                 scorer: Scoring, critic_inputs: int) -> None:
        super().__init__()
        self._actor, self._critic = (
            Towers(specs, hidden, device, encoder=encoder, scorer=scorer) for _ in range(2))
        self._value = linear_layer(critic_inputs * hidden, 1, device)
        self._forms = {side: self._form(side, spec, hidden) for side, spec in specs.items()}

    def log_policy(self, side: Side, observation: Observation) -> Tensor:
        """Log-probabilities of all actions, ``[..., A]``."""
        form = None if torch.is_grad_enabled() else self.form(side, observation)
        if form is not None:
            return log_policies(form, parameters_of(self), observation.own, observation.options, observation.mask)
        return log_policy(self._actor.scores(side, self._actor.embed(side, observation)), observation.mask)

    def own_value(self, side: Side, observation: Observation) -> Tensor:
        """A critic's that reads an agent's own embedding alone, and is linear in it as scores are, ``[..., N]``."""
        form = None if torch.is_grad_enabled() else self.form(side, observation)
        if form is not None:
            return critic_values(form, parameters_of(self), observation.own)
        return self.value(self._critic.embed_agent(side, observation))

    def step_values(self, side: Side, seen: Observation, after: Observation) -> tuple[Tensor, Tensor]:
        """``own_value`` of a rollout's steps ``[T, B, N]``, and of what followed each."""
        form = None if torch.is_grad_enabled() else self.form(side, seen)
        if form is not None:
            return step_values(form, parameters_of(self), seen.own, after.own)
        return self.own_value(side, seen), self.own_value(side, after)

    def surrounded(self, side: Side, observation: Observation) -> Tensor:
        """Agents beside the mean of what they may choose from, as the critic sees both, ``[..., N, 2 * E]``."""
        agent, options = self._critic.embed(side, observation)
        return torch.cat([torch.relu(agent), torch.relu(options).mean(-2)], dim=-1)

    def value(self, inputs: Tensor) -> Tensor:
        """``[..., N, critic_inputs * E]`` to ``[..., N]``."""
        value: Tensor = self._value(inputs)
        return value.squeeze(-1)

    def form(self, side: Side, seen: Observation) -> Form | None:
        """What loops know of a side's networks, if they can work on these and on what is seen."""
        form = self._forms.get(side)
        weights = parameters_of(self)
        return form if form is not None and usable(form.hidden, weights, seen.own, seen.options) else None

    def _form(self, side: Side, spec: SideSpec, hidden: int) -> Form | None:
        actor, critic = (towers.layers(side) for towers in (self._actor, self._critic))
        if actor is None or critic is None:
            return None
        weights = list(self.parameters())
        sizes = np.cumsum([0, *(weight.numel() for weight in weights)])
        starts = {id(weight): start for weight, start in zip(weights, sizes, strict=False)}
        parts = [*actor, critic[0], self._value]
        return Form(np.array([starts[id(next(part.parameters()))] for part in parts]),
                    *self._actor.places(side, spec), hidden, spec.num_levels)
