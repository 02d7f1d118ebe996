"""`pqn`: Q-learning on many worlds at once, with no replay and no target network.

Gallici et al., "Simplifying deep temporal difference learning" (ICLR 2025), algorithm 1: normalised layers keep the
bootstrap stable, so that what was just played, in all worlds, is all the data that is needed. Targets are returns of
Q(lambda) in the form of Peng and Williams, "Incremental multi-step Q-learning" (1996), which does not stop at actions
that explored,

    G_t = r_t + discount * (lambda * G_t+1 + (1 - lambda) * max_a Q(s_t+1, a)),

computed once for each rollout; then a few passes over shuffled parts of it. Nothing ever leaves the device, which
suits an environment that lives there. Unlike the paper's, the loss is Huber's and the optimiser plain Adam, as for
the project's other deep agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from interplay.agents.base import Agent
from interplay.agents.parts.fitting import Parts, fit
from interplay.agents.parts.latest import Acted, Latest, Seen
from interplay.agents.parts.networks import OptionScorer, Sharing, check_sharing, parameters_of
from interplay.agents.parts.optimising import Optimiser, valid_mean
from interplay.agents.parts.replay import Rollout, shuffled
from interplay.agents.parts.returns import QStep, q_lambda_returns
from interplay.agents.parts.schedules import Exploring, check_above_zero, check_at_least_one
from interplay.envs.stacking import rows_of
from interplay.envs.types import InterplayError, Observation, Transition


@dataclass(frozen=True, kw_only=True)
class PQNOptions(Exploring):
    """Hyper-parameters of ``pqn``."""

    learning_rate: float = 3e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of the network."""
    sharing: Sharing = "shared"
    """One network (shared), one that also gets the agent's id (embedding), or one for each agent (independent)."""
    rollout_length: int = 10
    """Steps of all worlds between two updates."""
    num_epochs: int = 2
    """Passes over a rollout."""
    num_minibatches: int = 4
    """Parts of a rollout, each of which is one step of the optimiser."""
    trace_decay: float = 0.65
    """lambda of the returns."""
    max_norm: float = 10.0
    """Gradients are scaled down to this length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sharing(self.sharing)
        check_at_least_one(self, "hidden", "rollout_length", "num_epochs", "num_minibatches")
        check_above_zero(self, "learning_rate", "max_norm")
        if not 0.0 <= self.trace_decay <= 1.0:
            raise InterplayError(f"trace_decay={self.trace_decay} must lie between 0 and 1")


class PQNAgent(Agent):
    """Masked Q(lambda) on the rollout that was just played."""

    name: ClassVar[str] = "pqn"
    stacks: ClassVar[bool] = True
    Options: ClassVar[type] = PQNOptions
    options: PQNOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o = self.options
        self.network = self.initialise("value", OptionScorer(self.spec, o.hidden, self.device, layer_norm=True,
                                                             sharing=o.sharing))
        self._alone = o.sharing == "independent"
        self._optimiser = Optimiser(self.network, o.learning_rate, o.max_norm, stacked=self._alone)
        self._rollout: Rollout[QStep] = Rollout(o.rollout_length)
        self._all_agents = torch.arange(self.num_agents)
        self._latest = Latest(self.network)
        self._acted = Acted(self._latest)

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """The network's values; see ``Agent.scores``."""
        if agent_ids is None:
            return self._latest.of(observation, self._values)
        values: Tensor = self.network.of(agent_ids)(observation.own, observation.options, agent_ids).squeeze(-1)
        return values

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Remember the step; at the end of a rollout, learn from all of it and forget it."""
        if self.counts_on_device:  # for graphs, which would keep values
            self._acted.forget()
        else:
            self._acted.note(transition)
        rollout = self._rollout.add(QStep.of(transition))
        return {} if rollout is None else self._update(rollout)

    def _update(self, rollout: QStep) -> dict[str, Tensor]:
        """Learn from a rollout, whose tables are ``[T, B, N, ...]``."""
        seen = rollout.seen
        steps = [table.flatten(0, 1) for table in (  # and worlds as one axis
            seen.own, seen.options, rollout.action, rollout.valid, rollout.weight, self._returns(rollout))]
        parts = list(shuffled(self, len(steps[0]), self.options.num_epochs, self.options.num_minibatches))
        metrics = self._fit_by_loops(steps, parts)
        if not metrics:
            for index in parts:
                metrics = self._fit(steps, index)
        self._latest.forget()
        self._acted.forget()
        return metrics

    def _fit_by_loops(self, steps: Sequence[Tensor], parts: list[Tensor]) -> dict[str, Tensor]:
        """Like ``_fit`` of one part after the other; nothing where loops cannot do all of it."""
        form = self.network.form(steps[0], steps[1])
        if form is None:
            return {}
        index = torch.cat(parts)
        (wanted,) = rows_of(index, steps[-1:])
        losses = fit(form, parameters_of(self.network), steps[:-1],
                     Parts(index, wanted, [len(part) for part in parts]), self._optimiser, self.progress)
        return {"loss": losses[0], "value": losses[2]}

    def _fit(self, steps: Sequence[Tensor], index: Tensor) -> dict[str, Tensor]:
        """One step of the optimiser, which moves what was done in the rows at ``index`` towards its returns."""
        own, options, action, valid, weight, returns = (table.index_select(0, index) for table in steps)
        value = self.network.taken(own, options, action, self._all_agents).squeeze(-1)
        error = nn.functional.smooth_l1_loss(value, returns, reduction="none")
        # One mean, or one for each independent network.
        means = valid_mean(error * weight, valid, dim=0 if self._alone else None)
        self._optimiser.step(means.sum(), self.progress)
        return {"loss": means.detach().mean(), "value": valid_mean(value.detach(), valid)}

    @torch.no_grad()
    def _returns(self, rollout: QStep) -> Tensor:
        """Q(lambda) returns, float32 ``[T, B, N]``."""
        values = self._acted.ahead(rollout.after, self._values)
        return q_lambda_returns(rollout, values, self.discount, self.options.trace_decay)

    def _values(self, seen: Observation | Seen) -> Tensor:
        """Values of all actions, float32 ``[..., N, A]``."""
        values: Tensor = self.network(seen.own, seen.options, self._all_agents)
        return values.squeeze(-1)
