"""`mappo`: PPO with a centralised critic and a common reward, decentralised actors.

Yu et al., "The surprising effectiveness of PPO in cooperative multi-agent games" (NeurIPS 2022). It is ``ippo`` but for
two things. The critic reads what an agent is and may choose from, beside the mean of this over all agents that it
plays, which is what the paper's agent-specific global state (section 5.2) becomes with any number of agents. What there
is to choose from belongs to it: much of the state, such as how long items can still pay their upkeep, shows nowhere
else. And every agent is paid the mean of what all of them earn, until the last of them has gone: one that goes earlier
leaves the team's return as it is, and only its own later steps are not learnt from (the paper's active masks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.ippo import IPPOAgent, IPPOOptions
from interplay.agents.parts.optimising import valid_mean
from interplay.agents.parts.returns import cut_off
from interplay.envs.types import Observation, Side, Transition


@dataclass(frozen=True, kw_only=True)
class MAPPOOptions(IPPOOptions):
    """Hyper-parameters of ``mappo``: those of ``ippo``, some with another default."""

    num_minibatches: int = 1
    """Parts of a rollout, each of which is one step of the optimiser; 1 = it is not split, as section 5.3 advises."""


class MAPPOAgent(IPPOAgent):
    """One team of all agents that it plays, on one side or on both."""

    name: ClassVar[str] = "mappo"
    stacks: ClassVar[bool] = True
    critic_inputs: ClassVar[int] = 4
    """An agent's own embedding and the mean of its options', and both pooled over agents."""
    # Once a team has learnt, standardised advantages are noise of the critic, and many small steps on one rollout can
    # turn round what an agent does for certain before anything is played again.
    Options: ClassVar[type] = MAPPOOptions

    def _returns(self, rollouts: Mapping[Side, Transition], ahead: Mapping[Side, Tensor]) -> dict[Side, Tensor]:
        """Lambda-returns of what all earn on average, for each agent: float32 ``[T, B, N]``.

        Rewards have no weights. The loss of an agent's own steps has them.
        """
        steps = list(rollouts.values())
        reward = torch.cat([step.reward * step.valid for step in steps], -1).mean(-1, keepdim=True)
        present = torch.cat([step.valid for step in steps], -1)
        stays = present & ~torch.cat([step.terminated for step in steps], -1)
        # The critic is not trained on views of agents that have left: those that stay show what the team will earn.
        team = valid_mean(torch.cat(list(ahead.values()), -1), stays, dim=-1).unsqueeze(-1)
        ended, cut = ~stays.any(-1, keepdim=True), cut_off(steps[0].truncated[..., :1], present.any(-1, keepdim=True))
        return {side: self._lambda_returns(reward, ended, cut,
                                           torch.where(step.valid & ~step.terminated, ahead[side], team))
                for side, step in rollouts.items()}

    def _values(self, seen: Mapping[Side, Observation]) -> dict[Side, Tensor]:
        """The critic, float32 ``[..., N]`` for each side: from what an agent sees and from what all see."""
        agents = {side: self.network.surrounded(side, observation) for side, observation in seen.items()}
        pooled = torch.cat(list(agents.values()), dim=-2).mean(-2, keepdim=True)
        return {side: self.network.value(torch.cat([own, pooled.expand_as(own)], dim=-1))
                for side, own in agents.items()}

    def _step_values(self, rollouts: Mapping[Side, Transition]) -> tuple[dict[Side, Tensor], dict[Side, Tensor]]:
        """See ``IPPOAgent``."""
        return (self._values({side: step.observation for side, step in rollouts.items()}),
                self._values({side: step.next_observation for side, step in rollouts.items()}))
