"""`shared-critic`: the article's two-tower model as a critic for users and items at once.

Section 3.1 of the article: a deep model extracts vectors of users and items, and agents learn with Q-learning on them.
Here both sides and all agents share the towers (``parts/towers.py``):

    Q_user(u, i) = W_U . (u' * i) + b_U,    Q_item(i, c, level) = W_I[level] . (i' * c) + b_I[level],

with u = f1(own features, encoded history), i = f2(item features), c a segment's vector, and u' = u + g_U(u, mean i),
i' = i + g_I(i, mean c): agents in view of all their options (``Situation``). Without these a user's value of one item
could not depend on the budget of another, so that users learnt late, or never, to keep both alive. Targets are those of
double DQN (van Hasselt et al. 2016). The article's own formula, sigmoid(W . (u * i) + b), is learnt on the side: a
cross-entropy on the responses that users gave, which shapes the towers even where rewards are rare.

``mixing`` trains all agents of a world on what they earn together, through the sum of their values (VDN) or a
monotonic network over pooled embeddings (QMIX); see ``parts/mixing.py``. Acting stays decentralised: each agent takes
its own best action, from what it sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from interplay.agents.base import JointAgent
from interplay.agents.encoders import Pretrained, check_encoder
from interplay.agents.parts.choosing import best
from interplay.agents.parts.mixing import Mixing, make_mixer
from interplay.agents.parts.networks import follow
from interplay.agents.parts.optimising import Optimiser, valid_mean
from interplay.agents.parts.replay import Replay, fine_draw
from interplay.agents.parts.returns import Experience, NStep, lean
from interplay.agents.parts.schedules import Exploring, check_at_least_one
from interplay.agents.parts.towers import Embedded, Scoring, Situation, Towers, check_scoring
from interplay.envs.types import InterplayError, Observation, Side, Transition


@dataclass(frozen=True, kw_only=True)
class SharedCriticOptions(Exploring):
    """Hyper-parameters of ``shared-critic``."""

    learning_rate: float = 1e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of towers and embeddings."""
    encoder: str = "gru"
    """Of users' histories, where the market keeps them: none, mlp, cnn, gru, transformer, or module:Name."""
    embed_ids: bool = False
    """Whether items have learnt vectors by their ids: for logs and fixed catalogues."""
    scorer: Scoring = "hadamard"
    """How a user and an item meet: hadamard = W . (u * i) + b, concatenation = a layer over both."""
    mixing: Mixing = "none"
    """Training on each agent's own reward (none) or on what all earn together (vdn, qmix)."""
    response_weight: float = 0.1
    """Weight of the cross-entropy on responses; 0 = off."""
    batch_size: int = 256
    """Single-agent transitions of one update, of each side."""
    updates_per_step: int = 1
    """Updates for each step of the worlds."""
    capacity: int = 100_000
    """Single-agent transitions in memory, of each side."""
    warm_up: int = 2_000
    """Transitions in memory before the first update."""
    target_rate: float = 0.01
    """How far the target network moves to the online one at each update."""
    num_steps: int = 1
    """Steps before the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "hidden", "batch_size", "updates_per_step", "capacity", "warm_up", "num_steps")
        check_encoder(self.encoder, self.hidden)
        check_scoring(self.scorer)
        if self.learning_rate <= 0.0 or self.response_weight < 0.0:
            raise InterplayError(f"learning_rate={self.learning_rate} must be above 0 and response_weight="
                                 f"{self.response_weight} not below")


class _Judged(NamedTuple):
    """One side of a batch: values of what was done ``[S, N]``, what they should be made of, and embeddings.

    Of ``seen`` the response is predicted; mixers read ``agent`` and ``after``, agents in view of all their options.
    """

    sample: Experience
    seen: Embedded
    value: Tensor
    agent: Tensor
    ahead: Tensor
    after: Tensor


class SharedCriticAgent(JointAgent):
    """One critic for the sides that it plays."""

    name: ClassVar[str] = "shared-critic"
    stacks: ClassVar[bool] = True
    Options: ClassVar[type] = SharedCriticOptions
    options: SharedCriticOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o, specs, device = self.options, self.specs, self.device
        self.online, self.target = (self.initialise("critic", _Critic(
            Towers(specs, o.hidden, device, encoder=o.encoder, embed_ids=o.embed_ids, scorer=o.scorer),
            Situation(specs, o.hidden, device), make_mixer(o.mixing, o.hidden, device))) for _ in range(2))
        self.target.requires_grad_(False)
        self._optimiser = Optimiser(self.online, o.learning_rate, max_norm=10.0)
        self._joining = {side: NStep(o.num_steps, self.discount) for side in specs}
        # What is mixed belongs together: then a row of the memory is a whole world, otherwise a single agent.
        self._row = {side: spec.num_agents if o.mixing != "none" else 1 for side, spec in specs.items()}
        num_rows = min(o.capacity // row for row in self._row.values())
        self._replay: dict[Side, Replay[Experience]] = {
            side: Replay(max(1, num_rows), math.ceil(o.warm_up / row), specs[side].catalogue)
            for side, row in self._row.items()}

    def warm_start(self, pretrained: Pretrained) -> str:
        """Both networks from the same towers; see ``Player.warm_start``."""
        note = self.online.towers.warm_start(pretrained)
        self.target.load_state_dict(self.online.state_dict())
        return note

    def scores(self, side: Side, observation: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """The online critic's values; see ``JointAgent.scores``."""
        return self.online.scores(side, observation)

    def learn(self, transitions: Mapping[Side, Transition]) -> Mapping[str, Tensor]:
        """Remember the step of each side, then update from memory."""
        for side, transition in transitions.items():
            experience = self._joining[side].add(lean(transition, history=True))
            if experience is not None:
                alone = self._row[side] == 1
                self._replay[side].add(experience.map(lambda x: x.flatten(0, 1).unsqueeze(1)) if alone else experience)
        metrics: Mapping[str, Tensor] = {}
        if all(self._replay[side].ready for side in transitions):
            for _ in range(self.options.updates_per_step):
                metrics = self._update()
        return metrics

    def _update(self) -> Mapping[str, Tensor]:
        judged = {side: self._judge(side, sample) for side, sample in self._samples().items()}
        loss = self._mixed_loss(judged) if self.online.mixer is not None else self._own_loss(judged)
        metrics = {"loss": loss.detach()}
        if "users" in judged and self.options.response_weight > 0.0:
            found = self._response_loss(judged["users"])
            loss = loss + self.options.response_weight * found
            metrics["response_loss"] = found.detach()
        self._optimiser.step(loss, self.progress)
        follow(self.target, self.online, self.options.target_rate)
        return metrics

    def _samples(self) -> dict[Side, Experience]:
        """A batch of each side; of the same worlds and steps where sides are mixed."""
        rows = max(1, self.options.batch_size // max(self._row.values()))
        draw = fine_draw(self, len(self._replay), rows)
        mixed = self.online.mixer is not None
        return {side: replay.sample(draw[0 if mixed else number])[0]
                for number, (side, replay) in enumerate(self._replay.items())}

    def _judge(self, side: Side, sample: Experience) -> _Judged:
        """Values of what was done, and of what double Q-learning would do next."""
        seen, value, agent = self.online.value(side, sample.observation, sample.action)
        with torch.no_grad():
            after = sample.next_observation
            chosen = best(self.online.scores(side, after), after.mask)
            _, ahead, later = self.target.value(side, after, chosen)
        return _Judged(sample, seen, value, agent, ahead, later)

    def _own_loss(self, judged: Mapping[Side, _Judged]) -> Tensor:
        """Each agent's own reward; sides count alike."""
        losses = []
        for found in judged.values():
            target = found.sample.reward + found.sample.discount * found.ahead
            error = nn.functional.smooth_l1_loss(found.value, target, reduction="none")
            losses.append(valid_mean(error * found.sample.weight, found.sample.valid))
        return torch.stack(losses).mean()

    def _mixed_loss(self, judged: Mapping[Side, _Judged]) -> Tensor:
        """What all agents of a world earn together, each side's agents side by side.

        A world has one loss for all its agents, so that weights enter what is summed, values and rewards alike; by
        their roots, since the loss squares them.
        """
        share = torch.cat([j.sample.valid * j.sample.weight.sqrt() for j in judged.values()], dim=1)
        values = torch.cat([j.value for j in judged.values()], dim=1) * share
        agents = torch.cat([j.agent for j in judged.values()], dim=1).detach()
        with torch.no_grad():
            reward = (torch.cat([j.sample.reward for j in judged.values()], dim=1) * share).mean(1)
            discount = torch.cat([j.sample.discount * j.sample.valid for j in judged.values()], dim=1)
            # One discount for the world; an agent that has left is worth nothing from here on.
            most = discount.amax(1)
            ahead = torch.cat([j.ahead for j in judged.values()], dim=1) * (discount > 0.0) * share
            after = torch.cat([j.after for j in judged.values()], dim=1)
            target = reward + most * self.target.mixed(ahead, after)
        return nn.functional.smooth_l1_loss(self.online.mixed(values, agents), target)

    def _response_loss(self, users: _Judged) -> Tensor:
        """Cross-entropy of the responses to the items that were taken."""
        logit = self.online.towers.response(users.seen)
        slot = (users.sample.action - 1).clamp(min=0)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logit.gather(-1, slot.unsqueeze(-1)).squeeze(-1), users.sample.response, reduction="none")
        return valid_mean(loss * users.sample.weight, users.sample.valid & (users.sample.action > 0))



class _Critic(nn.Module):
    """The towers, the situation in which they score, and what mixes their values."""

    def __init__(self, towers: Towers, situation: Situation, mixer: nn.Module | None) -> None:
        super().__init__()
        self.towers, self.situation, self.mixer = towers, situation, mixer

    def scores(self, side: Side, seen: Observation) -> Tensor:
        """A value for each action, ``[..., 1 + M * L]``."""
        return self.towers.scores(side, self.situation(side, self.towers.embed(side, seen)))

    def value(self, side: Side, seen: Observation, action: Tensor) -> tuple[Embedded, Tensor, Tensor]:
        """What is seen in the towers' space, values ``[S, N]`` of ``action``, and agents in view of all options."""
        embedded = self.towers.embed(side, seen)
        situated: Embedded = self.situation(side, embedded)
        values = self.towers.scores(side, situated).gather(-1, action.unsqueeze(-1)).squeeze(-1)
        return embedded, values, situated.agent

    def mixed(self, values: Tensor, agents: Tensor) -> Tensor:
        """``values [S, N]`` of agents seen as ``agents [S, N, E]``: ``[S]``."""
        assert self.mixer is not None
        total: Tensor = self.mixer(values, agents)
        return total
