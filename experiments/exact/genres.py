"""Creators of content for groups of users: the equilibrium of one genre, and from where on it is none.

Jagadeesan, Garg and Steinhardt, "Supply-side equilibria in recommender systems", NeurIPS 2023, for N users in G groups
of one size, P creators, any quality r and cost ``r^b``. If all creators make content for everyone, a quality is drawn
from ``F(r) = min(1, (r^b / N)^(1/(P-1)))``. It then beats the P - 1 others with probability ``r^b / N``, and earns 0.
Content of length s for k of G groups then earns ``s^b ((G/k)^(b/2 - 1) - 1)``, which is above 0 only if b > 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from interplay.envs.market import Market
from interplay.envs.mechanisms.genres import Genres
from interplay.experiments.exact.base import Actions, Array, ExactGame, Oracle, Tabulate, only_mechanism


@dataclass(frozen=True)
class GenresGame(ExactGame):
    """Creators that all choose at once.

    Attributes:
        rules: the parameters.
        num_items, num_users: creators, and users who stand for all.
        horizon: steps.
    """

    name: ClassVar[str] = "genres"
    rules: Genres
    num_items: int
    num_users: int
    horizon: int = 1

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``; without bait, and for groups of one size."""
        c, rules = market.config, only_mechanism(market, Genres)
        if rules is None or rules.bait > 0.0 or c.num_items < 2 or c.num_users % rules.num_groups:
            return None
        return cls(rules, c.num_items, c.num_users, c.horizon)

    def oracle(self) -> Oracle | None:
        """The equilibrium of one genre, of any quality, on average; None where it is none."""
        if self.gain_of_specialising > 0.0:
            return None
        power, others = self.rules.cost_power, self.num_items - 1
        mean = self.top * power / (power + others)
        worth = self.top * power * self.num_items / (power * self.num_items + others) / self.rules.num_groups**0.5
        return Oracle("equilibrium of one genre", worth * self.num_users * self.horizon, item_return=0.0, measures={
            "genres": 1.0, "specialisation": 0.0, "quality": mean, "worth to a user": worth})

    @property
    def top(self) -> float:
        """The quality that costs as much as all users are worth."""
        top: float = self.num_users ** (1.0 / self.rules.cost_power)
        return top

    def distribution(self, quality: Array) -> Array:
        """F, how likely a creator's quality is at most this."""
        wins = quality**self.rules.cost_power / self.num_users
        chance: Array = np.minimum(1.0, wins ** (1.0 / (self.num_items - 1)))
        return chance

    @property
    def gain_of_specialising(self) -> float:
        """The most that a creator gains by content for one group alone, while all others are of one genre."""
        groups, power = self.rules.num_groups, self.rules.cost_power
        gain: float = self.num_users * (1.0 / groups - groups ** (-power / 2.0))
        return max(0.0, gain)

    def gap(self, market: Market, actions: Tabulate) -> float | None:
        """See ``ExactGame.gap``; known for creators that do the same from all of some first contents."""
        action = actions(market.reset(range(16)), "items")
        if (action != action[0]).any() or (action == 0).any():
            return None
        return max(self.best_gain(action[0] - 1, item) for item in range(self.num_items)) * self.horizon

    def best_gain(self, content: Actions, item: int) -> float:
        """The most that a creator gains in a step by other content, where ``content [I]`` are the numbers of all."""
        tried = np.repeat(content[None], self.rules.num_contents, axis=0)
        tried[:, item] = np.arange(self.rules.num_contents)
        earned = self.profits(tried)[:, item]
        return float(earned.max() - earned[content[item]])

    def profits(self, content: Actions) -> Array:
        """What creators earn in a step, ``[M, I]`` for M combinations of contents."""
        rules = self.rules
        subset = content // rules.num_qualities + 1
        serves = np.stack([subset >> group & 1 for group in range(rules.num_groups)], axis=2)
        quality = (content % rules.num_qualities + 1) * rules.highest / rules.num_qualities
        worth = serves * (quality / serves.sum(2) ** 0.5)[:, :, None]
        best = np.isclose(worth, worth.max(1, keepdims=True), rtol=0.0, atol=1e-6)
        won: Array = (best / best.sum(1, keepdims=True)).sum(2) * self.num_users / rules.num_groups
        return won - quality**rules.cost_power
