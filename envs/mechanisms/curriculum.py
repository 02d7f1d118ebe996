"""Concepts that build on each other: what a student learns of one depends on what it recalls of those before.

Memories fade exponentially and grow stable by study, as in ``tutoring`` (Reddy, Levine and Dragan 2017). Prerequisites
as in knowledge spaces: Doignon and Falmagne, "Spaces for the assessment of knowledge", International Journal of
Man-Machine Studies 1985; that a concept can be learnt once its prerequisites are known is their outer fringe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import FLOAT_MAX, Bounds, Fraction, LogSpread, NotNegative, Positive
from interplay.envs.drawing.colours import HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND, InterplayError
from interplay.envs.world import State


@dataclass(frozen=True)
class Curriculum(Mechanism):
    """A user is a student, an item is a concept, which has prerequisites among the concepts before it.

    Concept i is recalled with probability ``m_i = k_i exp(-theta_i t_i / S_i)``, where t_i is the time since it was
    last studied, k_i what was known of it then, and S_i its stability, which begins at 1. In each step, first the delay
    passes. Then the student studies the concept i that it takes: its response is whether it recalls it. It is ready for
    the part r_i of it: the mean of m over the prerequisites of i, those that are missing in a short list counting as 1.
    Then k_i becomes ``m_i + r_i (1 - m_i)``, S_i grows by r_i, and t_i is 0. The student earns the mean of m, in which
    concept i counts in proportion to i ** advanced, from 1 for the first.
    """

    delay: Positive = 1.0
    """Time between two steps."""
    forgetting: Positive = 0.2
    """theta, as a median."""
    spread: LogSpread = 0.0
    """Standard deviation of the logarithm of theta, over students and concepts."""
    prerequisites: Annotated[int, Bounds(0)] = 2
    """How many concepts each builds on; they are drawn for each world, and one may be drawn twice."""
    reach: Annotated[int, Bounds(1)] = 6
    """How far before a concept its prerequisites lie at most. What would lie before the first one is missing."""
    known: Fraction = 0.0
    """k at the start, of all concepts."""
    advanced: NotNegative = 0.0
    """How much more later concepts count; 0 = all count alike."""
    ordering: NotNegative = 0.0
    """How much slates prefer what a student is ready for and does not recall: their scores gain ordering (r - m)."""

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism``."""
        return ["mean recall", "share of concepts known"]

    def item_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism``."""
        return ["place in the order", "concepts that build on it"]

    def option_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism``."""
        return ["recall", "readiness", "stability", "forgetting", "what builds on it and is not recalled"]

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """t, k, S and theta of each concept, float32 ``[B, U, I]``."""
        users, items = start.sizes.num_users, start.sizes.num_items
        factor = torch.exp(self.spread * normal(start.key, start.time, self.stream, (users, items)))
        return {"since": start.full_users(0.0, items), "learnt": start.full_users(self.known, items),
                "stability": start.full_users(1.0, items), "forgetting": self.forgetting * factor}

    def item_tables(self, start: Start) -> dict[str, Tensor]:
        """How much of the readiness for a concept, a row, lies in each other one: float32 ``[B, I, I]``."""
        items = start.sizes.num_items
        if self.advanced * math.log(items) > math.log(FLOAT_MAX / items):
            raise InterplayError(f"curriculum.advanced={self.advanced} is more than float32 holds with num_items="
                                 f"{items}, {items} ** advanced: lower one of them")
        if self.prerequisites == 0:
            return {"needs": start.full_items(0.0, items)}
        back = 1 + self.integers(start, self.reach, items, self.prerequisites, offset=2 * start.sizes.num_users * items)
        before = torch.arange(items, device=back.device).view(1, items, 1) - back
        drawn = one_hot(before.clamp(min=0), items) * (before >= 0).unsqueeze(3)
        return {"needs": drawn.mean(2)}

    def _recall(self, state: State, later: float = 0.0) -> Tensor:
        """m of all concepts, float32 ``[B, U, I]``, when so much more time has passed."""
        return state["learnt"] * torch.exp(-state["forgetting"] * (state["since"] + later) / state["stability"])

    def _readiness(self, state: State, recall: Tensor) -> Tensor:
        """r of all concepts, float32 ``[B, U, I]``."""
        return 1.0 - (1.0 - recall) @ state["needs"].transpose(1, 2)

    def shift(self, state: State, items: Tensor) -> Tensor:
        """Students respond to what they recall."""
        return torch.logit(self._recall(state, self.delay), eps=1e-6).gather(2, items)

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        """See ``ordering``."""
        recall = self._recall(state, self.delay)
        return self.ordering * (self._readiness(state, recall) - recall).gather(2, items)

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """Time passes; what is studied is known as far as the student is ready for it."""
        recall = self._recall(state, self.delay)
        studied = one_hot(outcome.item, recall.shape[2]) * (outcome.position > 0).unsqueeze(2)
        gained = studied * self._readiness(state, recall)
        learnt = torch.where(studied > 0.0, recall + gained * (1.0 - recall), state["learnt"])
        return {"learnt": learnt, "stability": state["stability"] + gained,
                "since": (state["since"] + self.delay) * (1.0 - studied)}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Mean recall."""
        return (self._recall(after) * self._weight(after)).mean(2)

    def _weight(self, state: State) -> Tensor:
        """What each concept counts, float32 ``[I]``, 1 on average."""
        needs = state["needs"]
        raised = (torch.arange(needs.shape[1], device=needs.device) + 1.0) ** self.advanced
        return raised / raised.mean()

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The same."""
        recall = self._recall(state, self.delay)
        weight = self._weight(state)
        gain = ((1.0 - recall) * self._readiness(state, recall) * weight).gather(2, items) / recall.shape[2]
        return (recall * weight).mean(2, keepdim=True) + torch.cat([torch.zeros_like(gain[..., :1]), gain], dim=2)

    def see_users(self, state: State) -> Tensor:
        """See ``user_columns``; what is recalled at one half or more counts as known."""
        recall = self._recall(state)
        return torch.stack([recall.mean(2), (recall >= 0.5).float().mean(2)], dim=2)

    def see_items(self, state: State) -> Tensor:
        """See ``item_columns``."""
        needs = state["needs"]
        place = torch.arange(needs.shape[1], device=needs.device) / needs.shape[1]
        return torch.stack([place.expand(needs.shape[:2]), needs.sum(1).clamp(max=FEATURE_BOUND)], dim=2)

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """When the delay has passed; stability and theta as logarithms."""
        recall = self._recall(state, self.delay)
        open_ = (1.0 - recall) @ state["needs"]
        each = [recall, self._readiness(state, recall), state["stability"].log(), state["forgetting"].log(), open_]
        return torch.stack([table.gather(2, items) for table in each], dim=3).clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def measures(self, state: State) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        recall = self._recall(state)
        apart = recall.mean(2).std(1, correction=0)
        return {"mean recall": recall.mean((1, 2)), "share of concepts known": (recall >= 0.5).float().mean((1, 2)),
                "recall of the last quarter of concepts": recall[..., -max(1, recall.shape[2] // 4):].mean((1, 2)),
                "spread of recall between students": apart}

    def draw(self, picture: Picture, state: State) -> None:
        """What each student recalls, on average over concepts, and the same of each concept over students."""
        recall = self._recall(state)
        picture.bar("users", "recall", recall.mean(2), colour=HIGH)
        picture.bar("items", "recall", recall.mean(1), colour=HIGH)
