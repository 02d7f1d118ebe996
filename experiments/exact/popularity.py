"""The urn of Polya: how the share of an item is distributed after any number of draws, and in the limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from interplay.envs.market import Market
from interplay.envs.mechanisms.popularity import Popularity
from interplay.experiments.exact.base import ExactGame, Oracle, only_mechanism

if TYPE_CHECKING:
    from scipy import stats


@dataclass(frozen=True)
class PolyaUrn(ExactGame):
    """One user who takes what it is shown, one slot, and responses that are certain.

    Attributes:
        prior: weight of each item before the first draw.
        horizon: draws.
    """

    name: ClassVar[str] = "polya-urn"
    prior: tuple[float, ...]
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rule = only_mechanism(market, Popularity, slates="ranked", appeal=np.inf)
        if rule is None or rule.strength != 1.0 or not c.num_users == c.slate_size == 1 < c.num_items:
            return None
        return cls(rule.prior * (c.num_items if len(rule.prior) == 1 else 1), c.horizon)

    def oracle(self) -> Oracle:
        """All responses are certain; the share of item 0 is a martingale."""
        return Oracle("optimum", float(self.horizon), greedy=float(self.horizon), random=self.horizon / 2.0,
                      measures={"share of item 0": self.prior[0] / sum(self.prior)})

    def limit(self, item: int = 0) -> stats.rv_continuous:
        """The distribution of an item's share in the limit: a Beta distribution."""
        from scipy import stats  # takes a second to import, which no run needs

        return stats.beta(self.prior[item], sum(self.prior) - self.prior[item])

    def taken(self, item: int = 0) -> stats.rv_discrete:
        """The distribution of how often an item is taken by the horizon."""
        from scipy import stats

        return stats.betabinom(self.horizon, self.prior[item], sum(self.prior) - self.prior[item])
