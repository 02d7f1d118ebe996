"""A clock that users see, for worlds in which the last steps are played otherwise than the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from interplay.envs.mechanisms.base import Mechanism, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State


@dataclass(frozen=True)
class Clock(Mechanism):
    """Users see which part of the episode is left, and learners count nothing beyond it.

    Without it the end of an episode is a cut that cannot be foreseen, and what would have followed counts.
    """

    carries_over: ClassVar[bool] = False
    shows_end: ClassVar[bool] = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """See ``Mechanism``."""
        return ["time_left"]

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """The length of an episode, float32 ``[B, U]``."""
        return {"horizon": start.full_users(start.sizes.horizon)}

    def see_users(self, state: State) -> Tensor:
        """1 at the start, 0 after the last step."""
        return (1.0 - state.time.unsqueeze(1) / state["horizon"]).unsqueeze(2)
