"""`dqn`: deep Q-learning with one network for a side, which scores each option.

Mnih et al., "Human-level control through deep reinforcement learning" (Nature 2015), with what came after as flags:

- ``double``: van Hasselt et al., "Deep reinforcement learning with double Q-learning" (AAAI 2016), equation 4:
  target = r + discount * Q_target(s', argmax_a' Q(s', a')), the arg max over allowed actions;
- ``dueling``: Wang et al., "Dueling network architectures" (ICML 2016), equation 9;
- ``num_steps``: returns over n steps before the bootstrap (Hessel et al., "Rainbow", AAAI 2018);
- ``priority``: Schaul et al., "Prioritized experience replay" (ICLR 2016), equation 1 and section 3.4;
- ``munchausen``: Vieillard et al., "Munchausen reinforcement learning" (NeurIPS 2020), equation 3;
- ``num_quantiles``: Dabney et al., "Distributional RL with quantile regression" (AAAI 2018), equation 10.

The target network follows by Polyak averaging (Lillicrap et al. 2016). Agents of the side share weights and memory
unless ``sharing`` says otherwise: they differ in what they see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent
from interplay.agents.parts.choosing import best, log_policy
from interplay.agents.parts.fitting import Parts, Rule, fit, targets, update
from interplay.agents.parts.networks import OptionScorer, Sharing, check_sharing, follow, parameters_of, values_of
from interplay.agents.parts.optimising import Optimiser, valid_mean
from interplay.agents.parts.replay import PrioritisedReplay, Replay, fine_draw
from interplay.agents.parts.returns import Experience, NStep, lean
from interplay.agents.parts.schedules import Exploring, check_above_zero, check_at_least_one, linear
from interplay.envs.types import InterplayError, Observation, Transition

_LOWEST_BONUS = -1.0  # l_0 of the Munchausen paper


@dataclass(frozen=True, kw_only=True)
class DQNOptions(Exploring):
    """Hyper-parameters of ``dqn``."""

    learning_rate: float = 1e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of the network."""
    batch_size: int = 256
    """Single-agent transitions of one update."""
    updates_per_step: int = 1
    """Updates in a row after every ``update_every``-th step of the worlds."""
    update_every: int = 1
    """Steps of the worlds from one row of updates to the next."""
    capacity: int = 100_000
    """Single-agent transitions in memory."""
    warm_up: int = 2_000
    """Transitions in memory before the first update."""
    target_rate: float = 0.01
    """How far the target network moves to the online one at each update."""
    sharing: Sharing = "shared"
    """One network (shared), one that also gets the agent's id (embedding), or one for each agent (independent)."""
    double: bool = True
    """Whether the online network chooses the action that the target network judges."""
    dueling: bool = False
    """Whether values are a state's value plus advantages."""
    num_steps: int = 1
    """Steps before the bootstrap."""
    priority: float = 0.0
    """alpha of prioritised replay; 0 = each transition as likely."""
    munchausen: float = 0.0
    """alpha of the Munchausen bonus, 0.9 in its paper; 0 = none."""
    temperature: float = 0.03
    """tau of the Munchausen policy."""
    huber_delta: float = 1.0
    """Error beyond which the loss grows linearly, so that outliers count for less. Where targets are right in the mean
    alone, as doubly robust ones, it should lie beyond their errors: less is biased towards their median."""
    num_quantiles: int = 1
    """Quantiles of the return that are learnt; 1 = its mean alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sharing(self.sharing)
        check_at_least_one(self, "hidden", "batch_size", "updates_per_step", "update_every", "capacity", "num_steps",
                           "num_quantiles")
        check_above_zero(self, "learning_rate", "temperature", "huber_delta")
        if self.munchausen > 0.0 and self.num_steps > 1:
            raise InterplayError(f"munchausen={self.munchausen} with num_steps={self.num_steps}: its bonus belongs to "
                                 "single steps, use num_steps=1")


class DQNAgent(Agent):
    """DQN with masks, on the market's device."""

    name: ClassVar[str] = "dqn"
    stacks: ClassVar[bool] = True
    Options: ClassVar[type] = DQNOptions
    options: DQNOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o, spec = self.options, self.spec
        self.online, self.target = (
            self.initialise("value", OptionScorer(spec, o.hidden, self.device, num_outputs=o.num_quantiles,
                                                  dueling=o.dueling, sharing=o.sharing)) for _ in range(2))
        self.target.requires_grad_(False)
        self._optimiser = Optimiser(self.online, o.learning_rate)
        self._joining = NStep(o.num_steps, self.discount)
        # Independent networks learn side by side, each from a batch of its own rows.
        self._alone = o.sharing == "independent"
        self._batch = (max(1, o.batch_size // spec.num_agents), spec.num_agents) if self._alone else (o.batch_size,)
        self._replay: Replay[Experience] = (
            PrioritisedReplay(o.capacity, o.priority, self.device, spec.num_agents if self._alone else 1, o.warm_up,
                              spec.catalogue)
            if o.priority > 0.0 else Replay(o.capacity, o.warm_up, spec.catalogue))
        self._all_agents = torch.arange(spec.num_agents)
        self._middle = (torch.arange(o.num_quantiles) + 0.5) / o.num_quantiles

    def scores(self, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """The online network's values; see ``Agent.scores``."""
        agent_ids = self._all_agents if agent_ids is None else agent_ids
        values: Tensor = self.online.of(agent_ids)(observation.own, observation.options, agent_ids)
        return values.mean(-1) if self.options.num_quantiles > 1 else values.squeeze(-1)  # which takes no time

    @property
    def graph_phase(self) -> bool:
        """Whether the next step is one that updates may follow."""
        learned: int = vars(self)["learned"]
        return (learned + 1) % self.options.update_every == 0

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Remember the step, then update from memory, if it is time."""
        experience = self._joining.add(lean(transition))
        if experience is not None:
            self._replay.add(experience, axes=2)
        due = self._replay.ready and self.learned % self.options.update_every == 0
        return self._update() if due else {}

    def _update(self) -> Mapping[str, Tensor]:
        """As many updates as follow each other; gives the metrics of the last."""
        draws = fine_draw(self, self.options.updates_per_step, *self._batch)
        metrics: Mapping[str, Tensor] = self._update_by_loops(draws)
        for draw in () if metrics else draws:
            metrics = self._update_by_torch(draw)
        return metrics

    def _update_by_loops(self, draws: Tensor) -> dict[str, Tensor]:
        """Like ``_update_by_torch`` for one of ``draws`` after another; nothing where loops cannot do all of it."""
        o, rows = self.options, self._replay.rows
        if rows is None or o.munchausen > 0.0 or o.priority > 0.0:
            return {}
        seen, after = rows.observation, rows.next_observation
        form = self.online.form(seen.own, seen.options)
        if form is None:
            return {}
        batches = self._replay.places(draws.flatten()).view(draws.shape)
        online, target = parameters_of(self.online), parameters_of(self.target)
        now = seen.own, seen.options, rows.action, rows.valid, rows.weight
        then = after.own, after.options, after.mask, rows.reward, rows.discount
        losses = update(form, (online, target), (*now, *then), batches, self._optimiser, self.progress,
                        Rule(o.double, o.huber_delta, o.target_rate))
        for index in batches if losses is None else ():
            wanted = targets(form, (online if o.double else target, target), then, index, o.double)
            losses = fit(form, online, now, Parts(index, wanted, [len(index)]), self._optimiser, self.progress,
                         o.huber_delta)
            follow(self.target, self.online, o.target_rate)
        assert losses is not None
        return {"loss": losses[0], "value": losses[1]}

    def _update_by_torch(self, draw: Tensor) -> Mapping[str, Tensor]:
        sample, index = self._replay.sample(draw)
        agent_ids = index % self.spec.num_agents
        seen = sample.observation
        value = self.online.taken(seen.own, seen.options, sample.action, agent_ids)
        error = self._targets(sample, agent_ids).unsqueeze(-2) - value.unsqueeze(-1)
        weight = sample.weight * self._correction(index, error, sample.valid)
        # One mean, or one for each independent network.
        means = valid_mean(self._loss(error) * weight, sample.valid, dim=0 if self._alone else None)
        self._optimiser.step(means.sum(), self.progress)
        follow(self.target, self.online, self.options.target_rate)
        return {"loss": means.detach().mean(), "value": value.detach().mean()}

    @torch.no_grad()
    def _targets(self, sample: Experience, agent_ids: Tensor) -> Tensor:
        """What values should be, float32 ``[S, Z]``. What was cut off is bootstrapped through; what ended is not."""
        after, o = sample.next_observation, self.options
        if o.munchausen > 0.0:
            return self._munchausen(sample, self.target(after.own, after.options, agent_ids), agent_ids)
        judge = (self.online if o.double else self.target)(after.own, after.options, agent_ids)
        action = best(judge.mean(-1), after.mask)
        chosen = (self.target.taken(after.own, after.options, action, agent_ids) if o.double
                  else values_of(judge, action))
        return sample.reward.unsqueeze(-1) + sample.discount.unsqueeze(-1) * chosen

    def _munchausen(self, sample: Experience, ahead: Tensor, agent_ids: Tensor) -> Tensor:
        """The soft target plus the scaled log-policy of what was done: float32 ``[S, Z]``."""
        seen, after, o = sample.observation, sample.next_observation, self.options
        then = log_policy(ahead.mean(-1), after.mask, o.temperature).unsqueeze(-1)
        soft = (then.exp() * torch.where(after.mask.unsqueeze(-1), ahead - o.temperature * then, 0.0)).sum(-2)
        now = log_policy(self.target(seen.own, seen.options, agent_ids).mean(-1), seen.mask, o.temperature)
        bonus = (o.temperature * now.gather(-1, sample.action.unsqueeze(-1))).clamp(min=_LOWEST_BONUS)
        return sample.reward.unsqueeze(-1) + o.munchausen * bonus + sample.discount.unsqueeze(-1) * soft

    def _loss(self, error: Tensor) -> Tensor:
        """Huber loss of ``error [S, Z, Z']``, target less value; quantiles weigh its sign: float32 ``[S]``."""
        loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none",
                                              delta=self.options.huber_delta)
        if self.options.num_quantiles > 1:
            loss = loss * (self._middle.unsqueeze(-1) - (error.detach() < 0.0).float()).abs()
        return loss.mean(-1).sum(-1)

    def _correction(self, index: Tensor, error: Tensor, valid: Tensor) -> Tensor | float:
        """Weights against the bias of prioritised replay, whose priorities are brought up to date.

        Rows of agents that had gone teach nothing, so that they are hardly drawn again.
        """
        if not isinstance(self._replay, PrioritisedReplay):
            return 1.0
        weight = self._replay.correction(index, linear(0.4, 1.0, self.progress))
        self._replay.update(index, error.detach().mean((-1, -2)) * valid)
        return weight
