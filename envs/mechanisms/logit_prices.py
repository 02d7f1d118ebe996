"""Firms set prices, and consumers choose between their products and none by a logit: item actions are prices.

Calvano, Calzolari, Denicolo and Pastorello, "Artificial intelligence, algorithmic pricing, and collusion", American
Economic Review 2020, section II. Showing only the cheapest product is price-directed prominence in Johnson, Rhodes and
Wildenbeest, "Platform design when sellers use pricing algorithms", Econometrica 2023, and going on to show the product
that was shown last, unless its price rises, is their dynamic kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, NotNegative, Positive
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import combination, one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.price_ladder import PriceLadder
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import TOLERANCE
from interplay.envs.world import State


@dataclass(frozen=True)
class LogitPrices(PriceLadder, Mechanism):
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
    shown: Literal["all", "cheapest", "incumbent"] = "all"
    """cheapest = the platform shows that product alone. incumbent = it goes on to show the product that it showed last,
    unless its price rises, or another's is lower by more than ``advantage``; then the cheapest."""
    ties: Literal["shared", "drawn"] = "shared"
    """Of several cheapest products each is shown for an equal part of a step, or one for all of it. The platform that
    keeps an incumbent always draws."""
    advantage: NotNegative = 0.0
    """How much lower another price must be to take the place of an incumbent."""

    replaces_user_reward = True

    def equal_price(self, num_items: int, together: int) -> float:
        """The price at which ``p - c = mu / (1 - k s(p))`` if all products are shown, by bisection.

        For ``together`` k = 1 it is that of the equilibrium, and for k = ``num_items`` that of all firms together.
        """
        low, high = self.cost, self.cost + max(10.0, self.quality - self.outside + 10.0 * self.differentiation)
        for _ in range(60):
            price = (low + high) / 2.0
            share = self._share_at(price, num_items)
            too_low = price - self.cost < self.differentiation / max(1.0 - together * share, 1e-12)
            low, high = (price, high) if too_low else (low, price)
        return low

    def _share_at(self, price: float, num_items: int) -> float:
        """Share of each of so many products, all shown and at one price."""
        return 1.0 / (num_items + math.exp(min(700.0, (self.outside - self.quality + price) / self.differentiation)))

    def gain(self, profit: Tensor, num_items: int) -> Tensor:
        """Where a firm's profit lies between that of the equilibrium, 0, and of joint monopoly, 1, with all shown."""
        prices = [self.equal_price(num_items, together) for together in (1, num_items)]
        low, high = ((price - self.cost) * self._share_at(price, num_items) for price in prices)
        return (profit - low) / max(high - low, TOLERANCE)

    @property
    def draws_one(self) -> bool:
        """Whether one product is shown in each step, which follows from more than its prices."""
        return self.shown == "incumbent" or (self.shown == "cheapest" and self.ties == "drawn")

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        own = ("price", "lowest price of rivals", "mean price of rivals")
        return (*own, "shown in the last step") if self.shown == "incumbent" else own

    def num_item_states(self, sizes: MarketSizes) -> int:
        """All combinations of prices, and of the incumbent where there is one."""
        count: int = self.num_prices ** sizes.num_items
        return count * sizes.num_items if self.shown == "incumbent" else count

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Numbers of prices, of which any are as likely at first, and 1 for the product that is shown, if it is one."""
        level = self.integers(start, self.num_prices, start.sizes.num_items)
        return {"price_level": level} | ({"slot": self._drawn(start, level)} if self.draws_one else {})

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        level = outcome.chosen_number(self, keep=state["price_level"])
        if not self.draws_one:
            return {"price_level": level}
        slot = self._drawn(state, level)
        if self.shown == "incumbent":
            most = level.amin(1, keepdim=True) + self.advantage / self.step + TOLERANCE
            keeps = state["slot"] * ((level <= state["price_level"]) & (level <= most))
            slot = torch.where(keeps.sum(1, keepdim=True) > 0.0, keeps, slot)
        return {"price_level": level, "slot": slot}

    def _drawn(self, at: State | Start, level: Tensor) -> Tensor:
        """1 at one of the products with the lowest price, each as likely, float32 ``[B, I]``."""
        draw = self.uniform(at, level.shape[1], offset=level.shape[1])
        return one_hot(draw.masked_fill(level > level.amin(1, keepdim=True), -1.0).argmax(1), level.shape[1])

    def shares(self, state: State) -> Tensor:
        """Share of consumers that each item sells to, float32 ``[B, I]``."""
        price = self.price(state)
        worth = self._worth(price)
        none = torch.full_like(worth[:, :1], self.outside / self.differentiation)
        if self.shown == "all":
            return torch.cat([none, worth], dim=1).softmax(1)[:, 1:]
        if self.draws_one:
            return torch.sigmoid(worth - none) * state["slot"]
        cheapest = (price == price.amin(1, keepdim=True)).to(price.dtype)
        return torch.sigmoid(worth - none) * cheapest / cheapest.sum(1, keepdim=True)

    def surplus(self, state: State) -> Tensor:
        """Mean surplus of consumers, float32 ``[B]``."""
        worth = self._worth(self.price(state))
        if self.shown == "incumbent":
            worth = (worth * state["slot"]).sum(1, keepdim=True)
        elif self.shown == "cheapest":
            worth = worth.amax(1, keepdim=True)
        none = torch.full_like(worth[:, :1], self.outside / self.differentiation)
        return self.differentiation * torch.cat([none, worth], dim=1).logsumexp(1)

    def _worth(self, price: Tensor) -> Tensor:
        return (self.quality - price) / self.differentiation

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Consumers' surplus."""
        return self.surplus(after).unsqueeze(1).expand(before.active.shape)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Profits."""
        return (self.price(after) - self.cost) * self.shares(after)

    def see_items(self, state: State) -> Tensor:
        """Own price and those of rivals, from -1 for the lowest price to 1 for the highest."""
        own = self.see_prices(state)
        count, shown = own.shape[1], [state["slot"]] if self.shown == "incumbent" else []
        if count == 1:
            return torch.stack([own, own, own, *shown], dim=2)
        least = own.topk(2, dim=1, largest=False)
        first = torch.arange(count, device=own.device) == least.indices[:, :1]
        rivals = (own.sum(1, keepdim=True) - own) / (count - 1)
        return torch.stack([own, torch.where(first, least.values[:, 1:], least.values[:, :1]), rivals, *shown],
                           dim=2)

    def item_state(self, state: State) -> Tensor:
        """The combination of prices; the first item is the lowest digit, and an incumbent's number the highest."""
        number = combination(state["price_level"], self.num_prices)
        if self.shown == "incumbent":
            number = number + self.num_prices ** state.alive.shape[1] * state["slot"].argmax(1, keepdim=True)
        return number.expand(state.alive.shape)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        price = self.price(state)
        share = self.shares(state)
        profit = (price - self.cost) * share
        paid = (price * share).sum(1) / share.sum(1)
        return {"price": price.mean(1), "price paid": paid, "profit of an item": profit.mean(1),
                "profit gain": self.gain(profit.mean(1), price.shape[1]), "consumer surplus": self.surplus(state)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("items", "price", self.price(state), low=self.lowest, high=self.highest)
