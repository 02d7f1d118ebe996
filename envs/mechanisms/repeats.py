"""Repeated consumption: an item that a user has taken before is offered to that user less often.

Most logs of films or books have no repeats at all, logs of music or of shops have many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.world import State


@dataclass(frozen=True)
class Repeats(Mechanism):
    """The weight of an item in the draw of a slate is multiplied by ``rate`` once its user has taken it.

    The table of taken items has a cell for each pair of user and item.
    """

    rate: Annotated[float, Bounds(0, 1)] = 0.0
    """0 = an item is never offered again to a user who took it; 1 = it is offered as often as before."""

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """The number of items that each user has taken, by item, at most 1."""
        return {"taken": start.full_users(0.0, start.sizes.num_items)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Marks what was taken in this step; a skip marks nothing."""
        took = (outcome.position > 0).to(torch.float32).unsqueeze(2)
        old, item = state["taken"], outcome.item.unsqueeze(2)
        return {"taken": old.scatter(2, item, torch.maximum(old.gather(2, item), took))}

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        """The logarithm of ``rate`` for items that were taken before, 0 for others."""
        seen = state["taken"].gather(2, items) > 0.0
        factor = torch.where(seen, self.rate, 1.0)
        return factor.log()

    def draw(self, picture: Picture, state: State) -> None:
        """Which share of users has taken each item."""
        picture.bar("items", "taken by", state["taken"].mean(1))
