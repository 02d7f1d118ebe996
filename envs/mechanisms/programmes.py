"""Programmes that compete for the attention of the same people: each chooses how strong its messages are.

People habituate to all messages alike, as in ``coaching``. So a programme that pushes harder wins steps for itself now,
and uses up what the others live on, too: a commons (Hardin, "The tragedy of the commons", Science 1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import NotEmpty, Positive
from interplay.envs.drawing.colours import BOOST
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Outcome, Start
from interplay.envs.mechanisms.coaching import Coaching
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State


@dataclass(frozen=True)
class Programmes(Coaching):
    """``coaching``, where each item is a programme that chooses how strong its messages are from the next step on.

    The strength x multiplies what a message adds to habituation and, if it is for another context, to disengagement,
    and the steps that it makes a user walk. A programme earns the steps that its own messages caused.
    """

    intensities: Annotated[tuple[Positive, ...], NotEmpty()] = (0.5, 1.0, 1.5)
    """Values of x that a programme can choose; all begin with the middle one."""

    @property
    def item_actions(self) -> Levels:
        """The intensities."""
        return Levels(self.intensities)

    def item_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism.item_columns``."""
        return ["intensity", "steps of a user in the last step"]

    def item_tables(self, start: Start) -> dict[str, Tensor]:
        """x of the next step, and the steps that were caused in the last: float32 ``[B, I]``."""
        return {"intensity": start.full_items(self.intensities[len(self.intensities) // 2]),
                "steps_caused": start.full_items(0.0)}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """See ``Mechanism.update``."""
        tables = super().update(state, outcome)
        steps = self.caused(state, tables["habituation"], outcome)
        steps = steps.masked_fill(tables["disengagement"] >= self.disengagement_limit, 0.0)
        return tables | {"intensity": outcome.chosen_level(self, keep=state["intensity"]),
                         "steps_caused": torch.zeros_like(state["steps_caused"]).scatter_add_(1, outcome.item, steps)}

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Steps that own messages caused."""
        return after["steps_caused"]

    def see_items(self, state: State) -> Tensor:
        """The second in hundreds."""
        caused = state["steps_caused"] / (100.0 * state.active.shape[1])
        return torch.stack([state["intensity"], caused], dim=2).clamp(max=FEATURE_BOUND)

    def measures(self, state: State) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        return super().measures(state) | {"intensity": state["intensity"].mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        super().draw(picture, state)
        picture.bar("items", "intensity", state["intensity"], high=max(self.intensities), colour=BOOST)

    def _strength(self, state: State, items: Tensor) -> Tensor:
        return state.of_items("intensity", items)
