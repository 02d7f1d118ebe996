"""`q-learning`: independent tabular Q-learning, all agents and worlds in one vectorised update.

Watkins and Dayan, "Q-learning" (1992), for each agent on its own (Tan, "Multi-agent reinforcement learning:
independent vs. cooperative agents", ICML 1993):

    Q_n(s, a) <- Q_n(s, a) + rate * (r + discount * max_a' Q_n(s', a') - Q_n(s, a)).

The same agent of several worlds shares one table, so worlds side by side are so many episodes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent, Setting
from interplay.agents.parts.choosing import any_allowed, best, epsilon_greedy, linear
from interplay.agents.parts.discretiser import Discretiser
from interplay.envs.types import InterplayError, Observation, SideSpec, Transition


@dataclass(frozen=True)
class QLearningOptions:
    """Hyper-parameters of ``q-learning``."""

    learning_rate: float = 0.01
    """Smallest step of an update; a cell's first updates step by visits ** -0.6."""
    epsilon_start: float = 1.0
    """Share of random actions at the start."""
    epsilon_end: float = 0.05
    """Share of random actions from ``exploration_fraction`` on."""
    exploration_fraction: float = 0.6
    """Part of the training over which the share falls."""
    num_clusters: int = 64
    """States of the discretiser, where the market has no exact state."""
    fit_steps: int = 50
    """Steps of random play that the discretiser is fitted on."""

    def __post_init__(self) -> None:
        if not 0.0 < self.learning_rate <= 1.0:
            raise InterplayError(f"learning_rate={self.learning_rate} must lie above 0 and at most at 1")


class QLearningAgent(Agent):
    """One table for each agent; the state is the market's exact one, or a cluster of what the agent sees."""

    name: ClassVar[str] = "q-learning"
    learns: ClassVar[bool] = True
    Options: ClassVar[type] = QLearningOptions

    def __init__(self, spec: SideSpec, setting: Setting, options: QLearningOptions | None = None) -> None:
        super().__init__(spec, setting, options)
        self.options: QLearningOptions
        self._discretiser: Discretiser | None = None
        num_states = spec.num_states
        if num_states is None:
            self._discretiser = Discretiser(self.options.num_clusters, self.options.fit_steps, setting)
            num_states = self.options.num_clusters
        shape = (spec.num_agents, num_states, spec.num_actions)
        self.table = torch.zeros(shape, device=setting.device)
        self._visits = torch.zeros(shape, device=setting.device)
        self._batch = torch.zeros(shape, device=setting.device)  # all 0 between updates
        self._learned = 0

    @property
    def epsilon(self) -> float:
        """Share of random actions now."""
        o = self.options
        return linear(o.epsilon_start, o.epsilon_end, self._learned / (o.exploration_fraction * self._steps))

    @property
    def _steps(self) -> int:
        return max(1, self.setting.total_steps)

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Epsilon-greedy on the table; at random while the discretiser has not been fitted."""
        if self._discretiser is not None and not self._discretiser.fitted:
            return any_allowed(self, observation.mask)
        values = self._values(self._state(observation))
        if explore:
            return epsilon_greedy(self, values, observation.mask, self.epsilon)
        return best(values, observation.mask)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """One update of every agent in every world."""
        self._learned += 1
        if self._discretiser is not None and not self._discretiser.fitted:
            self._discretiser.add(transition.observation)
            return {}
        error = self._update(transition)
        return {"loss": error.square().mean(), "epsilon": torch.tensor(self.epsilon)}

    def _update(self, transition: Transition) -> Tensor:
        after = transition.next_observation
        values = self._values(self._state(after)).masked_fill(~after.mask, -torch.inf)
        ahead = torch.where(transition.terminated, 0.0, values.amax(-1))
        cell = self._cell(self._state(transition.observation), transition.action)
        table, visits, batch = self.table.view(-1), self._visits.view(-1), self._batch.view(-1)
        error = transition.reward + self.setting.discount * ahead - table[cell]
        error = torch.where(transition.valid, error, 0.0)
        # Worlds that hit one cell at once move it by the mean of their errors, not by the sum.
        flat, weight = cell.flatten(), transition.valid.float().flatten()
        batch.index_add_(0, flat, weight)
        visits.index_add_(0, flat, weight)
        rate = visits[cell].clamp(min=1.0).pow(-0.6).clamp(min=self.options.learning_rate)
        table.index_add_(0, flat, (rate * error / batch[cell].clamp(min=1.0)).flatten())
        batch.index_fill_(0, flat, 0.0)
        return error

    def _state(self, observation: Observation) -> Tensor:
        if self._discretiser is not None:
            return self._discretiser(observation)
        if observation.state is None:
            raise InterplayError(f"the market's spec promises {self.spec.num_states} states, but state is None")
        return observation.state

    def _values(self, state: Tensor) -> Tensor:
        """``[B, N]`` to ``[B, N, A]``."""
        agent = torch.arange(self.spec.num_agents, device=state.device)
        return self.table[agent, state]

    def _cell(self, state: Tensor, action: Tensor) -> Tensor:
        """Place in the flattened table, int64 ``[B, N]``."""
        agent = torch.arange(self.spec.num_agents, device=state.device)
        return (agent * self.table.shape[1] + state) * self.table.shape[2] + action

    def state_dict(self) -> dict[str, Any]:
        """Table, visits, schedule and discretiser."""
        own = {"table": self.table, "visits": self._visits, "learned": self._learned}
        if self._discretiser is not None:
            own["discretiser"] = self._discretiser.state_dict()
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        super().load_state_dict(state)
        self.table.copy_(state["table"])
        self._visits.copy_(state["visits"])
        self._learned = state["learned"]
        if self._discretiser is not None:
            self._discretiser.load_state_dict(state["discretiser"])
