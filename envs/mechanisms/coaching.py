"""Messages that help, tire and annoy: just-in-time adaptive interventions for health.

The model of StepCountJITAI: Karine and Marlin, "StepCountJITAI: simulation environment for RL with application to
physical activity adaptive intervention" (NeurIPS 2024 workshop on behavioral machine learning), with its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interplay.envs.checking import Fraction, NotNegative
from interplay.envs.drawing.colours import LOW, SATIATION
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import gather_rows, one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State

_WHOLE = 0.99  # the least share of a topic in a message that is for this topic alone


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

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """How likely each context is, h and d."""
        return [f"context_{g}" for g in range(sizes.num_topics)] + ["habituation", "disengagement"] * (not self.hidden)

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """h and d float32 ``[B, U]``; ``context`` float32 ``[B, U, G]``, 1 at the right one; what is believed of it."""
        return {"habituation": start.full_users(self.habituation_start),
                "disengagement": start.full_users(self.disengagement_start),
                **self._contexts(start, start.sizes.num_users, start.sizes.num_topics)}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """h and d after the step, and a new context. Users' responses do not matter."""
        sent, h, d = outcome.position > 0, state["habituation"], state["disengagement"]
        _, wrong = _fit(outcome.population.topics, outcome.item, state["context"])
        calmer = torch.where(sent, (1.0 - self.disengagement_decay) * d, d)
        return {"habituation": torch.where(sent, self._habituated(h), (1.0 - self.habituation_decay) * h),
                "disengagement": torch.where(sent & (wrong > 0.5), self._annoyed(d), calmer),
                **self._contexts(state, *state["context"].shape[1:])}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Steps walked."""
        right, wrong = _fit(outcome.population.topics, outcome.item, before["context"])
        steps = self.base_steps + self._walked(after["habituation"], right, wrong) * (outcome.position > 0)
        return steps.masked_fill(self.leaves(after), 0.0)

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The mean over contexts, each as likely as the user believes."""
        h, d = state["habituation"].unsqueeze(2), state["disengagement"].unsqueeze(2)
        right, wrong = _fit(state.population.topics, items, state[self._known].unsqueeze(2))
        lost = self.base_steps * wrong * (self._annoyed(d) >= self.disengagement_limit)
        sent = self.base_steps + self._walked(self._habituated(h), right, wrong) - lost
        return torch.cat([torch.full_like(h, self.base_steps), sent], dim=2)

    def leaves(self, state: State) -> Tensor:
        """Users who are disengaged."""
        return state["disengagement"] >= self.disengagement_limit

    def see_users(self, state: State) -> Tensor:
        """How likely each context is, h and d."""
        own = [] if self.hidden else [state[name].unsqueeze(2) for name in ("habituation", "disengagement")]
        return torch.cat([state[self._known], *own], dim=2)

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

    def _habituated(self, h: Tensor) -> Tensor:
        return (h + self.habituation_gain).clamp(max=1.0)

    def _annoyed(self, d: Tensor) -> Tensor:
        return (d + self.disengagement_gain).clamp(max=1.0)

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
