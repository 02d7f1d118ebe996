"""Boosts: items buy a larger weight in the slates of a segment of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, NotNegative
from interplay.envs.drawing.colours import BOOST
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State

Boost = Annotated[float, Bounds(1, above=True)]


@dataclass(frozen=True)
class Boosts(Mechanism):
    """Items buy a larger weight in the next slates of a segment of users, and pay when these are served."""

    levels: tuple[Boost, ...] = (2.0, 4.0)
    """Factors xi_l > 1 by which a boost multiplies an item's weight; () = items can only rest."""
    cost: NotNegative = 0.5
    """c, cost of one unit of boost above 1, charged when the boost is served."""

    @property
    def carries_over(self) -> bool:
        """False: an item chooses each boost by itself, so that what users do now changes none of them."""
        return False

    @property
    def is_idle(self) -> bool:
        """See ``Mechanism.is_idle``."""
        return not self.levels

    def cost_of(self, factors: Tensor) -> Tensor:
        """What boosts by these factors cost, float32 ``[1 + L]``; 1 is rest."""
        return self.cost * (factors - 1.0)

    def score_of(self, factors: Tensor) -> Tensor:
        """What boosts by these factors add to scores before slates are drawn, float32 ``[1 + L]``."""
        return factors.log()

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """What the item's last action was: its segment and how hard, 0 = rest, l = the l-th level: int64 ``[B, I]``."""
        return {name: start.full_items(0.0).long() for name in ("boost_segment", "boost_level")}

    def digit_sizes(self, sizes: MarketSizes) -> Sequence[int]:
        """See ``exact_states``."""
        return (1 + sizes.num_segments * len(self.levels),)

    def digits(self, state: State) -> Tensor:
        """The action that is being served, int64 ``[B, I, 1]``."""
        action = state["boost_segment"] * len(self.levels) + state["boost_level"]
        return torch.where(state["boost_level"] > 0, action, 0).unsqueeze(2)

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        if self.levels:
            level = state["boost_level"]
            factors = torch.tensor((1.0, *self.levels), device=level.device)[level]
            picture.bar("items", "boost", factors, low=1.0, high=max(self.levels), colour=BOOST)
