"""`matrix-factorisation`: epsilon-greedy on a low-rank model of rewards that is fitted as it goes.

Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems" (Computer 2009), equations 4 and 5:
r_ua is guessed as b_u + b_a + <p_u, q_a> and every error moves all four by a stochastic gradient step; the overall mean
is left to the agents' biases. An arm a is an item (for items: a segment) and level, or doing nothing.

Arms are distinguished by ids. So they mean most where ids do: in logs and fixed catalogues. In markets with other
people in each world, as `town` has, a number is another item each time: what is left is whether to act at all and a
ranking of numbers that is arbitrary but common to all users, which starves all items but a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.action_ids import action_ids, gather_action, num_action_ids
from interplay.agents.parts.optimising import valid_mean
from interplay.agents.parts.schedules import Exploring, check_above_zero, check_at_least_one
from interplay.envs.noise import Stream
from interplay.envs.types import InterplayError, Observation, Transition


@dataclass(frozen=True, kw_only=True)
class MatrixFactorisationOptions(Exploring):
    """Hyper-parameters of ``matrix-factorisation``."""

    size: int = 8
    """Numbers of a vector."""
    learning_rate: float = 0.05
    """Step of the gradient."""
    penalty: float = 0.02
    """Pull of vectors and biases towards 0, for each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "size")
        check_above_zero(self, "learning_rate")
        if self.penalty < 0.0:
            raise InterplayError(f"penalty={self.penalty} must be at least 0")


class MatrixFactorisationAgent(Agent):
    """A vector and a bias for each agent and for each arm."""

    name: ClassVar[str] = "matrix-factorisation"
    Options: ClassVar[type] = MatrixFactorisationOptions
    options: MatrixFactorisationOptions

    def build(self) -> None:
        """See ``Player.build``."""
        size = self.options.size
        self.agent = self._start(self.num_agents, size)
        self.arm = self._start(num_action_ids(self.spec), size)

    def _start(self, count: int, size: int) -> Tensor:
        """Small vectors, and a bias of 0 as the last column."""
        vectors = 0.2 * (self.draw(count, size, stream=Stream.WEIGHTS) - 0.5)
        return torch.cat([vectors, torch.zeros_like(vectors[:, :1])], dim=1)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """The guesses, without the agents' own biases, which move no choice; see ``Agent.scores``."""
        arm = self.arm[action_ids(self.spec, observation)]
        agent = self.agent if agent_ids is None else self.agent[agent_ids]
        values: Tensor = (agent[:, :-1].unsqueeze(1) * arm[..., :-1]).sum(-1) + arm[..., -1]
        return values

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """A gradient step on the errors of all agents; what is hit twice at once moves by the mean."""
        arm = gather_action(action_ids(self.spec, transition.observation), transition.action)
        agent_ids = torch.arange(self.spec.num_agents, device=arm.device).expand_as(arm)
        mine, theirs = self.agent[agent_ids], self.arm[arm]
        guess = (mine[..., :-1] * theirs[..., :-1]).sum(-1) + mine[..., -1] + theirs[..., -1]
        error = torch.where(transition.valid, transition.reward - guess, 0.0)
        ones, share = torch.ones_like(mine[..., -1:]), self._share(mine, theirs, error, transition)
        self._move(self.agent, agent_ids, torch.cat([theirs[..., :-1], ones], dim=-1), error, share, transition.valid)
        self._move(self.arm, arm, torch.cat([mine[..., :-1], ones], dim=-1), error, share, transition.valid)
        return {"loss": valid_mean(error.square() * transition.weight, transition.valid)}

    def _share(self, mine: Tensor, theirs: Tensor, error: Tensor, done: Transition) -> Tensor:
        """By what to multiply steps, float32 ``[B, N]``: heavier ones go further, none past what takes the error away.

        A step of both vectors and biases changes the guess by ``rate * error * (s + 2)``, with the vectors' squared
        lengths s, and by a product of the steps, which is at most ``(rate * error)**2 * s / 2``.
        """
        rate = self.options.learning_rate
        squares = mine[..., :-1].square().sum(-1) + theirs[..., :-1].square().sum(-1)
        reach = rate * (squares * (1.0 + 0.5 * rate * error.abs()) + 2.0)
        return done.valid * done.weight.clamp(max=max(1.0, 1.0 / rate)) / reach.clamp(min=1.0)

    def _move(self, table: Tensor, row: Tensor, slope: Tensor, error: Tensor, share: Tensor, valid: Tensor) -> None:
        """Move the rows of ``table`` at ``row [B, N]``; those of agents that have left stay."""
        flat = row.flatten()
        step = (error.unsqueeze(-1) * slope - self.options.penalty * table[row]) * share.unsqueeze(-1)
        count = torch.zeros_like(table[:, 0]).index_add(0, flat, valid.float().flatten())
        total = torch.zeros_like(table).index_add(0, flat, step.flatten(0, 1))
        table += self.options.learning_rate * total / count.clamp(min=1.0).unsqueeze(1)
