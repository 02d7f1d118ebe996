"""The equilibrium of a Tullock contest, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interplay.envs.market import Market
from interplay.envs.mechanisms.boosts import Boosts
from interplay.experiments.exact.base import Array, Oracle, acting
from interplay.experiments.exact.known import as_array, known_population


def contest_game(market: Market) -> ContestGame | None:
    """Equal items that buy the only slot of users of one segment: a Tullock contest, repeated."""
    c, population = market.config, known_population(market)
    boosts = c.built_in.boosts
    if not (c.slate_size == c.num_segments == 1 < c.num_items and c.num_candidates in (0, c.num_items) and c.team == 0.0
            and acting(c) == {Boosts} and boosts.cost > 0.0):
        return None
    if population is None:
        return None
    tables = population.item_vector, population.appeal, population.mood_effect, population.margin
    if not all(bool((table == table[:, :1]).all()) for table in tables):
        return None
    taste = as_array(population.user_vector)[0] * as_array(population.preference_weight)[0]
    logit = taste @ as_array(population.item_vector)[0, 0] + as_array(population.appeal)[0, 0]
    responses = float((1.0 / (1.0 + np.exp(-logit))).sum())
    return ContestGame(responses, float(population.margin[0, 0]), np.array((1.0, *boosts.levels)), boosts.cost,
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
