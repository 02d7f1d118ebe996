"""Equilibria of firms that set prices for logit consumers: in closed form, and on a grid of prices.

With rivals' prices given, ``(p - c) s(p)`` is largest at ``p = c + mu (1 + W(exp((a - c) / mu - 1) / B))``, where W is
Lambert's function and B is what consumers weigh the rest with, ``exp(a_0 / mu) + sum_k exp((a - p_k) / mu)``. The Nash
price is the fixed point. For n firms that act as one, B is ``exp(a_0 / mu) / n``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import exp, log
from typing import ClassVar, Self

import numpy as np
import torch
from scipy.special import lambertw

from interplay.envs.market import Market
from interplay.envs.mechanisms.logit_prices import LogitPrices
from interplay.experiments.exact.base import Actions, Array, ExactGame, Oracle, Tabulate, gains, only_mechanism

_MOST_PROFILES = 100_000
_MOST_STATES = 1_000  # more would take minutes
_ROUNDING = 1e-9
_ALIKE = 1e-4  # profits that differ by less count as the same: those of a single firm


@dataclass(frozen=True)
class PricingGame(ExactGame):
    """Equal firms.

    Attributes:
        model: parameters of demand.
        num_items, num_users: firms, and users who stand for all consumers.
        horizon: steps.
    """

    name: ClassVar[str] = "pricing"
    model: LogitPrices
    num_items: int
    num_users: int = 1
    horizon: int = 1

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``. Of a platform that keeps an incumbent nothing is known."""
        c = market.config
        model = only_mechanism(market, LogitPrices)
        if model is None or model.shown == "incumbent":
            return None
        return cls(model, c.num_items, c.num_users, c.horizon)

    def oracle(self) -> Oracle | None:
        """The equilibrium of any price, joint monopoly, and the equilibria of the grid at which all prices are equal.

        If only the cheapest is shown, firms undercut each other down to cost: without a grid no other price is one.
        """
        grid = self.grid_equilibria() if self.model.num_prices ** self.num_items <= _MOST_PROFILES else []
        equal = [self._known(f"equilibrium of the grid, price {p[0]:.4g}", p[0]) for p in grid if len(set(p)) == 1]
        nash = self.nash() if self.model.shown == "all" else self.model.cost
        return self._known("equilibrium", nash, (self._known("monopoly", self.monopoly()), *equal))

    def _known(self, name: str, price: float, others: tuple[Oracle, ...] = ()) -> Oracle:
        """All at one price."""
        prices = np.full(self.num_items, price)
        surplus, profit = self.surplus(prices), float(self.profits(prices)[0])
        measures = {"price": price, "price paid": price, "profit of an item": profit, "profit gain": self.gain(profit),
                    "consumer surplus": surplus}
        return Oracle(name, surplus * self.num_users * self.horizon, item_return=profit * self.num_items * self.horizon,
                      measures=measures, others=others)

    def nash(self) -> float:
        """The price from which no firm gains by another, if consumers see all."""
        price = 0.0
        while abs((better := self._best_reply(price)) - price) > 1e-14:
            price = better
        return price

    def _best_reply(self, price: float) -> float:
        m = self.model
        return self._best(exp(m.outside / m.differentiation)
                          + (self.num_items - 1) * exp((m.quality - price) / m.differentiation))

    def monopoly(self) -> float:
        """The price that is best for all firms together: with one shown, that of a single product."""
        m = self.model
        return self._best(exp(m.outside / m.differentiation) / (self.num_items if m.shown == "all" else 1))

    def _best(self, rest: float) -> float:
        m = self.model
        weight = exp((m.quality - m.cost) / m.differentiation - 1.0) / rest
        return m.cost + m.differentiation * (1.0 + float(lambertw(weight).real))

    def shares(self, price: Array) -> Array:
        """Share of consumers that each firm sells to, ``[I]``."""
        m = self.model
        weight = np.exp((m.quality - price) / m.differentiation)
        if m.shown == "all":
            all_shares: Array = weight / (exp(m.outside / m.differentiation) + weight.sum())
            return all_shares
        cheapest = np.isclose(price, price.min(), rtol=0.0, atol=1e-9)
        share: Array = cheapest / cheapest.sum() * weight / (exp(m.outside / m.differentiation) + weight)
        return share

    def profits(self, price: Array) -> Array:
        """Profit of each firm in a step, ``[I]``."""
        profit: Array = (price - self.model.cost) * self.shares(price)
        return profit

    def surplus(self, price: Array) -> float:
        """Mean surplus of consumers in a step."""
        m = self.model
        weight = np.exp((m.quality - price) / m.differentiation)
        return m.differentiation * log(exp(m.outside / m.differentiation)
                                       + float(weight.sum() if m.shown == "all" else weight.max()))

    def gain(self, profit: float) -> float:
        """Where a profit lies between that of the equilibrium, 0, and that of joint monopoly, 1, with all shown."""
        game = self.all_shown
        low, high = (float(game.profits(np.full(self.num_items, price))[0]) for price in (game.nash(), game.monopoly()))
        return (profit - low) / max(high - low, _ALIKE)

    @property
    def all_shown(self) -> PricingGame:
        """The same firms where consumers see all products."""
        return replace(self, model=replace(self.model, shown="all"))

    def table(self) -> Array:
        """Profit of each firm at each combination of prices, ``[I, prices, ..., prices]``; a firm's own axis is its."""
        size = self.model.num_prices
        rows = [self.profits(np.array(price)) for price in product(self.model.prices, repeat=self.num_items)]
        return np.stack(rows, axis=1).reshape(self.num_items, *[size] * self.num_items)

    def gap(self, market: Market, actions: Tabulate) -> float | None:
        """See ``ExactGame.gap``; a mean over first prices. Policies are those that act on the last prices."""
        size = self.model.num_prices
        if size ** self.num_items > _MOST_STATES:
            return None
        levels = np.stack(np.unravel_index(np.arange(size**self.num_items), (size,) * self.num_items), axis=1)
        state = market.reset(range(len(levels)))
        action = actions(state.with_tables({"price_level": torch.tensor(levels, device=market.device)}), "items")
        profit = self.table()
        return max(self._gap(profit[firm], levels, action, firm) for firm in range(self.num_items))

    def _gap(self, profit: Array, levels: Actions, action: Actions, firm: int) -> float:
        """The gain of one firm."""
        after = np.where(action > 0, action - 1, levels)  # without a price, the last one stays
        following = []
        for own in range(1 + self.model.num_prices):
            joint = after.copy()
            joint[:, firm] = own - 1 if own else levels[:, firm]
            following.append(np.ravel_multi_index(tuple(joint.T), profit.shape))
        table = np.stack(following)
        return float(gains(profit.flatten()[table], table, action[:, firm], self.horizon).mean())

    def grid_equilibria(self) -> list[tuple[float, ...]]:
        """Prices of the grid from which no firm gains by another price of the grid."""
        profit = self.table()
        stable = np.ones(profit.shape[1:], dtype=bool)
        for firm in range(self.num_items):
            stable &= profit[firm] >= profit[firm].max(axis=firm, keepdims=True) - _ROUNDING
        return [tuple(self.model.prices[level] for level in place) for place in np.argwhere(stable)]
