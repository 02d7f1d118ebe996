"""Messages that help, tire and annoy: just-in-time adaptive interventions for health.

The model of StepCountJITAI: Karine and Marlin, "StepCountJITAI: simulation environment for RL with application to
physical activity adaptive intervention" (NeurIPS 2024 workshop on behavioral machine learning), with its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from interplay.envs.checking import Fraction, LogSpread, NotNegative
from interplay.envs.drawing.colours import LOW, SATIATION
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import gather_rows, one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State

_WHOLE = 0.99  # the least share of a topic in a message that is for this topic alone
_TRAITS = ("habituation gain", "habituation decay", "disengagement gain", "steps of a message")


class _Traits(NamedTuple):
    """What users have each for themselves: numbers, or float32 ``[B, U]`` or ``[B, U, 1]`` where users differ."""

    gain: float | Tensor
    decay: float | Tensor
    annoyance: float | Tensor
    walking: float | Tensor


@dataclass(frozen=True)
class Coaching(Mechanism):
    """A message makes its user walk, less so the more messages came before; a wrong one drives the user away.

    Topics are contexts of users, such as stressed and not stressed. Each step, a user is in one of them, each as
    likely. An item is a message: with one topic it is for that context, with several it is generic.

    With h the habituation and d the disengagement, which both begin at given values:

    - after no message, h' = (1 - habituation_decay) h and d' = d; after any, h' = min(1, h + habituation_gain);
    - after a generic message or one for the user's context, d' = (1 - disengagement_decay) d; after one for another
      context, d' = min(1, d + disengagement_gain);
    - the user's reward is the number of steps walked: base_steps, plus generic_steps (1 - h') after a generic message,
      or tailored_steps (1 - h') after one for the user's context;
    - a user whose d' reaches disengagement_limit leaves, and earns nothing in that step.

    Users see their context as probabilities: of each context, given a draw of N(number of the context,
    context_noise); with context_noise = 0, these are 0 or 1.

    In two ways users may differ, which the published model does not have:

    - ``spread``: habituation_gain, habituation_decay, disengagement_gain and the steps that messages make a user walk
      are each multiplied by a factor of the user's own, which it sees;
    - ``liking``: those steps are also multiplied by 1 + liking <p_u, v_j>, by taste of the user and vector of the
      message.
    """

    habituation_start: Fraction = 0.1
    """h at the start."""
    habituation_gain: Fraction = 0.05
    """How much a message adds to h."""
    habituation_decay: Fraction = 0.1
    """Part of h that a step without a message takes away."""
    disengagement_start: Fraction = 0.1
    """d at the start."""
    disengagement_gain: Fraction = 0.4
    """How much a message for another context adds to d."""
    disengagement_decay: Fraction = 0.1
    """Part of d that any other message takes away."""
    disengagement_limit: Fraction = 0.99
    """d at which a user leaves."""
    base_steps: NotNegative = 0.1
    """Steps that users walk in any case."""
    generic_steps: NotNegative = 50.0
    """Steps more after a generic message, for h' = 0."""
    tailored_steps: NotNegative = 200.0
    """Steps more after a message for the user's context, for h' = 0."""
    context_noise: NotNegative = 0.0
    """Standard deviation of the draw that shows the context."""
    hidden: bool = False
    """Whether users do not see h and d."""
    spread: LogSpread = 0.0
    """Standard deviation of the logarithms of users' own factors; 0 = users are alike."""
    liking: Fraction = 0.0
    """How much more a user walks after a message that is wholly to its taste."""

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """How likely each context is, h and d, and logarithms of own factors."""
        own = ["habituation", "disengagement"] * (not self.hidden) + list(_TRAITS) * (self.spread > 0.0)
        return [f"context_{g}" for g in range(sizes.num_topics)] + own

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """h and d float32 ``[B, U]``; ``context`` float32 ``[B, U, G]``, 1 at the right one; what is believed of it.

        Where users differ, ``traits`` float32 ``[B, U, 4]`` are logarithms of their factors.
        """
        tables = {"habituation": start.full_users(self.habituation_start),
                  "disengagement": start.full_users(self.disengagement_start),
                  **self._contexts(start, start.sizes.num_users, start.sizes.num_topics)}
        if self.spread > 0.0:  # drawn at a time of their own, since contexts take the draws of the start
            shape = (start.sizes.num_users, len(_TRAITS))
            tables["traits"] = self.spread * normal(start.key, start.time - 1, self.stream, shape)
        return tables

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """h and d after the step, and a new context. Users' responses do not matter."""
        sent, h, d = outcome.position > 0, state["habituation"], state["disengagement"]
        _, wrong = _fit(outcome.population.topics, outcome.item, state["context"])
        traits, strength = self._traits(state), self._strength(state, outcome.item)
        calmer = torch.where(sent, (1.0 - self.disengagement_decay) * d, d)
        return {"habituation": torch.where(sent, self._habituated(h, traits, strength), (1.0 - traits.decay) * h),
                "disengagement": torch.where(sent & (wrong > 0.5), self._annoyed(d, traits, strength), calmer),
                **self._contexts(state, *state["context"].shape[1:])}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Steps walked."""
        steps = self.base_steps + self.caused(before, after["habituation"], outcome)
        return steps.masked_fill(self.leaves(after), 0.0)

    def caused(self, before: State, habituation: Tensor, outcome: Outcome) -> Tensor:
        """Steps after a message, given habituation after the step, if the user has not left: float32 ``[B, U]``."""
        right, wrong = _fit(outcome.population.topics, outcome.item, before["context"])
        effect = self._effect(before, outcome.item, self._traits(before))
        return self._walked(habituation, right, wrong) * effect * (outcome.position > 0)

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The mean over contexts, each as likely as the user believes."""
        h, d = state["habituation"].unsqueeze(2), state["disengagement"].unsqueeze(2)
        traits, strength = self._traits(state, slots=True), self._strength(state, items)
        right, wrong = _fit(state.population.topics, items, state[self._known].unsqueeze(2))
        lost = self.base_steps * wrong * (self._annoyed(d, traits, strength) >= self.disengagement_limit)
        walked = self._walked(self._habituated(h, traits, strength), right, wrong)
        sent = self.base_steps + walked * self._effect(state, items, traits) - lost
        return torch.cat([torch.full_like(h, self.base_steps), sent], dim=2)

    def leaves(self, state: State) -> Tensor:
        """Users who are disengaged."""
        return state["disengagement"] >= self.disengagement_limit

    def see_users(self, state: State) -> Tensor:
        """See ``user_columns``."""
        own = [] if self.hidden else [state[name].unsqueeze(2) for name in ("habituation", "disengagement")]
        traits = [state["traits"].clamp(-FEATURE_BOUND, FEATURE_BOUND)] if self.spread > 0.0 else []
        return torch.cat([state[self._known], *own, *traits], dim=2)

    def measures(self, state: State) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        return {"share of users disengaged": self.leaves(state).float().mean(1),
                "habituation": state["habituation"].mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """The state of users, and what messages are for where there is room to write it."""
        context = state["context"]
        picture.bar("users", "context", context.argmax(2), high=context.shape[2] - 1)
        picture.bar("users", "habituation", state["habituation"], colour=SATIATION)
        picture.bar("users", "disengaged", state["disengagement"], high=self.disengagement_limit, colour=LOW)
        if picture.columns:
            share, topic = state.population.topics[0].max(1)
            picture.label("items", [f"for context {g}" if alone else "generic"
                                    for g, alone in zip(topic.tolist(), (share >= _WHOLE).tolist(), strict=True)])

    @property
    def _known(self) -> str:
        """The table of what users know of their context."""
        return "belief" if self.context_noise > 0.0 else "context"

    def _traits(self, state: State, slots: bool = False) -> _Traits:
        """Of users, with an axis for slots if asked."""
        gain, decay, annoyance = self.habituation_gain, self.habituation_decay, self.disengagement_gain
        if self.spread == 0.0:
            return _Traits(gain, decay, annoyance, 1.0)
        factors = state["traits"].exp().unbind(2)
        own = [factor.unsqueeze(2) for factor in factors] if slots else factors
        return _Traits(gain * own[0], (decay * own[1]).clamp(max=1.0), annoyance * own[2], own[3])

    def _strength(self, state: State, items: Tensor) -> float | Tensor:
        """What multiplies all that the messages ``items`` int64 ``[B, U, ...]`` do; subclasses may say more."""
        return 1.0

    def _effect(self, state: State, items: Tensor, traits: _Traits) -> float | Tensor:
        """What multiplies the steps after the messages ``items`` int64 ``[B, U, ...]``."""
        effect = traits.walking * self._strength(state, items)
        if self.liking == 0.0:
            return effect
        taste = state.user_vector if items.dim() == 2 else state.user_vector.unsqueeze(2)
        return effect * (1.0 + self.liking * (taste * state.population.of_items(items).vector).sum(-1))

    def _habituated(self, h: Tensor, traits: _Traits, strength: float | Tensor) -> Tensor:
        return (h + traits.gain * strength).clamp(max=1.0)

    def _annoyed(self, d: Tensor, traits: _Traits, strength: float | Tensor) -> Tensor:
        return (d + traits.annoyance * strength).clamp(max=1.0)

    def _walked(self, h: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
        """Steps after a message that is this likely to be right or wrong, and generic otherwise."""
        return (1.0 - h) * (self.tailored_steps * right + self.generic_steps * (1.0 - right - wrong))

    def _contexts(self, at: State | Start, num_users: int, num_contexts: int) -> dict[str, Tensor]:
        """The contexts of a step, and what a noisy draw shows of them."""
        number = self.integers(at, num_contexts, num_users, offset=2 * num_users)
        tables = {"context": one_hot(number, num_contexts)}
        if self.context_noise > 0.0:
            draw = number + self.context_noise * normal(at.key, at.time, self.stream, (num_users,))
            far = (draw.unsqueeze(2) - torch.arange(num_contexts, device=draw.device)) / self.context_noise
            tables["belief"] = (-0.5 * far.square()).softmax(dim=2)
        return tables


def _fit(topics: Tensor, items: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """How likely the messages ``items`` int64 ``[B, U, ...]`` are for the user's context, and for another.

    Args:
        topics: float32 ``[B, I, G]``.
        items: the messages.
        context: float32 ``[B, U, ..., G]``, how likely each context is.
    """
    alone = (gather_rows(topics, items) >= _WHOLE).to(torch.float32)
    right = (alone * context).sum(-1)
    return right, alone.amax(-1) - right
