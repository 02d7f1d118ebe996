"""Optima that can be computed: by dynamic programming on small games, in closed form for the contest.

They are written from the game's equations in NumPy, apart from the tensor core, so that each checks the other. A
game is recognised by its rules, its people and its response formula, not by its name: a new preset with the same
structure has its optimum at once. A behaviour with a response or with people of its own has none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.envs.behaviour.synthetic import SyntheticBehaviour
from interplay.envs.discovery import discover
from interplay.envs.market import Market
from interplay.envs.population import Population
from interplay.experiments.exact.base import Array, ExactGame, Oracle

BUDGET_UNIT = 0.05  # of which all budgets in `viability` are multiples
_LARGEST_BUDGET = 20.0  # larger ones would take minutes
_MOST_CELLS = 1_000_000  # states times actions, for the same reason


def solve(market: Market) -> Oracle | None:
    """The exact answer for ``market``, or None where no method here knows one."""
    game = single_user_game(market) or budget_game(market) or contest_game(market) or game_of_mechanisms(market)
    return None if game is None else game.oracle()


def game_of_mechanisms(market: Market) -> ExactGame | None:
    """The game that the market is by its mechanisms; see ``ExactGame``."""
    if not market.config.mechanisms:
        return None
    kinds: dict[str, type[ExactGame]] = discover(sys.modules[__package__], ExactGame)
    found = (kind.of(market) for kind in kinds.values())
    return next((game for game in found if game is not None), None)


def greedy_is_optimal(market: Market) -> bool:
    """Whether nothing that users do now changes what they could earn later, as long as items take no notice of it.

    Then every step is a contextual bandit, and no policy is better than the best response now.
    """
    if market.behaviour.formula is None or not market.constants.mechanisms.leave_greedy_optimal:
        return False  # its responses or rewards may depend on anything that users did
    c = market.config
    moving = (c.satiation_weight, c.mood_weight, c.wearout_weight, c.drift_rate)
    return not (any(moving) or c.budgets or c.leaving)


def _population(market: Market) -> Population | None:
    """One world's people, where they respond by the formula, are the same in all worlds, and no mechanism is added."""
    behaviour = market.behaviour
    known = (isinstance(behaviour, SyntheticBehaviour) and behaviour.same_population
             and behaviour.formula == "preference" and not market.config.mechanisms)
    return market.reset([0]).population if known else None


def single_user_game(market: Market) -> SingleUserGame | None:
    """One user, all items always shown, whole-number satiation and mood: a small Markov decision process."""
    c, population = market.config, _population(market)
    if population is None:
        return None
    moves = (c.satiation_gain * _numpy(population.topics), _numpy(population.mood_effect), c.satiation_recovery,
             c.satiation_max, c.mood_max)
    whole = all(_is_whole(x) for x in moves)
    undecayed = c.satiation_decay == 1.0 and c.mood_decay == 1.0
    frozen = c.drift_rate == 0.0 and c.drift_noise == 0.0 and c.wearout_weight == 0.0
    if not (c.num_users == 1 and c.slate_order == "fixed" and c.response_mode == "sampled" and c.position_bias == 0.0
            and whole and undecayed and frozen and not c.leaving and not c.budgets):
        return None
    if (c.satiation_max + 1) ** c.num_topics * (2 * c.mood_max + 1) * (1 + c.num_items) > _MOST_CELLS:
        return None
    return SingleUserGame.of(market, population)


Policy = Callable[[Array], Array]
"""From action values ``[A, states]`` to what they are worth under a policy, ``[states]``."""


def best_response(values: Array) -> Array:
    """The optimal policy's value."""
    best: Array = values.max(0)
    return best


def uniform(values: Array) -> Array:
    """Any action, skipping included."""
    mean: Array = values.mean(0)
    return mean


def uniform_items(values: Array) -> Array:
    """Any item, never skipping."""
    mean: Array = values[1:].mean(0)
    return mean


@dataclass(frozen=True)
class SingleUserGame:
    """Tables of the one-user game; a state is (satiation of each topic, mood), flattened.

    Attributes:
        rate: ``[1 + I, states]``, probability of a response; row 0 is the skip.
        hit, miss: int ``[1 + I, states]``, the next state with and without a response.
        satiation, mood: ``[G, states]`` and ``[states]``, what each state is.
        start: the state at time 0.
        horizon: steps.
    """

    rate: Array
    hit: NDArray[np.int64]
    miss: NDArray[np.int64]
    satiation: Array
    mood: Array
    start: int
    horizon: int

    @classmethod
    def of(cls, market: Market, population: Population) -> SingleUserGame:
        """The tables for a market of this kind (steps 1, 2 and 4 of the game)."""
        c = market.config
        axes = [np.arange(c.satiation_max + 1)] * c.num_topics + [np.arange(-c.mood_max, c.mood_max + 1)]
        shape = tuple(len(axis) for axis in axes)
        grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(len(axes), -1)
        satiation, mood = grid[:-1], grid[-1]
        taste, topics = _numpy(population.user_vector)[0, 0], _numpy(population.topics)[0]
        weighted = _numpy(population.preference_weight)[0] * taste
        base = _numpy(population.item_vector)[0] @ weighted + _numpy(population.appeal)[0]
        mood_effect = _numpy(population.mood_effect)[0]

        def after(gain: Array, lift: float) -> NDArray[np.int64]:
            tired = np.clip(satiation + gain[:, None] - c.satiation_recovery, 0, c.satiation_max)
            lifted = np.clip(mood + lift, -c.mood_max, c.mood_max) + c.mood_max
            digits = (*np.rint(tired).astype(np.int64), np.rint(lifted).astype(np.int64))
            return np.asarray(np.ravel_multi_index(digits, shape), dtype=np.int64)

        idle = after(np.zeros(c.num_topics), 0.0)
        logit = base[:, None] - c.satiation_weight * topics @ satiation + c.mood_weight * mood
        rate = np.concatenate([np.zeros((1, grid.shape[1])), 1.0 / (1.0 + np.exp(-logit))])
        hits = [idle] + [after(c.satiation_gain * g, n) for g, n in zip(topics, mood_effect, strict=True)]
        start = int(np.flatnonzero((satiation == 0).all(0) & (mood == 0))[0])
        return cls(rate, np.stack(hits), np.stack([idle] * len(hits)), satiation, mood, start, c.horizon)

    def oracle(self) -> Oracle:
        """The optimum beside greedy and random users."""
        return Oracle("optimum", user_return=self.value(best_response), greedy=self.value(self.greedy),
                      random=self.value(uniform))

    def value(self, policy: Policy) -> float:
        """Expected return of a policy that may use the action values, from the start to the horizon."""
        ahead = np.zeros(self.rate.shape[1])
        for _ in range(self.horizon):
            ahead = policy(self.rate * (1.0 + ahead[self.hit]) + (1.0 - self.rate) * ahead[self.miss])
        return float(ahead[self.start])

    def greedy(self, values: Array) -> Array:
        """The myopic policy: the first action of highest response probability."""
        choice = self.rate.argmax(0)
        picked: Array = np.take_along_axis(values, choice[None], 0)[0]
        return picked


def budget_game(market: Market) -> BudgetGame | None:
    """Users with constant mean responses that decide together which items live."""
    c, population = market.config, _population(market)
    still = c.satiation_weight == c.mood_weight == c.wearout_weight == c.drift_rate == c.drift_noise == 0.0
    if not (c.budgets and c.slate_order == "fixed" and c.response_mode == "mean" and c.position_bias == 0.0 and still
            and not c.boost_levels and not c.leaving and c.num_items <= 2 and c.num_users <= 4):
        return None
    if population is None or c.energy_max > _LARGEST_BUDGET:
        return None
    vectors = _numpy(population.user_vector)[0] * _numpy(population.preference_weight)[0]
    logit = vectors @ _numpy(population.item_vector)[0].T + _numpy(population.appeal)[0]
    rate = 1.0 / (1.0 + np.exp(-logit))
    if not all(_is_whole(np.asarray(x) / BUDGET_UNIT) for x in (rate, c.energy_start, c.energy_max, c.upkeep)):
        return None
    return BudgetGame(rate, c.energy_start, c.energy_max, c.upkeep, c.horizon)


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


def contest_game(market: Market) -> ContestGame | None:
    """Equal items that buy the only slot of users of one segment: a Tullock contest, repeated."""
    c, population = market.config, _population(market)
    still = c.satiation_weight == c.mood_weight == c.wearout_weight == c.drift_rate == c.drift_noise == 0.0
    all_shown = c.num_candidates in (0, c.num_items) and not c.budgets and not c.leaving
    if not (c.slate_size == c.num_segments == 1 < c.num_items and c.boost_cost > 0.0 and c.team == 0.0
            and still and all_shown):
        return None
    if population is None:
        return None
    tables = population.item_vector, population.appeal, population.mood_effect, population.margin
    if not all(bool((table == table[:, :1]).all()) for table in tables):
        return None
    taste = _numpy(population.user_vector)[0] * _numpy(population.preference_weight)[0]
    logit = taste @ _numpy(population.item_vector)[0, 0] + _numpy(population.appeal)[0, 0]
    responses = float((1.0 / (1.0 + np.exp(-logit))).sum())
    return ContestGame(responses, float(population.margin[0, 0]), np.array((1.0, *c.boost_levels)), c.boost_cost,
                       c.num_items, c.horizon)


@dataclass(frozen=True)
class ContestGame:
    """Items whose boosts share out the users.

    Attributes:
        responses: of all users together in one step for each set of shown items, if they take what they are shown.
        margin: what an item earns from one.
        levels: ``[1 + L]``, boost factors, 1 for rest.
        cost: of one unit of boost above 1.
        num_items: contestants.
        horizon: steps.
    """

    responses: float
    margin: float
    levels: Array
    cost: float
    num_items: int
    horizon: int

    def oracle(self) -> Oracle | None:
        """The symmetric equilibrium.

        With prize V and n contestants the equilibrium effort is x* = V (n - 1) / (c n^2) (Tullock 1980). Given only
        where x* is one of the levels: what no other effort beats, no other level beats. The boost of the last step is
        never served, and none is in the first, so T - 1 of T steps are played at x*.
        """
        n, prize = self.num_items, self.margin * self.responses
        boost = prize * (n - 1) / (self.cost * n**2)
        if not np.isclose(boost, self.levels[1:], rtol=1e-3).any():
            return None
        rent = n * self.cost * (boost - 1.0) * (self.horizon - 1)
        return Oracle("equilibrium", user_return=self.responses * self.horizon,
                      item_return=prize * self.horizon - rent, mean_boost=boost)


def _is_whole(amounts: Array | float) -> bool:
    """Whether all are integers but for rounding."""
    return bool((np.abs(amounts - np.rint(amounts)) < 1e-4).all())


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.cpu().numpy().astype(np.float64)
