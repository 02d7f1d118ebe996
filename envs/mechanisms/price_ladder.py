"""Prices that items choose from: what mechanisms of shops and firms share."""

from __future__ import annotations

from torch import Tensor

from interplay.envs.checking import Checked
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.types import InterplayError
from interplay.envs.world import State


class PriceLadder(Checked):
    """A part of a mechanism: item actions are prices, which lie evenly from the lowest to the highest.

    A mechanism that derives from it, and from ``Mechanism`` after it, has the three parameters, and keeps the numbers
    of prices in its table ``price_level``, int64 ``[B, I]``.
    """

    lowest: float
    """The first of the prices."""
    highest: float
    """The last of the prices."""
    num_prices: int
    """How many there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lowest >= self.highest:
            raise InterplayError(f"lowest={self.lowest} must be below highest={self.highest}")

    @property
    def step(self) -> float:
        """From one price to the next."""
        return (self.highest - self.lowest) / (self.num_prices - 1)

    @property
    def prices(self) -> tuple[float, ...]:
        """All prices."""
        return tuple(self.lowest + self.step * level for level in range(self.num_prices))

    @property
    def item_actions(self) -> Levels:
        """The prices."""
        return Levels(self.prices)

    def price_of(self, level: Tensor) -> Tensor:
        """Prices by their numbers, float32 of the same shape."""
        return self.lowest + self.step * level

    def price(self, state: State) -> Tensor:
        """Prices that hold now, float32 ``[B, I]``."""
        return self.price_of(state["price_level"])

    def see_prices(self, state: State) -> Tensor:
        """The same from -1 for the lowest to 1 for the highest."""
        return state["price_level"] * (2.0 / (self.num_prices - 1)) - 1.0
