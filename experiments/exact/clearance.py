"""One product with a limited stock, and one shopper in each step: dynamic programming over the stock and the price.

From the equations of ``mechanisms.shop``. A price that is chosen in a step holds in the next one, so it is chosen
before the product knows whether it sells now. Shoppers look at the product in each step in which there is some of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from interplay.envs.market import Market
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.shop import Shop
from interplay.experiments.exact.base import Array, ExactGame, Oracle, only_mechanism

Choice = Callable[[Array], int]
"""The price to set, from what each would bring."""


@dataclass(frozen=True)
class ClearanceGame(ExactGame):
    """One product and one shopper.

    Attributes:
        rules: the parameters.
        horizon: steps.
    """

    name: ClassVar[str] = "clearance"
    rules: Shop
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rules = only_mechanism(market, Shop, beside=Clock, appeal=None)
        if rules is None or (c.num_users, c.num_items, c.response_mode) != (1, 1, "sampled"):
            return None
        random = rules.liking + rules.quality_spread + rules.money_spread + rules.restock > 0.0
        people = market.reset(range(4)).population
        others = people.appeal.any() or people.margin.any() or people.preference_weight.any()
        known = market.behaviour.formula == "preference" and rules.stock[0] == int(rules.stock[0])
        rich = rules.money >= c.horizon * rules.highest
        return cls(rules, c.horizon) if known and rich and not random and not others else None

    def oracle(self) -> Oracle:
        """The best price for each step, stock and price, and prices that stay once they are set."""
        prices = range(self.rules.num_prices)
        fixed = [self._value(_always(price)) for price in prices]
        margin = (np.array(self.rules.prices) - self._cost) * self._buys
        best, myopic = int(np.argmax([item for item, _ in fixed])), int(np.argmax(margin))
        return self._known("optimum", self._value(lambda ahead: int(ahead.argmax())), (
            self._known(f"best price that stays, {self.rules.prices[best]:.4g}", fixed[best]),
            self._known(f"best price for a stock without end, {self.rules.prices[myopic]:.4g}", fixed[myopic])))

    def _known(self, name: str, value: tuple[float, float], others: tuple[Oracle, ...] = ()) -> Oracle:
        return Oracle(name, value[1], item_return=value[0], others=others)

    @property
    def _cost(self) -> float:
        return self.rules.costs[0]

    @property
    def _buys(self) -> Array:
        """Probability of a purchase at each price."""
        r = self.rules
        probability: Array = expit((r.quality - np.array(r.prices)) / r.noise)
        return probability

    def _value(self, choose: Choice) -> tuple[float, float]:
        """What the product and its shoppers earn in an episode, if prices are chosen like this; any is first."""
        r, prices, units = self.rules, np.array(self.rules.prices), int(self.rules.stock[0])
        surplus = r.noise * np.logaddexp(0.0, (r.quality - prices) / r.noise)
        ahead = np.zeros((2, 1 + units, r.num_prices))  # of the product and of shoppers
        for _ in range(self.horizon):
            now = np.zeros_like(ahead)
            for stock in range(1 + units):
                for price in range(r.num_prices):
                    buys = self._buys[price] * (stock > 0)
                    after = buys * ahead[:, max(0, stock - 1)] + (1.0 - buys) * ahead[:, stock]
                    gained = np.array([buys * (prices[price] - self._cost), surplus[price] * (stock > 0)])
                    now[:, stock, price] = gained + after[:, choose(after[0])]
            ahead = now
        return float(ahead[0, -1].mean()), float(ahead[1, -1].mean())


def _always(price: int) -> Choice:
    """A price that stays, by its number."""
    return lambda ahead: price
