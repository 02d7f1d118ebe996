"""Long-term satisfaction of one user: dynamic programming over its exposure.

From the equations of ``mechanisms.satisfaction``. The value of an exposure is interpolated between the points of a
grid; noise is summed over by Gauss and Hermite's rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit, ndtr

from interplay.envs.market import Market
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.satisfaction import Satisfaction
from interplay.experiments.exact.base import Array, ExactGame, Oracle, only_mechanism

_POINTS, _NODES, _STARTS = 2_001, 9, 401
_TAIL = 8.0  # standard deviations of the noise in exposure that the grid reaches beyond what items can do

Policy = Callable[[Array, Array], Array]
"""From what each action earns now, and with all that follows, both ``[1 + I, N]`` with the skip first, to what follows
from the policy, ``[N]``."""


def optimal(now: Array, total: Array) -> Array:
    """The best action."""
    best: Array = total.max(0)
    return best


def greedy(now: Array, total: Array) -> Array:
    """The action that earns most now."""
    chosen: Array = np.take_along_axis(total, now.argmax(0)[None], 0)[0]
    return chosen


def any_action(now: Array, total: Array) -> Array:
    """Any item or none, each as likely."""
    mean: Array = total.mean(0)
    return mean


def any_item(now: Array, total: Array) -> Array:
    """Any item, each as likely."""
    mean: Array = total[1:].mean(0)
    return mean


@dataclass(frozen=True)
class SatisfactionGame(ExactGame):
    """One user that responds to all that it takes.

    Attributes:
        rules: the parameters.
        clickbait: ``[I]``, q of each item.
        horizon: steps.
    """

    name: ClassVar[str] = "satisfaction"
    rules: Satisfaction
    clickbait: tuple[float, ...]
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        rules = only_mechanism(market, Satisfaction, beside=Clock, appeal=np.inf)
        if rules is None or market.config.num_users != 1:
            return None
        mood_effect = market.reset([0]).population.mood_effect[0]
        return cls(rules, tuple(((1.0 - mood_effect) / 2.0).tolist()), market.config.horizon)

    def oracle(self) -> Oracle:
        """The optimum, with other policies beside it."""
        mildest = 1 + int(np.argmin(self.clickbait))
        others = {"any item": any_item, "always the item with least clickbait": lambda now, total: total[mildest]}
        return Oracle("optimum", self.value(optimal), self.value(greedy), self.value(any_action),
                      others=tuple(Oracle(name, self.value(policy)) for name, policy in others.items()))

    def value(self, policy: Policy) -> float:
        """Expected return of a policy, from the start to the horizon."""
        r = self.rules
        most = 1.0 / (1.0 - r.memory) + _TAIL * r.innovation / (1.0 - r.memory**2) ** 0.5
        exposure = np.linspace(-most, most, _POINTS)
        now = np.stack([np.zeros(_POINTS), *(self._worth(exposure, q) for q in self.clickbait)])
        means = r.memory * exposure + np.array([0.0, *(1.0 - 2.0 * q for q in self.clickbait)])[:, None]
        nodes, weights = hermegauss(_NODES)
        ahead = np.zeros(_POINTS)
        for _ in range(self.horizon):
            after = sum(weight * np.interp(means + r.innovation * node, exposure, ahead)
                        for node, weight in zip(nodes, weights / weights.sum(), strict=True))
            ahead = policy(now, now + after)
        starts = (np.arange(_STARTS) + 0.5) / _STARTS - 0.5
        return float(np.interp(starts / (1.0 - r.memory), exposure, ahead).mean())

    def _worth(self, exposure: Array, q: float) -> Array:
        """What a response to an item is worth on average, ``[N]``."""
        r = self.rules
        mean = expit(r.sensitivity * exposure) * (q * r.choc_mean + (1.0 - q) * r.kale_mean)
        spread = q * r.choc_spread + (1.0 - q) * r.kale_spread
        worth: Array = np.exp(mean + spread**2 / 2.0)
        if r.limit > 0.0:
            gap = (np.log(r.limit) - mean) / spread
            worth = worth * ndtr(gap - spread) + r.limit * ndtr(-gap)
        return worth
