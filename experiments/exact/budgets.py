"""The optimum of users who decide together which items live, by dynamic programming over all budgets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from interplay.envs.market import Market
from interplay.envs.mechanisms.budgets import Budgets
from interplay.experiments.exact.base import Array, Oracle, acting
from interplay.experiments.exact.known import as_array, is_whole, known_population

BUDGET_UNIT = 0.05  # of which all budgets in `viability` are multiples
_LARGEST_BUDGET = 20.0  # larger ones would take minutes


def budget_game(market: Market) -> BudgetGame | None:
    """Users with constant mean responses that decide together which items live."""
    c, population = market.config, known_population(market)
    budgets = c.built_in.budgets
    if not (acting(c) == {Budgets} and c.slate_order == "fixed" and c.response_mode == "mean" and c.position_bias == 0.0
            and c.num_items <= 2 and c.num_users <= 4):
        return None
    if population is None or budgets.max > _LARGEST_BUDGET:
        return None
    vectors = as_array(population.user_vector)[0] * as_array(population.preference_weight)[0]
    logit = vectors @ as_array(population.item_vector)[0].T + as_array(population.appeal)[0]
    rate = 1.0 / (1.0 + np.exp(-logit))
    if not all(is_whole(np.asarray(x) / BUDGET_UNIT) for x in (rate, budgets.start, budgets.max, budgets.upkeep)):
        return None
    return BudgetGame(rate, budgets.start, budgets.max, budgets.upkeep, c.horizon)


@dataclass(frozen=True)
class BudgetGame:
    """Items that die when their budget is empty, users who all see both.

    Attributes:
        rate: ``[U, I]``, responses.
        start, most, upkeep: budgets at the start, at most, and what each step costs.
        horizon: steps.
    """

    rate: Array
    start: float
    most: float
    upkeep: float
    horizon: int

    def oracle(self) -> Oracle:
        """The optimum beside myopic users."""
        return Oracle("optimum", user_return=self.optimum(), greedy=self.myopic())

    def optimum(self) -> float:
        """Largest total return of the users, if they act as one. Backward over all pairs of budgets."""
        most, start = self.units(self.most), self.units(self.start)
        budgets = np.arange(most + 1)
        ahead = np.zeros((most + 1,) * self.rate.shape[1])
        choices = list(product(range(self.rate.shape[1] + 1), repeat=self.rate.shape[0]))
        for _ in range(self.horizon):
            best = np.full_like(ahead, -np.inf)
            for income, alive_needed in {self.income(choice) for choice in choices}:
                after = [self.after(budgets, x) for x in income]
                value = sum(income) * BUDGET_UNIT + ahead[np.ix_(*after)]
                for item, needed in enumerate(alive_needed):
                    if needed:  # a dead item cannot be taken
                        value[(slice(None),) * item + (0,)] = -np.inf
                best = np.maximum(best, value)
            ahead = best
        return float(ahead[(start,) * self.rate.shape[1]])

    def myopic(self) -> float:
        """Total return of users who each take the best living item."""
        budget = np.full(self.rate.shape[1], self.units(self.start))
        total = 0.0
        for _ in range(self.horizon):
            if not (budget > 0).any():
                break
            choice = np.where(budget > 0, self.rate, -1.0).argmax(1)
            income, _ = self.income(tuple(choice + 1))
            total += sum(income) * BUDGET_UNIT
            budget = np.array([self.after(b, x) for b, x in zip(budget, income, strict=True)])
        return total

    def units(self, amount: float) -> int:
        """An amount in multiples of ``BUDGET_UNIT``."""
        return round(amount / BUDGET_UNIT)

    def income(self, choice: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Income of each item in units, and which items must live, for users' choices (0 = skip)."""
        income = [0] * self.rate.shape[1]
        for user, item in enumerate(choice):
            if item:
                income[item - 1] += self.units(float(self.rate[user, item - 1]))
        return tuple(income), tuple(item + 1 in choice for item in range(self.rate.shape[1]))

    def after(self, budget: NDArray[np.int64], income: int) -> NDArray[np.int64]:
        """An item's next budget in units; the dead stay dead."""
        after = np.clip(budget - self.units(self.upkeep) + income, 0, self.units(self.most))
        return np.where(budget > 0, after, 0)
