"""`slateq`: a platform that plans slates by what each item in them leads to.

Ie et al., "SlateQ: a tractable decomposition for reinforcement learning with recommendation sets" (IJCAI 2019). A user
takes at most one item of a slate A, so that the slate's value falls apart into values of its items (their equation 3),

    Q(s, A) = sum over i in A and nothing of P(i | s, A) Q(s, i),      P(i | s, A) = v(s, i) / sum over j of v(s, j),

of which v, the conditional logit of their section 4.2, is learnt from what users took, and Q(s, i) from what followed
when i was taken (their equation 10):

    Q(s, i) <- r + discount * max over A' of Q(s', A').

The best slate is found by their greedy algorithm (section 4.4.2), which adds the item that does most for the slate so
far, or by the top-k of v * Q (4.4.1), which is faster and ignores what items take from one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from interplay.agents.base import Agent
from interplay.agents.parts.choosing import Offer, any_slate_log_propensity, best, something
from interplay.agents.parts.networks import OptionScorer, follow
from interplay.agents.parts.optimising import Optimiser, valid_mean
from interplay.agents.parts.replay import Replay, fine_draw
from interplay.agents.parts.returns import lean
from interplay.agents.parts.schedules import Exploring, check_above_zero, check_at_least_one
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError, Observation, Side, Transition

SlateOptimiser = Literal["greedy", "top-k"]

_MOST = 20.0  # bound of a logit, so that its exponential is finite


@dataclass(frozen=True, kw_only=True)
class SlateQOptions(Exploring):
    """Hyper-parameters of ``slateq``."""

    learning_rate: float = 1e-3
    """Adam's step at the start; it falls linearly to a tenth."""
    hidden: int = 64
    """Width of the two networks."""
    batch_size: int = 256
    """Slates of one update."""
    capacity: int = 20_000
    """Slates in memory, each with all candidates."""
    warm_up: int = 2_000
    """Slates in memory before the first update."""
    target_rate: float = 0.01
    """How far the target network moves to the online one at each update."""
    optimiser: SlateOptimiser = "greedy"
    """How the best slate is found."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "hidden", "batch_size", "capacity")
        check_above_zero(self, "learning_rate")
        if self.optimiser not in get_args(SlateOptimiser):
            known = choice(get_args(SlateOptimiser), self.optimiser)
            raise InterplayError(f"optimiser={self.optimiser!r} is unknown: {known}")


class SlateQAgent(Agent):
    """SlateQ with a learnt choice model, for all users at once."""

    name: ClassVar[str] = "slateq"
    stacks: ClassVar[bool] = True
    plays: ClassVar[tuple[Side, ...]] = ("platform",)
    Options: ClassVar[type] = SlateQOptions
    options: SlateQOptions

    def build(self) -> None:
        """See ``Player.build``."""
        o = self.options
        self.online, self.target, self.choice = (
            self.initialise(name, OptionScorer(self.spec, o.hidden, self.device))
            for name in ("value", "value", "choice"))
        self.target.requires_grad_(False)
        self._optimisers = {"value": Optimiser(self.online, o.learning_rate),
                            "choice": Optimiser(self.choice, o.learning_rate)}
        self._replay: Replay[Transition] = Replay(o.capacity, o.warm_up, self.spec.catalogue)

    @torch.no_grad()
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """The candidate that alone makes the best slate."""
        return self.offer(observation, 1, explore).slots.squeeze(-1)

    @torch.no_grad()
    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """The best slate, or with probability epsilon any: see ``Agent.offer``."""
        found, mask = self._best_slate(observation, size), observation.mask
        if not explore:
            return Offer(found, torch.zeros(mask.shape[:2], device=mask.device))
        epsilon = self.options.epsilon(self.progress)
        anything = self._filled(self.draw(*mask.shape), mask, size)
        explores = self.draw(*mask.shape[:2]) < epsilon
        slots = torch.where(explores.unsqueeze(-1), anything, found)
        is_best = (slots == found).all(-1).float()
        chance = epsilon * any_slate_log_propensity(mask, size).exp() + (1.0 - epsilon) * is_best
        return Offer(slots, chance.log())

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Remember what users took of their slates, then update from memory."""
        self._replay.add(lean(transition), axes=2)
        return self._update() if self._replay.ready else {}

    def _update(self) -> Mapping[str, Tensor]:
        sample, _ = self._replay.sample(fine_draw(self, self.options.batch_size))
        chosen = sample.action.unsqueeze(-1)
        value = self._values(self.online, sample.observation).gather(-1, chosen).squeeze(-1)
        error = nn.functional.smooth_l1_loss(value, self._targets(sample), reduction="none")
        value_loss = valid_mean(error * sample.weight, sample.valid)
        self._optimisers["value"].step(value_loss, self.progress)
        follow(self.target, self.online, self.options.target_rate)
        choice_loss = valid_mean(self._surprise(sample), sample.valid)
        self._optimisers["choice"].step(choice_loss, self.progress)
        return {"loss": value_loss.detach(), "choice_loss": choice_loss.detach(), "value": value.detach().mean()}

    @torch.no_grad()
    def _targets(self, sample: Transition) -> Tensor:
        """Equation 10, float32 ``[S]``. What was cut off is bootstrapped through; what ended is not."""
        after = sample.next_observation
        assert sample.slate is not None
        slate = self._best_slate(after, sample.slate.shape[-1])
        ahead = self._slate_value(slate, self._values(self.target, after), self._attraction(after))
        return sample.reward + torch.where(sample.terminated, 0.0, self.discount) * ahead

    def _surprise(self, sample: Transition) -> Tensor:
        """Cross-entropy of the choice that was made among what the slate held, float32 ``[S]``."""
        assert sample.slate is not None
        logits = self._values(self.choice, sample.observation)
        held = _with_nothing(sample.slate)
        # Empty slots hold 0 as well, which must count once.
        empty = torch.cat([torch.zeros_like(sample.slate[..., :1], dtype=torch.bool), sample.slate == 0], dim=-1)
        scores = logits.gather(-1, held).masked_fill(empty, -torch.inf)
        return scores.logsumexp(-1) - logits.gather(-1, sample.action.unsqueeze(-1)).squeeze(-1)

    def _best_slate(self, seen: Observation, size: int) -> Tensor:
        """Greedy or top-k slates, int64 ``[..., size]``."""
        value, attraction = self._values(self.online, seen), self._attraction(seen)
        if self.options.optimiser == "top-k":
            return self._filled(value * attraction, seen.mask, size)
        slots: list[Tensor] = []
        mask = seen.mask
        worth, mass = value[..., :1] * attraction[..., :1], attraction[..., :1]
        for _ in range(size):
            then = (worth + value * attraction) / (mass + attraction)
            mask = something(mask)
            slots.append(best(then, mask))
            taken = slots[-1].unsqueeze(-1)
            shown = (taken > 0).float()
            worth = worth + shown * (value * attraction).gather(-1, taken)
            mass = mass + shown * attraction.gather(-1, taken)
            mask = mask.scatter(-1, taken, False)
        return torch.stack(slots, dim=-1)

    def _slate_value(self, slate: Tensor, value: Tensor, attraction: Tensor) -> Tensor:
        """Equation 3 for slates ``[..., K]``: float32 ``[...]``."""
        held = _with_nothing(slate)
        weight = attraction.gather(-1, held)
        weight = torch.cat([weight[..., :1], torch.where(slate > 0, weight[..., 1:], 0.0)], dim=-1)
        return (weight * value.gather(-1, held)).sum(-1) / weight.sum(-1)

    @staticmethod
    def _filled(score: Tensor, mask: Tensor, size: int) -> Tensor:
        """The ``size`` candidates of the highest scores ``[..., 1 + M]``, 0 where there are not as many."""
        top, index = score[..., 1:].masked_fill(~mask[..., 1:], -torch.inf).topk(size, dim=-1)
        return torch.where(top > -torch.inf, index + 1, 0)

    def _attraction(self, seen: Observation) -> Tensor:
        """v(s, i), float32 ``[..., 1 + M]``."""
        return self._values(self.choice, seen).clamp(-_MOST, _MOST).exp()

    @staticmethod
    def _values(network: OptionScorer, seen: Observation) -> Tensor:
        """A number for nothing and for each candidate, float32 ``[..., 1 + M]``."""
        scores: Tensor = network(seen.own, seen.options)
        return scores.squeeze(-1)



def _with_nothing(slate: Tensor) -> Tensor:
    """Nothing, and then what the slate holds: int64 ``[..., 1 + K]``."""
    return torch.cat([torch.zeros_like(slate[..., :1]), slate], dim=-1)
