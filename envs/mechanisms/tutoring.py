"""Students that forget: what they study is recalled, and the rest fades.

Reddy, Levine and Dragan, "Accelerating human learning with deep reinforcement learning" (NeurIPS 2017 workshop on
teaching machines, robots, and humans), whose students forget exponentially; or memories as ``memory.FSRS`` has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from interplay.envs.checking import LogSpread, Positive
from interplay.envs.drawing.colours import HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.memory import AGAIN, FSRS, GOOD, Memory
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError
from interplay.envs.world import State

_MOST_STEPS = 3  # since an item was studied: tabular agents see more as so many


@dataclass(frozen=True)
class Tutoring(Mechanism):
    """A user is a student, an item is something to study. What the student studies is in its memory for a while.

    In each step, first the delay passes. Then the student studies the item that it takes: its response is whether it
    still knew it. Then it earns the mean of the probabilities that it recalls each of the items.

    - exponential: an item is recalled with probability exp(-theta t / S), where t is the time since it was last
      studied, or since the start, and S is 1 plus the times that it was studied.
    - fsrs: FSRS-6. An item is rated as good where it was recalled, and otherwise as forgotten. All have been studied
      once before the start, with a good rating. Time is in days.
    """

    model: Literal["exponential", "fsrs"] = "exponential"
    """How memories fade and grow."""
    delay: Positive = 5.0
    """Time between two steps."""
    forgetting: tuple[Positive, ...] = (0.2,)
    """theta of each item, for the exponential model; one number is that of all."""
    spread: LogSpread = 0.0
    """How much students differ: standard deviation of the logarithm of theta, or of the first stability of FSRS."""

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism``."""
        items = range(sizes.num_items)
        return [*(f"recall_{i}" for i in items), *(f"stability_{i}" for i in items)]

    def num_user_states(self, sizes: MarketSizes) -> int:
        """The step, and for each item the steps since it was studied, up to 3."""
        count: int = (1 + sizes.horizon) * (1 + _MOST_STEPS) ** sizes.num_items
        return count

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """The time since each item was studied, its stability, and theta or its difficulty, float32 ``[B, U, I]``."""
        num_users, num_items = start.sizes.num_users, start.sizes.num_items
        draws = torch.exp(self.spread * normal(start.key, start.time, self.stream, (num_users, num_items)))
        tables = {"lag": start.full_users(0.0, num_items)}
        if self.model == "exponential":
            return tables | {"stability": start.full_users(1.0, num_items), "forgetting": draws * self._theta(start)}
        first = FSRS().first(torch.full_like(draws, GOOD, dtype=torch.int64))
        return tables | {"stability": draws * first.stability, "difficulty": first.difficulty}

    def shift(self, state: State, items: Tensor) -> Tensor:
        """The student responds to what it recalls."""
        return torch.logit(self._recalled_then(state), eps=1e-6).gather(2, items)

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """Time passes; what was studied is remembered for longer."""
        studied = one_hot(outcome.item, state["lag"].shape[2]) * (outcome.position > 0).unsqueeze(2) > 0.0
        lag = state["lag"] + self.delay
        tables = {"lag": torch.where(studied, 0.0, lag)}
        if self.model == "exponential":
            return tables | {"stability": state["stability"] + studied}
        rating = torch.where(outcome.response > 0.5, GOOD, AGAIN).unsqueeze(2)
        old = Memory(state["stability"], state["difficulty"])
        reviewed = FSRS().review(old, lag, rating)._asdict()
        return tables | {name: torch.where(studied, reviewed[name], state[name]) for name in reviewed}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Mean recall."""
        return self._recall(after, after["lag"]).mean(2)

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The same: what is studied is recalled for sure."""
        recall = self._recalled_then(state)
        gain = (1.0 - recall.gather(2, items)) / recall.shape[2]
        return recall.mean(2, keepdim=True) + torch.cat([torch.zeros_like(gain[..., :1]), gain], dim=2)

    def see_users(self, state: State) -> Tensor:
        """How likely each item is recalled, and for how long it will be."""
        return torch.cat([self._recall(state, state["lag"]), state["stability"].log1p() / 4.0], dim=2)

    def user_state(self, state: State) -> Tensor:
        """See ``num_user_states``."""
        number = state.time.long().unsqueeze(1)
        for steps in (state["lag"] / self.delay).round().long().clamp(max=_MOST_STEPS).unbind(2):
            number = number * (1 + _MOST_STEPS) + steps
        return number

    def measures(self, state: State) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        return {"mean recall": self._recall(state, state["lag"]).mean((1, 2))}

    def draw(self, picture: Picture, state: State) -> None:
        """What each student recalls, on average over items, and the same of each item over students."""
        recall = self._recall(state, state["lag"])
        picture.bar("users", "recall", recall.mean(2), colour=HIGH)
        picture.bar("items", "recall", recall.mean(1), colour=HIGH)

    def _recalled_then(self, state: State) -> Tensor:
        """How likely each item is recalled when the delay has passed, float32 ``[B, U, I]``."""
        return self._recall(state, state["lag"] + self.delay)

    def _recall(self, state: State, lag: Tensor) -> Tensor:
        if self.model == "fsrs":
            return FSRS().recall(state["stability"], lag)
        return torch.exp(-state["forgetting"] * lag / state["stability"])

    def _theta(self, start: Start) -> Tensor:
        """float32 ``[B, U, I]``, made without copying from the host."""
        num_items = start.sizes.num_items
        if len(self.forgetting) == 1:
            return start.full_users(self.forgetting[0], num_items)
        if len(self.forgetting) != num_items:
            raise InterplayError(f"tutoring.forgetting has {len(self.forgetting)} numbers, but there are {num_items} "
                                 "items: give one, or one for each")
        return torch.cat([start.full_users(theta, 1) for theta in self.forgetting], dim=2)
