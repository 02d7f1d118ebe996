"""Firms set prices, and consumers choose between their products and none by a logit: item actions are prices.

Calvano, Calzolari, Denicolo and Pastorello, "Artificial intelligence, algorithmic pricing, and collusion", American
Economic Review 2020, section II. Showing only the cheapest product is price-directed prominence in Johnson, Rhodes and
Wildenbeest, "Platform design when sellers use pricing algorithms", Econometrica 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, Positive
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import combination
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError
from interplay.envs.world import State


@dataclass(frozen=True)
class LogitPrices(Mechanism):
    """Item j sells to the share ``exp((a - p_j) / mu) / (exp(a_0 / mu) + sum_k exp((a - p_k) / mu))`` of consumers.

    It earns ``p_j - c`` for each. Prices hold in the step in which they are set; an item that rests keeps its price.
    Consumers are many, and their shares are what is expected, so actions of users change nothing. A user stands for all
    of them and earns their mean surplus ``mu log(exp(a_0 / mu) + sum_k exp((a - p_k) / mu))``.
    """

    lowest: float = 1.0
    """The first of the prices."""
    highest: float = 2.0
    """The last of the prices, which lie evenly between."""
    num_prices: Annotated[int, Bounds(2)] = 15
    """How many there are."""
    cost: float = 1.0
    """c, marginal cost."""
    quality: float = 2.0
    """a, worth of a product to consumers."""
    outside: float = 0.0
    """a_0, worth of buying none."""
    differentiation: Positive = 0.25
    """mu, how much tastes differ; near 0 all buy the cheapest."""
    shown: Literal["all", "cheapest"] = "all"
    """cheapest = the platform shows that product alone; of several, each for an equal part of the time."""

    replaces_user_reward = True

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

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("price", "lowest price of rivals", "mean price of rivals")

    def num_item_states(self, sizes: MarketSizes) -> int:
        """All combinations of prices."""
        count: int = self.num_prices ** sizes.num_items
        return count

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Numbers of prices, of which any are as likely at first."""
        return {"price_level": self.integers(start, self.num_prices, start.sizes.num_items)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        return {"price_level": outcome.chosen_number(self, keep=state["price_level"])}

    def price(self, state: State) -> Tensor:
        """Prices, float32 ``[B, I]``."""
        return self.lowest + self.step * state["price_level"]

    def shares(self, price: Tensor) -> Tensor:
        """Share of consumers that each item sells to, float32 ``[B, I]``."""
        worth = self._worth(price)
        none = torch.full_like(worth[:, :1], self.outside / self.differentiation)
        if self.shown == "all":
            return torch.cat([none, worth], dim=1).softmax(1)[:, 1:]
        cheapest = (price == price.amin(1, keepdim=True)).to(price.dtype)
        return torch.sigmoid(worth - none) * cheapest / cheapest.sum(1, keepdim=True)

    def surplus(self, price: Tensor) -> Tensor:
        """Mean surplus of consumers, float32 ``[B]``."""
        worth = self._worth(price)
        worth = worth if self.shown == "all" else worth.amax(1, keepdim=True)
        none = torch.full_like(worth[:, :1], self.outside / self.differentiation)
        return self.differentiation * torch.cat([none, worth], dim=1).logsumexp(1)

    def _worth(self, price: Tensor) -> Tensor:
        return (self.quality - price) / self.differentiation

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Consumers' surplus."""
        return self.surplus(self.price(after)).unsqueeze(1).expand(before.active.shape)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Profits."""
        price = self.price(after)
        return (price - self.cost) * self.shares(price)

    def see_items(self, state: State) -> Tensor:
        """Own price and those of rivals, from -1 for the lowest price to 1 for the highest."""
        own = state["price_level"] * (2.0 / (self.num_prices - 1)) - 1.0
        count = own.shape[1]
        if count == 1:
            return own.unsqueeze(2).expand(-1, -1, 3)
        least = own.topk(2, dim=1, largest=False)
        first = torch.arange(count, device=own.device) == least.indices[:, :1]
        rivals = (own.sum(1, keepdim=True) - own) / (count - 1)
        return torch.stack([own, torch.where(first, least.values[:, 1:], least.values[:, :1]), rivals], dim=2)

    def item_state(self, state: State) -> Tensor:
        """The combination of prices; the first item is the lowest digit."""
        return combination(state["price_level"], self.num_prices).expand(state.alive.shape)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        price = self.price(state)
        share = self.shares(price)
        profit = (price - self.cost) * share
        paid = (price * share).sum(1) / share.sum(1)
        return {"price": price.mean(1), "price paid": paid, "profit of an item": profit.mean(1),
                "consumer surplus": self.surplus(price)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("items", "price", self.price(state), low=self.lowest, high=self.highest)
