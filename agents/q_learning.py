"""`q-learning`: independent tabular Q-learning, all agents and worlds in one vectorised update.

Watkins and Dayan, "Q-learning" (1992), for each agent on its own (Tan, "Multi-agent reinforcement learning:
independent vs. cooperative agents", ICML 1993):

    Q_n(s, a) <- Q_n(s, a) + rate * (r + discount * max_a' Q_n(s', a') - Q_n(s, a)).

``double`` keeps two tables, each of which judges what the other would choose (van Hasselt, "Double Q-learning",
NeurIPS 2010, algorithm 1). ``negative_error_scale`` below 1 learns less from errors below 0 than from those above, so
that an agent is not put off by others that still explore (Matignon et al., "Hysteretic Q-learning", IROS 2007,
equation 3).

The same agent of several worlds shares one table, so worlds side by side are so many episodes at once.

``shared`` gives all agents one table, to which each adds a value of its own, since what they earn differs by far more
than any action changes it: Q_n(s, a) = V_n + A(s, a), both moved by the error above.

Where an action is paid for in the step after it was chosen and no exact state says which that was, a reward goes to the
action that it pays: the one chosen a step before (Schuitema et al., "Control delay in reinforcement learning for
real-time dynamic systems: a memoryless approach", IROS 2010, dQ).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.abstraction import Abstraction
from interplay.agents.parts.choosing import Offer, any_slate, chosen_slate, log_chance
from interplay.agents.parts.discretiser import TABLE_LOOP
from interplay.agents.parts.schedules import Exploring, check_at_least_one
from interplay.envs.kernels import compiled, usable
from interplay.envs.stacking import in_arrays, table_of
from interplay.envs.types import InterplayError, Observation, Transition


@dataclass(frozen=True, kw_only=True)
class QLearningOptions(Exploring):
    """Hyper-parameters of ``q-learning``."""

    exploration_fraction: float = 0.6
    """Part of the training over which the share of random actions falls."""
    learning_rate: float = 0.01
    """Smallest step of an update; a cell's first updates step by visits ** -rate_power."""
    rate_power: float = 0.6
    """How fast steps get smaller: 1 averages over all that a cell has seen, less forgets the oldest sooner."""
    negative_error_scale: float = 1.0
    """Factor of the step where the error is below 0."""
    double: bool = False
    """Whether two tables judge each other's choices."""
    shared: bool = False
    """Whether all agents of the side fill one table, beside a value that each has of its own."""
    num_clusters: int = 16
    """States, where the market has no exact ones: clusters of agents' own features."""
    num_kinds: int = 64
    """Kinds of options there: clusters of their features."""
    fit_steps: int = 50
    """Steps of random play that the clusters are fitted on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate", "rate_power", "negative_error_scale"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise InterplayError(f"{name}={getattr(self, name)} must lie above 0 and at most at 1")
        check_at_least_one(self, "num_clusters", "num_kinds", "fit_steps")


class QLearningAgent(Agent):
    """A table for each agent; states and columns as ``Abstraction`` says."""

    name: ClassVar[str] = "q-learning"
    stacks: ClassVar[bool] = True
    Options: ClassVar[type] = QLearningOptions
    options: QLearningOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o, spec = self.options, self.spec
        self._abstraction = Abstraction(spec, self.setting.seed, o.num_clusters, o.num_kinds, o.fit_steps)
        shape = (1 + o.double, 1 if o.shared else spec.num_agents, self._abstraction.num_states,
                 self._abstraction.num_columns)
        self.table, self._visits = self.zeros(*shape), self.zeros(*shape)
        self._batch = self.zeros(*shape)  # all 0 between updates
        self._owner = torch.arange(spec.num_agents) * (not o.shared)
        self._level = self.zeros(spec.num_agents)  # stays 0 unless the table is shared
        self._steps = self.zeros(spec.num_agents)
        self._delayed = spec.delayed and spec.num_states is None
        self._in_force: Tensor | None = None

    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Epsilon-greedy on the tables' mean; at random while the clusters have not been fitted."""
        return super().act(observation, explore) if self._abstraction.ready else self.draw_allowed(observation.mask)

    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """See ``Agent.offer``; any slate while the clusters have not been fitted."""
        if not self._abstraction.ready:
            return any_slate(self, observation.mask, size)
        return chosen_slate(self, self.scores(observation), observation.mask, size, explore)

    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor:
        """See ``Agent.log_propensity``; any action is as likely while the clusters have not been fitted."""
        if not self._abstraction.ready:
            return -observation.mask.sum(-1).log()
        return log_chance(self, self.scores(observation), observation.mask, action, explore)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """The tables' mean, alike for all options of a kind; see ``Agent.scores``."""
        if not self._abstraction.ready:
            raise InterplayError(f"'q-learning' has no scores before {self.options.fit_steps} steps: train longer, or "
                                 "with fewer fit_steps")
        if agent_ids is None and usable(table_of(self.table)):
            return self._scores_by_loops(observation)
        level = self._level if agent_ids is None else self._level[agent_ids]
        return self.table.view(-1)[self._cells(observation, agent_ids)].mean(0) + level.unsqueeze(-1)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """One update of every agent in every world."""
        paid = self._paid(transition)
        if not self._abstraction.ready:
            self._abstraction.add(transition.observation)
            return {}
        if usable(table_of(self.table)):
            return {"loss": self._learn_by_loops(transition, paid)}
        cells = self._cells(transition.observation)
        cell = cells.gather(3, paid.expand(cells.shape[:3]).unsqueeze(3)).squeeze(3)
        cell, ahead = self._judged(cell, self._cells(transition.next_observation), transition.next_observation.mask)
        error = self._move(cell, ahead, transition)
        return {"loss": error.square().mean()}

    def _paid(self, transition: Transition) -> Tensor:
        """The action ``[B, N]`` that the reward pays; where that is the one before, also note this one."""
        if not self._delayed:
            return transition.action
        paid = torch.zeros_like(transition.action) if self._in_force is None else self._in_force
        if usable(table_of(paid)):
            self._in_force = in_arrays(lambda action, ended, cut: torch.from_numpy(np.where(ended | cut, 0, action)),
                                       transition.action, transition.terminated, transition.truncated)
            return paid
        self._in_force = torch.where(transition.terminated | transition.truncated, 0, transition.action)
        return paid

    def _cells(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Place of each action in the flattened tables: int64 ``[tables, B, N, A]``."""
        tables, owners, states, columns = self.table.shape
        owner = self._owner if agent_ids is None else self._owner[agent_ids]
        row = owner * states + self._abstraction.state(observation)
        one = row.unsqueeze(2) * columns + self._abstraction.columns(observation)
        if tables == 1:
            return one.unsqueeze(0)
        return one + torch.arange(tables, device=one.device).view(-1, 1, 1, 1) * (owners * states * columns)

    def _judged(self, cell: Tensor, cells: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The cells to move ``[B, N]``, and the value of what follows.

        Args:
            cell: ``[tables, B, N]``, what was done, in each table.
            cells: ``[tables, B, N, A]``, what can be done next.
            mask: ``[B, N, A]``, what may be.
        """
        values = self.table.view(-1)[cells].masked_fill(~mask, -torch.inf)
        if not self.options.double:
            return cell[0], values[0].amax(-1)
        # A coin for each agent in each world says which table moves and which one judges.
        heads = self.draw(*cell.shape[1:]) < 0.5
        judged = values.flip(0).gather(3, values.argmax(3, keepdim=True)).squeeze(3)
        return torch.where(heads, cell[0], cell[1]), torch.where(heads, judged[0], judged[1])

    def _move(self, cell: Tensor, ahead: Tensor, transition: Transition) -> Tensor:
        """Move the cells towards what they turned out to be worth; gives the errors ``[B, N]``."""
        table, visits, batch = self.table.view(-1), self._visits.view(-1), self._batch.view(-1)
        ahead = torch.where(transition.terminated, 0.0, ahead + self._level)
        error = transition.reward + self.discount * ahead - table[cell] - self._level
        error = torch.where(transition.valid, error, 0.0)
        if self.options.shared:
            error = torch.where(transition.valid, error - self._raise_levels(error, transition.valid), 0.0)
        # Agents and worlds that hit one cell at once move it by the mean of their errors, not by the sum.
        flat, one = cell.flatten(), transition.valid.float().flatten()
        batch.index_add_(0, flat, one)
        visits.index_add_(0, flat, one)
        rate = self._rate(visits[cell]) * torch.where(error < 0.0, self.options.negative_error_scale, 1.0)
        rate = (rate * transition.weight).clamp(max=1.0)  # heavier steps move further, but not past their target
        table.index_add_(0, flat, (rate * error / batch[cell].clamp(min=1.0)).flatten())
        batch.index_fill_(0, flat, 0.0)
        return error

    def _raise_levels(self, error: Tensor, valid: Tensor) -> Tensor:
        """Move each agent's own value by its mean error over worlds ``[B, N]``; gives how far, ``[N]``."""
        count = valid.sum(0)
        self._steps += count
        step = self._rate(self._steps) * error.sum(0) / count.clamp(min=1)
        self._level += step
        return step

    def _rate(self, visits: Tensor) -> Tensor:
        """The step of an update after so many visits."""
        return visits.clamp(min=1.0).pow(-self.options.rate_power).clamp(min=self.options.learning_rate)

    def _scores_by_loops(self, observation: Observation) -> Tensor:
        """What ``scores`` gives, to the same bits."""
        def work(mask: Any, state: Any, kinds: Any, table: Any, *more: Any) -> Tensor:
            found = torch.empty(mask.shape)
            compiled(TABLE_LOOP).values(table, *more, self.spec.num_levels, (state, kinds), found.numpy())
            return found

        return in_arrays(work, observation.mask, *self._abstraction.places(observation), self.table, self._owner,
                         self._level)

    def _learn_by_loops(self, transition: Transition, paid: Tensor) -> Tensor:
        """What an update does, to the same bits; gives the mean of squared errors."""
        after = transition.next_observation
        coin = self.draw(*paid.shape) if self.options.double else self._level
        return in_arrays(
            self._updated, self.table, self._visits, self._batch, self._owner, self._level, self._steps, coin, paid,
            transition.reward, transition.terminated, transition.valid, transition.weight, after.mask,
            *self._abstraction.places(transition.observation), *self._abstraction.places(after))

    def _updated(self, table: Any, visits: Any, batch: Any, owner: Any, level: Any, steps: Any, coin: Any,
                 *given: Any) -> Tensor:
        """The same, of the arrays of all copies. Torch works out powers and sums."""
        o, loops, (action, reward, terminated, valid, weight, mask, *places) = self.options, compiled(TABLE_LOOP), given
        error, rate, agent_rate = (torch.empty(like.shape) for like in (action, action, level))
        cell, count = np.empty(action.shape, np.int64), np.empty(level.shape, np.float32)
        loops.errors(table, owner, level, self.spec.num_levels, np.float32(self.discount), tuple(places[:2]),
                     tuple(places[2:]), mask, coin.reshape(*coin.shape[:2], -1), (action, reward, terminated, valid),
                     o.shared, (visits, batch, steps), cell, error.numpy(), rate.numpy(), agent_rate.numpy(), count)
        for visited in (rate, agent_rate):
            visited.pow_(-o.rate_power)
        total = (error.sum(1) if o.shared else error[:, 0, :0]).numpy()
        loops.move(table, batch, cell, valid, weight, (rate.numpy(), agent_rate.numpy()), np.float32(o.learning_rate),
                   np.float32(o.negative_error_scale), level, count, total, error.numpy())
        return error.square_().flatten(1).mean(1)
