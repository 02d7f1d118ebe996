"""Experience: users see of each item on their slate whether they took it lately, and how they responded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State


@dataclass(frozen=True)
class Experience(Mechanism):
    """Users see whether they took an item in their last steps, and their response the last time that they did.

    It changes no rewards. Where a user's response to an item stays as it was, as in a market made of a
    log, users can learn from it within an episode.
    """

    carries_over = False

    steps: Annotated[int, Bounds(1)] = 20
    """How many of their last steps users remember."""

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Items of the last steps, the newest first, -1 = none, int64 ``[B, U, steps]``, and responses, float32."""
        items = start.full_users(-1.0, self.steps)
        return {"remembered": items.long(), "remembered_response": torch.zeros_like(items)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """The newest step enters, the oldest drops out; a skip is remembered as none."""
        item = torch.where(outcome.position > 0, outcome.item, -1).unsqueeze(2)
        return {"remembered": torch.cat([item, state["remembered"][..., :-1]], dim=2),
                "remembered_response": torch.cat([outcome.response.unsqueeze(2),
                                                  state["remembered_response"][..., :-1]], dim=2)}

    def option_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.option_columns``."""
        return ("taken", "last_response")

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """1 for an item that was taken, and the response to it the last time; 0 and 0 for others."""
        same = state["remembered"].unsqueeze(2) == items.unsqueeze(3)  # [B, U, K, steps]
        taken, newest = same.to(torch.float32).max(dim=3)
        response = state["remembered_response"].gather(2, newest) * taken
        return torch.stack([taken, response], dim=3)

    def draw(self, picture: Picture, state: State) -> None:
        """What users earned on average in the steps that they remember."""
        picture.bar("users", "remembered", state["remembered_response"].mean(2))
