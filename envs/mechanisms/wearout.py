"""Wear-out: an item that many users of a segment have just responded to is less attractive to that segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from interplay.envs import kernels
from interplay.envs.checking import Fraction, NotNegative
from interplay.envs.drawing.colours import SATIATION
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import cell_of, gather_rows
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State


@dataclass(frozen=True)
class Wearout(Mechanism):
    """An item that many users of a segment have just responded to is less attractive to that segment.

    ``f_j[c] <- decay f_j[c]`` + responses from segment c per user of it; it lowers the logit by ``weight f_j[c]``.
    """

    weight: NotNegative = 0.0
    """phi, how much an item's wear-out in the user's segment lowers the response."""
    decay: Fraction = 0.0
    """delta_f, the part of wear-out that is left after a step."""

    @property
    def is_idle(self) -> bool:
        """See ``Mechanism.is_idle``."""
        return self.weight == 0.0

    def shift(self, state: State, items: Tensor) -> Tensor:
        """Less for an item that is worn out."""
        return -(self.weight * _of_items(state, items))

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """f_i, float32 ``[B, I, C]``."""
        return {"wearout": start.full_items(0.0, start.sizes.num_segments)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        segments = state["wearout"].shape[2]
        size = state.population.segments(segments).divisor.unsqueeze(1)
        return {"wearout": self.decay * state["wearout"] + outcome.by_segment(segments) / size}

    def option_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.option_columns``."""
        return ("wearout",)

    def segment_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.segment_columns``."""
        return ("wearout",)

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """f_j[c(u)] of each item in the user's own segment."""
        return _of_items(state, items).unsqueeze(3)

    def see_segments(self, state: State, segments: Tensor) -> Tensor:
        """f_i[c] of the item in each segment."""
        return state["wearout"].unsqueeze(3)

    def draw(self, picture: Picture, state: State) -> None:
        """The mean over segments; 1 is one response from every user."""
        if not self.is_idle:
            picture.bar("items", "wear-out", state["wearout"].mean(2), colour=SATIATION)


def _of_items(state: State, items: Tensor) -> Tensor:
    """f_j[c(u)], float32 ``[B, U, K]``."""
    if (gpu := kernels.of_gpu("tables_gpu", items)) is not None:
        found: Tensor = gpu.cells(state["wearout"], items, state.population.segment)
        return found
    cell = cell_of(items, state.population.segment.unsqueeze(2), state["wearout"].shape[2])
    return gather_rows(state["wearout"].flatten(1), cell)
