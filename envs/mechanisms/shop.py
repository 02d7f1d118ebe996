"""A shop: items are products of which there is a limited stock, and set prices; users are shoppers with limited money.

Prices for a limited stock: Gallego and van Ryzin, "Optimal dynamic pricing of inventories with stochastic demand over
finite horizons", Management Science 1994, in discrete time. Shoppers buy by a logit, whose mean surplus is that of
Small and Rosen, "Applied welfare economics with discrete choice models", Econometrica 1981.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import softplus

from interplay.envs.checking import Bounds, LogSpread, NotNegative, Positive
from interplay.envs.drawing.colours import BUDGET, HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.price_ladder import PriceLadder
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND, TOLERANCE
from interplay.envs.world import State


@dataclass(frozen=True)
class Shop(PriceLadder, Mechanism):
    """A shopper that takes product j looks at it, and buys it with probability ``sigmoid((w - p_j) / mu)``.

    Its worth to a shopper is ``w = quality_j + liking <p_u, v_j>``. Not all of it is known before: a shopper's surplus
    from a purchase is what w and a logistic draw, of scale mu, are above the price on average, ``mu ln(1 + e^V) /
    sigmoid(V)`` with ``V = (w - p_j) / mu``. It is the shopper's reward. A product earns its margin for each unit sold.

    Shoppers have money for the whole episode, of which what is left at the end is worth nothing more. A product that
    costs more than that, or of which nothing is left, cannot be taken. If shoppers want more than there is, each gets
    an equal part. Prices that products choose hold from the next step on, so that shoppers see them before.
    """

    lowest: Positive = 0.5
    """The first of the prices."""
    highest: Positive = 2.0
    """The last of the prices, which lie evenly between."""
    num_prices: Annotated[int, Bounds(2)] = 7
    """How many there are; at the start, any are as likely."""
    costs: tuple[NotNegative, ...] = (0.0,)
    """What a unit of each product costs its seller; one number is that of all."""
    stock: tuple[Positive, ...] = (10.0,)
    """Units of each product at the start; one number is that of all."""
    restock: NotNegative = 0.0
    """Units that arrive in each step, while there are fewer than at the start."""
    quality: float = 1.0
    """Worth of a product to a shopper of any taste, on average over products."""
    quality_spread: NotNegative = 0.0
    """Standard deviation of that worth over products."""
    liking: NotNegative = 0.0
    """How much more a product is worth that is wholly to a shopper's taste."""
    noise: Positive = 0.25
    """mu, how much of a product's worth is not known before."""
    money: Positive = 1_000_000.0
    """What a shopper can spend in an episode, as a median."""
    money_spread: LogSpread = 0.0
    """Standard deviation of its logarithm over shoppers."""

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.user_columns``."""
        return ("money left", "money at the start")

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("price", "stock left", "sold in the last step")

    def option_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.option_columns``."""
        return ("worth above the price", "price as a part of money left")

    def num_item_states(self, sizes: MarketSizes) -> int:
        """The step, whole units left, and the price."""
        count: int = (1 + sizes.horizon) * self._most * self.num_prices
        return count

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Money, and the surplus of the last step: float32 ``[B, U]``."""
        users = start.sizes.num_users
        money = self.money * torch.exp(self.money_spread * normal(start.key, start.time, self.stream, (users,)))
        return {"money": money, "first_money": money, "surplus": start.full_users(0.0)}

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Numbers of prices; qualities, costs and stocks; units sold and revenue of the last step: ``[B, I]``."""
        items, stock = start.sizes.num_items, start.of_items("shop.stock", self.stock)
        drawn = normal(start.key, start.time - 1, self.stream, (items,))  # a time of its own: money takes the other's
        nothing = start.full_items(0.0)
        return {"price_level": self.integers(start, self.num_prices, items, offset=2 * start.sizes.num_users),
                "quality": self.quality + self.quality_spread * drawn, "first_stock": stock, "stock": stock,
                "unit_cost": start.of_items("shop.costs", self.costs), "sold": nothing, "revenue": nothing}

    def _prices_of(self, state: State, items: Tensor) -> Tensor:
        return self.price_of(state.of_items("price_level", items))

    def _value(self, state: State, items: Tensor) -> Tensor:
        """V of ``items`` int64 ``[B, U]`` or ``[B, U, K]``."""
        worth = state.of_items("quality", items)
        if self.liking > 0.0:
            taste = state.user_vector if items.dim() == 2 else state.user_vector.unsqueeze(2)
            worth = worth + self.liking * (taste * state.population.of_items(items).vector).sum(-1)
        return (worth - self._prices_of(state, items)) / self.noise

    def shift(self, state: State, items: Tensor) -> Tensor:
        """V."""
        return self._value(state, items)

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Sales at the prices that held."""
        part = (state["stock"] / outcome.demand.clamp(min=TOLERANCE)).clamp(max=1.0)
        sold = outcome.demand * part
        bought = outcome.response * part.gather(1, outcome.item)
        left = torch.minimum(state["stock"] - sold + self.restock, state["first_stock"]).clamp(min=0.0)
        return {"stock": left, "sold": sold, "revenue": self.price(state) * sold,
                "money": (state["money"] - bought * self._prices_of(state, outcome.item)).clamp(min=0.0),
                "surplus": bought * self._gain(self._value(state, outcome.item)),
                "price_level": outcome.chosen_number(self, keep=state["price_level"])}

    def _gain(self, value: Tensor) -> Tensor:
        """Mean surplus of those that buy."""
        return self.noise * softplus(value) / torch.sigmoid(value).clamp(min=1e-12)

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """The surplus."""
        return after["surplus"]

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The same if nothing runs out."""
        gain = rate * self._gain(self._value(state, items))
        return torch.cat([torch.zeros_like(gain[..., :1]), gain], dim=2)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Revenue less the cost of what was sold."""
        return after["revenue"] - after["unit_cost"] * after["sold"]

    def see_users(self, state: State) -> Tensor:
        """The part of the money that is left, and the money at the start beside that of others."""
        first = (state["first_money"] / self.money).log()
        return torch.stack([state["money"] / state["first_money"], first], dim=2).clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def see_items(self, state: State) -> Tensor:
        """The price from -1 to 1, and stock and sales as parts of the stock at the start."""
        return torch.stack([self.see_prices(state), state["stock"] / state["first_stock"],
                            state["sold"] / state["first_stock"]], dim=2)

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """V, and what a product costs of what is left."""
        part = self._prices_of(state, items) / state["money"].unsqueeze(2).clamp(min=self.lowest)
        return torch.stack([self._value(state, items), part], dim=3).clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def allowed_slots(self, state: State, items: Tensor) -> Tensor:
        """What there is and what can be paid."""
        pays = self._prices_of(state, items) <= state["money"].unsqueeze(2) + TOLERANCE
        return pays & (state.of_items("stock", items) > TOLERANCE)

    @property
    def _most(self) -> int:
        """Whole numbers of units of a product."""
        return 1 + int(max(self.stock))

    def item_state(self, state: State) -> Tensor:
        """See ``num_item_states``."""
        units = (state["stock"] + TOLERANCE).long().clamp(max=self._most - 1)
        return (state.time.long().unsqueeze(1) * self._most + units) * self.num_prices + state["price_level"]

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        sold = state["sold"].sum(1)
        profit = state["revenue"] - state["unit_cost"] * state["sold"]
        return {"price": self.price(state).mean(1), "sales": sold, "profit of an item": profit.mean(1),
                "consumer surplus": state["surplus"].mean(1), "stock left": (
                    state["stock"] / state["first_stock"]).mean(1),
                "share of products sold out": (state["stock"] <= TOLERANCE).float().mean(1),
                "money left": (state["money"] / state["first_money"]).mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("users", "money", state["money"] / state["first_money"], colour=BUDGET)
        picture.bar("items", "price", self.price(state), low=self.lowest, high=self.highest)
        picture.bar("items", "stock", state["stock"] / state["first_stock"], colour=HIGH)
