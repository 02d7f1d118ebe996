"""Boosts: items buy a larger weight in the slates of a segment of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, Self

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.checking import Bounds, NotNegative
from interplay.envs.drawing.colours import BOOST
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Start
from interplay.envs.population import kept
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State

Boost = Annotated[float, Bounds(1, above=True)]


class ByLevel(NamedTuple):
    """What each level stands for, float32 ``[1 + L]``; the first is rest.

    Attributes:
        factor: xi, 1 for rest.
        cost: charged when it is served.
        score: what it adds to scores before slates are drawn.
    """

    factor: Tensor
    cost: Tensor
    score: Tensor


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

    @kept
    def by_level(self) -> ByLevel:
        """Worked out on the host, so that they are the same on every device."""
        factor = torch.tensor((1.0, *self.levels), device="cpu")
        return ByLevel(factor, self.cost_of(factor), self.score_of(factor))

    def with_levels(self, by_level: ByLevel) -> Self:
        """The same with these numbers by level."""
        new = replace(self)
        new.__dict__["by_level"] = by_level
        return new

    def on(self, device: torch.device) -> Self:
        """See ``Mechanism.on``."""
        return self.with_levels(ByLevel(*(table.to(device) for table in self.by_level)))

    def scores(self, state: State, num_segments: int) -> Tensor:
        """log x_i[c], float32 ``[B, C, I]``: 0 except in the segment that the item targets."""
        level, score = state["boost_level"], self.by_level.score
        scores = score.new_zeros(len(level), num_segments, level.shape[1])
        return scores.scatter_(1, state["boost_segment"].unsqueeze(1), score.take(level).unsqueeze(1))

    def segment_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.segment_columns``."""
        return ("boost", "rival_boost")

    def own_and_rivals(self, state: State, num_segments: int) -> tuple[Tensor, Tensor]:
        """The item's own ``scores``, and the mean of other items', float32 ``[B, I, C]`` each."""
        gpu = kernels.of_gpu("items_gpu", state.alive)
        if gpu is not None and (found := gpu.own_and_rivals(self, state, num_segments)) is not None:
            own, rivals = found
            return own, rivals
        scores = self.scores(state, num_segments)
        rivals = (scores.sum(2, keepdim=True) - scores) / max(1, scores.shape[2] - 1)
        return scores.transpose(1, 2), rivals.transpose(1, 2)

    def see_segments(self, state: State, segments: Tensor) -> Tensor:
        """See ``own_and_rivals``."""
        return torch.stack(self.own_and_rivals(state, segments.shape[2]), dim=3)

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
            factors = self.by_level.factor.to(state.active.device)[state["boost_level"]]
            picture.bar("items", "boost", factors, low=1.0, high=max(self.levels), colour=BOOST)
