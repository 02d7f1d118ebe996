"""`mappo`: PPO with a centralised critic and a common reward, decentralised actors.

Yu et al., "The surprising effectiveness of PPO in cooperative multi-agent games" (NeurIPS 2022). It is ``ippo`` but for
two things. The critic reads what an agent is and may choose from, beside the mean of this over all agents that it
plays, which is what the paper's agent-specific global state (section 5.2) becomes with any number of agents. What there
is to choose from belongs to it: much of the state, such as how long items can still pay their upkeep, shows nowhere
else. And every agent is paid the mean of what all of them earn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.ippo import IPPOAgent, IPPOOptions
from interplay.envs.types import Observation, Side, Transition


@dataclass(frozen=True)
class MAPPOOptions(IPPOOptions):
    """Hyper-parameters of ``mappo``: those of ``ippo``, some with another default."""

    num_minibatches: int = 1
    """Parts of a rollout, each of which is one step of the optimiser; 1 = it is not split, as section 5.3 advises."""


class MAPPOAgent(IPPOAgent):
    """One team of all agents that it plays, on one side or on both."""

    name: ClassVar[str] = "mappo"
    # Once a team has learnt, standardised advantages are noise of the critic, and many small steps on one rollout can
    # turn round what an agent does for certain before anything is played again.
    Options: ClassVar[type] = MAPPOOptions

    def _critic_inputs(self) -> int:
        """An agent's own embedding and the mean of its options', and both pooled over agents."""
        return 4

    def _rewards(self, rollouts: Mapping[Side, Transition]) -> dict[Side, Tensor]:
        """What all earn on average, for everybody: float32 ``[T, B, N]``.

        Without weights: an agent's own steps count by theirs in the loss, and what others earned is no doing of its.
        """
        team = torch.cat([step.reward * step.valid for step in rollouts.values()], dim=-1).mean(-1, keepdim=True)
        return {side: team.expand_as(step.reward) for side, step in rollouts.items()}

    def _values(self, seen: Mapping[Side, Observation]) -> dict[Side, Tensor]:
        """The critic, float32 ``[..., N]`` for each side: from what an agent sees and from what all see."""
        agents = {side: self.network.surrounded(side, observation) for side, observation in seen.items()}
        pooled = torch.cat(list(agents.values()), dim=-2).mean(-2, keepdim=True)
        return {side: self.network.value(torch.cat([own, pooled.expand_as(own)], dim=-1))
                for side, own in agents.items()}
