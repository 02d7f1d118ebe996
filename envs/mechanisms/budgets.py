"""Budgets: items pay upkeep and boosts from what they earn, and die when nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from interplay.envs.checking import NotNegative, Positive
from interplay.envs.drawing.colours import BUDGET
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import num_whole
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import TOLERANCE, InterplayError
from interplay.envs.world import State

BUDGET_STEP = 0.5
"""Tabular agents see budgets in steps of this."""


@dataclass(frozen=True)
class Budgets(Mechanism):
    """Items pay upkeep and boosts from what they earn, and die when their budget is empty.

    ``e_j <- e_j - upkeep - cost of the boost + responses``, in [0, max]. An item can only boost where its budget pays
    the boost when that is charged.
    """

    start: Positive = 1.0
    """Budget at the start."""
    max: Positive = 1.0
    """E, the largest budget."""
    upkeep: NotNegative = 0.0
    """What an item's budget loses in each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start > self.max:
            raise InterplayError(f"budgets.start={self.start} is above budgets.max={self.max}: raise budgets.max")

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """e_i, float32 ``[B, I]`` in [0, E]."""
        return {"energy": start.full_items(self.start)}

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("energy",)

    def see_items(self, state: State) -> Tensor:
        """As a part of the largest."""
        return (state["energy"] / self.max).unsqueeze(2)

    def digit_sizes(self, sizes: MarketSizes) -> Sequence[int]:
        """See ``exact_states``."""
        return [num_whole(1.0 / BUDGET_STEP, self.max)] * sizes.num_items

    def digits(self, state: State) -> Tensor:
        """The budgets of all items in steps, float32 ``[B, 1, I]``."""
        return (state["energy"] / BUDGET_STEP).unsqueeze(1)

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Budgets, and which items live."""
        energy = (state["energy"] - self.upkeep - outcome.cost + outcome.demand).clamp(0.0, self.max)
        alive = state.alive & (energy > TOLERANCE)
        return {"energy": energy * alive, "alive": alive}

    def can_spend(self, state: State, due: Tensor) -> Tensor:
        """What is left when the boost that is being served and the upkeep of two steps are paid.

        A boost that is chosen now is charged in the next step. Responses may add to the budget until then, but no item
        can count on them.
        """
        return (state["energy"] - due - 2.0 * self.upkeep).clamp(min=0.0) + TOLERANCE

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("items", "budget", state["energy"], high=self.max, colour=BUDGET)
