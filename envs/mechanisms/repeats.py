"""Repeated consumption: an item that a user has taken before is offered to that user less often, or more often.

Most logs of films or books have no repeats at all, logs of music or of shops have many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interplay.envs.checking import NotNegative
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.world import State


@dataclass(frozen=True)
class Repeats(Mechanism):
    """The weight of an item in the draw of a slate is multiplied by ``rate`` once its user has taken it.

    The table of taken items has a bit for each pair of user and item.
    """

    rate: NotNegative = 0.0
    """0 = an item is never offered again to a user who took it; 1 = it is offered as often as before; above 1, more
    often."""

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """The items that each user has taken, uint8 ``[B, U, I / 8]``: item i is bit ``i % 8`` of byte ``i // 8``."""
        shape = (len(start.key), start.sizes.num_users, -(-start.sizes.num_items // 8))
        return {"consumed": torch.zeros(shape, dtype=torch.uint8, device=start.key.device)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Marks what was taken in this step; a skip marks nothing."""
        old, item = state["consumed"], outcome.item.unsqueeze(2)
        bit = torch.bitwise_left_shift(torch.ones_like(item), item % 8) * (outcome.position > 0).unsqueeze(2)
        byte = item // 8
        return {"consumed": old.scatter(2, byte, old.gather(2, byte) | bit.to(torch.uint8))}

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        """The logarithm of ``rate`` for items that were taken before, 0 for others."""
        byte = state["consumed"].gather(2, items // 8)
        seen = torch.bitwise_right_shift(byte, (items % 8).to(torch.uint8)) % 2 > 0
        factor = torch.where(seen, self.rate, 1.0)
        return factor.log()

    def draw(self, picture: Picture, state: State) -> None:
        """Which share of users has taken each item."""
        bits = torch.arange(8, dtype=torch.uint8, device=state.key.device)
        taken = torch.bitwise_right_shift(state["consumed"].unsqueeze(3), bits) % 2
        picture.bar("items", "taken by", taken.flatten(2)[..., :state.alive.shape[1]].to(torch.float32).mean(1))
