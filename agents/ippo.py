"""`ippo`: independent proximal policy optimisation, an on-policy actor-critic on the article's towers.

Schulman et al., "Proximal policy optimization algorithms" (2017), equation 7, for each agent on its own reward with
shared weights (de Witt et al., "Is independent learning all you need in the StarCraft multi-agent challenge?", 2020):

    L = mean(min(ratio * A, clip(ratio, 1 - eps, 1 + eps) * A)) - value_weight * h(V - G) + entropy * H,

with G the lambda-return and A = G - V the generalised advantage (Schulman et al. 2016, equation 16). For h Schulman et
al. take the square. Here it is Huber's loss, as in the code of Yu et al. (2022, see ``mappo``), so that rare large
returns do not dominate; it is linear beyond an error of 1, theirs beyond 10. Actions are drawn from a softmax over
allowed actions; without exploration the most likely one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from interplay.agents.base import JointAgent
from interplay.agents.encoders import check_encoder
from interplay.agents.loops.policy import Rule, ppo
from interplay.agents.parts.actor_critic import ActorCritic
from interplay.agents.parts.choosing import best, sampled
from interplay.agents.parts.latest import Latest
from interplay.agents.parts.networks import parameters_of
from interplay.agents.parts.optimising import Optimiser, valid_mean
from interplay.agents.parts.replay import Rollout, shuffled
from interplay.agents.parts.returns import cut_off, lambda_returns, lean
from interplay.agents.parts.schedules import Scalar, check_above_zero, check_at_least_one, linear
from interplay.agents.parts.towers import Scoring, check_scoring
from interplay.envs.checking import Checked
from interplay.envs.types import InterplayError, Observation, Side, TensorRecord, Transition


@dataclass(frozen=True, kw_only=True)
class IPPOOptions(Checked):
    """Hyper-parameters of ``ippo``, and of ``mappo`` but for defaults."""

    learning_rate: float = 1e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of towers and embeddings."""
    encoder: str = "gru"
    """Of users' histories, where the market keeps them: none, mlp, cnn, gru, transformer, or module:Name."""
    scorer: Scoring = "hadamard"
    """How a user and an item meet: hadamard = W . (u * i) + b, concatenation = a layer over both."""
    rollout_length: int = 25
    """Steps of all worlds between two updates."""
    num_epochs: int = 4
    """Passes over a rollout."""
    num_minibatches: int = 4
    """Parts of a rollout, each of which is one step of the optimiser."""
    trace_decay: float = 0.95
    """lambda of the returns."""
    clip: float = 0.2
    """eps: how far the policy may move from the one that acted."""
    entropy: float = 0.05
    """Weight of the policy's entropy at the start; it falls linearly to 0."""
    value_weight: float = 0.5
    """Weight of the critic's loss."""
    max_norm: float = 0.5
    """Gradients are scaled down to this length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "hidden", "rollout_length", "num_epochs", "num_minibatches")
        check_encoder(self.encoder, self.hidden)
        check_scoring(self.scorer)
        check_above_zero(self, "learning_rate", "clip", "max_norm")
        if not 0.0 <= self.trace_decay <= 1.0:
            raise InterplayError(f"trace_decay={self.trace_decay} must lie between 0 and 1")


@dataclass(frozen=True)
class Played(TensorRecord):
    """A step, and the log-probability of what was done, float32 ``[..., N]``; None = it is worked out later."""

    step: Transition
    log_policy: Tensor | None


@dataclass(frozen=True)
class Batch(TensorRecord):
    """Rows of one side's rollout, ``R`` worlds and steps.

    Attributes:
        seen: ``[R, N, ...]``.
        action: int64 ``[R, N]``.
        log_policy: float32 ``[R, N]``, of what was done, when it was done.
        advantage, returns: float32 ``[R, N]``.
        valid: bool ``[R, N]``.
        weight: float32 ``[R, N]``.
    """

    seen: Observation
    action: Tensor
    log_policy: Tensor
    advantage: Tensor
    returns: Tensor
    valid: Tensor
    weight: Tensor

    def for_loops(self) -> tuple[Tensor, ...]:
        """The tables that loops read."""
        return (self.seen.own, self.seen.options, self.seen.mask, self.action, self.log_policy, self.advantage,
                self.returns, self.valid, self.weight)


class IPPOAgent(JointAgent):
    """PPO with one actor and one critic for the sides that it plays."""

    name: ClassVar[str] = "ippo"
    stacks: ClassVar[bool] = True
    critic_inputs: ClassVar[int] = 1
    """How many embeddings the critic reads: an agent's own."""
    Options: ClassVar[type] = IPPOOptions
    options: IPPOOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o = self.options
        self.network = self.initialise("actor-critic", ActorCritic(
            self.specs, o.hidden, self.device, encoder=o.encoder, scorer=o.scorer, critic_inputs=self.critic_inputs))
        self._optimiser = Optimiser(self.network, o.learning_rate, o.max_norm)
        self._rollout: dict[Side, Rollout[Played]] = {side: Rollout(o.rollout_length) for side in self.specs}
        self._latest = {side: Latest(self.network, ("own", "options", "mask", "ids", "history", "history_ids"))
                        for side in self.specs}

    @torch.no_grad()
    def act(self, side: Side, observation: Observation, explore: bool) -> Tensor:
        """Drawn from the policy, or its most likely action."""
        policy = self.scores(side, observation)
        return sampled(self, policy) if explore else best(policy, observation.mask)

    def scores(self, side: Side, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Log-probabilities; see ``JointAgent.scores``."""
        return self._latest[side].of(observation, lambda seen: self.network.log_policy(side, seen))

    @torch.no_grad()
    def log_propensity(self, side: Side, observation: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """See ``Agent.log_propensity``: its policy is known."""
        if not explore:
            return super().log_propensity(side, observation, action, explore)
        return _taken(self.scores(side, observation), action)

    def learn(self, transitions: Mapping[Side, Transition]) -> Mapping[str, Tensor]:
        """Remember the step; at the end of a rollout, update."""
        rollouts = {side: self._rollout[side].add(self._played(side, step)) for side, step in transitions.items()}
        full = {side: rollout for side, rollout in rollouts.items() if rollout is not None}
        return self._update(full) if full else {}

    def _played(self, side: Side, step: Transition) -> Played:
        on_cpu = self.device.type == "cpu"  # where acting has just worked it out
        kept = lean(step, history=True)
        if not self._critic_reads_options:
            kept = replace(kept, next_observation=_alone(kept.next_observation))
        return Played(kept, self._log_policy(side, step) if on_cpu else None)

    @torch.no_grad()
    def _log_policy(self, side: Side, step: Transition) -> Tensor:
        """Log-probability of what was done, float32 ``[..., N]``."""
        return _taken(self.scores(side, step.observation), step.action)

    def _update(self, rollouts: Mapping[Side, Played]) -> Mapping[str, Tensor]:
        batches = self._batches(rollouts)
        rows = next(iter(batches.values())).returns.shape[0]
        metrics: dict[str, Tensor] = {}
        for index in shuffled(self, rows, self.options.num_epochs, self.options.num_minibatches):
            metrics = self._fit_by_loops(batches, index) or self._fit(batches, index)
        for latest in self._latest.values():
            latest.forget()
        return metrics

    @torch.no_grad()
    def _batches(self, rollouts: Mapping[Side, Played]) -> dict[Side, Batch]:
        """Advantages and returns of each side, with steps and worlds as one axis of rows."""
        steps = {side: played.step for side, played in rollouts.items()}
        value, ahead = self._step_values(steps)
        returns = self._returns(steps, ahead)
        batches: dict[Side, Batch] = {}
        for side, step in steps.items():
            done = rollouts[side].log_policy
            done = self._log_policy(side, step) if done is None else done
            advantage = _standardised(returns[side] - value[side], step.valid)
            batches[side] = Batch(step.observation, step.action, done, advantage, returns[side], step.valid,
                                  step.weight).map(lambda x: x.flatten(0, 1))
        return batches

    def _fit(self, batches: Mapping[Side, Batch], index: Tensor) -> dict[str, Tensor]:
        """One step of the optimiser, on some rows."""
        rows = {side: batch.map(lambda x: x[index]) for side, batch in batches.items()}
        loss, metrics = self._loss(rows)
        self._optimiser.step(loss, self.progress)
        return metrics

    def _loss(self, batches: Mapping[Side, Batch]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of PPO, sides counting alike."""
        values = self._values({side: batch.seen for side, batch in batches.items()})
        losses = [self._side_loss(side, batch, values[side]) for side, batch in batches.items()]
        policy, value, entropy = (torch.stack(part).mean() for part in zip(*losses, strict=True))
        loss = policy + self.options.value_weight * value - self._entropy_weight * entropy
        return loss, {"loss": loss.detach(), "value_loss": value.detach(), "entropy": entropy.detach()}

    @property
    def _entropy_weight(self) -> Scalar:
        return self.options.entropy * (1.0 - linear(0.0, 1.0, self.progress))

    def _fit_by_loops(self, batches: Mapping[Side, Batch], index: Tensor) -> dict[str, Tensor]:
        """Like ``_fit``; nothing where loops cannot do it."""
        forms = {side: form for side, batch in batches.items()
                 if (form := self.network.form(side, batch.seen)) is not None}
        if self._critic_reads_options or len(forms) < len(batches):
            return {}
        rule = Rule(self.options.clip, self.options.value_weight, float(self._entropy_weight))
        found = [ppo(form, parameters_of(self.network), batches[side].for_loops(), index, rule)
                 for side, form in forms.items()]
        losses, gradient = found[0] if len(found) == 1 else (torch.stack(part).mean(0)
                                                             for part in zip(*found, strict=True))
        self._optimiser.follow(gradient, self.progress)
        return {"loss": losses[0], "value_loss": losses[1], "entropy": losses[2]}

    def _side_loss(self, side: Side, batch: Batch, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The policy's and the critic's losses and the entropy."""
        policy = self.network.log_policy(side, batch.seen)
        ratio = (policy.gather(-1, batch.action.unsqueeze(-1)).squeeze(-1) - batch.log_policy).exp()
        clipped = ratio.clamp(1.0 - self.options.clip, 1.0 + self.options.clip)
        gain = torch.minimum(ratio * batch.advantage, clipped * batch.advantage)
        error = nn.functional.smooth_l1_loss(value, batch.returns, reduction="none")
        entropy = -(policy.exp() * policy.masked_fill(~batch.seen.mask, 0.0)).sum(-1)
        valid, weight = batch.valid, batch.weight
        return -valid_mean(gain * weight, valid), valid_mean(error * weight, valid), valid_mean(entropy, valid)

    @property
    def _critic_reads_options(self) -> bool:
        """Whether the critic reads more than an agent's own embedding."""
        return self.critic_inputs > 1

    def _returns(self, rollouts: Mapping[Side, Transition], ahead: Mapping[Side, Tensor]) -> dict[Side, Tensor]:
        """Lambda-returns of each agent's own rewards, until its own end: float32 ``[T, B, N]``."""
        return {side: self._lambda_returns(step.reward, step.terminated, cut_off(step.truncated, step.valid),
                                           ahead[side]) for side, step in rollouts.items()}

    def _lambda_returns(self, reward: Tensor, ended: Tensor, cut: Tensor, ahead: Tensor) -> Tensor:
        discount = torch.where(ended, 0.0, self.discount)
        return lambda_returns(reward, discount, cut, ahead, self.options.trace_decay)

    def _values(self, seen: Mapping[Side, Observation]) -> dict[Side, Tensor]:
        """The critic, float32 ``[..., N]`` for each side: from what an agent sees itself."""
        return {side: self.network.own_value(side, observation) for side, observation in seen.items()}

    def _step_values(self, rollouts: Mapping[Side, Transition]) -> tuple[dict[Side, Tensor], dict[Side, Tensor]]:
        """The critic on what was seen and on what was seen next, float32 ``[T, B, N]`` for each side."""
        found = {side: self.network.step_values(side, step.observation, step.next_observation)
                 for side, step in rollouts.items()}
        return {side: value for side, (value, _) in found.items()}, {side: ahead for side, (_, ahead) in found.items()}


def _alone(seen: Observation) -> Observation:
    """Without the options, which take most of the memory."""
    return replace(seen, options=seen.options[..., :0], mask=seen.mask[..., :0], ids=seen.ids[..., :0])


def _taken(scores: Tensor, action: Tensor) -> Tensor:
    return scores.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def _standardised(advantage: Tensor, valid: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the valid ones."""
    centred = advantage - valid_mean(advantage, valid)
    return centred / (valid_mean(centred.square(), valid).sqrt() + 1e-6)
