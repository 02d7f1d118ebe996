"""A fund that sets its fee, and investors that come until nothing is left (Berk and Green 2004).

With many investors the share q in a fund that returns ``phi - a q`` before a fee f is ``(phi - f) / a``. The fund earns
``f (phi - f) / a``, most at ``f = phi / 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import ClassVar, Self

from interplay.envs.market import Market
from interplay.envs.mechanisms.crowding import Crowding
from interplay.experiments.exact.base import ExactGame, Oracle, only_mechanism

_ROUNDING = 1e-9


@dataclass(frozen=True)
class CapacityGame(ExactGame):
    """One fund.

    Attributes:
        gross, crowding: phi and a.
        fees: that it may charge; the first is charged in the first step.
        num_users: investors.
        horizon: steps.
    """

    name: ClassVar[str] = "capacity"
    gross: float
    crowding: float
    fees: tuple[float, ...]
    num_users: int
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rule = only_mechanism(market, Crowding)
        if rule is None or len(rule.fees) < 2 or c.num_items != 1 or rule.crowding[0] <= 0.0:
            return None
        return cls(rule.gross[0], rule.crowding[0], rule.fees, c.num_users, c.horizon)

    def oracle(self) -> Oracle:
        """The best of the fees, at each of which as many invest as lose nothing by it."""
        fee = max(self.fees, key=self.revenue)
        first, later = self.fees[0], self.horizon - 1
        measures = {"mean fee": fee, "share of users who invest": self.invested(fee) / self.num_users}
        return Oracle("equilibrium", self.kept(first) + later * self.kept(fee),
                      item_return=self.revenue(first) + later * self.revenue(fee), measures=measures)

    def flow(self, fee: float) -> float:
        """The share of many small investors that come at a fee."""
        return min(1.0, max(0.0, (self.gross - fee) / self.crowding))

    @property
    def best_fee(self) -> float:
        """Of all fees, where flows at it are below 1."""
        return self.gross / 2.0

    @property
    def best_revenue(self) -> float:
        """What that fee earns."""
        return self.gross**2 / (4.0 * self.crowding)

    def invested(self, fee: float) -> int:
        """The most investors of which none loses. One fewer is as stable where the last of them gains nothing."""
        return floor(self.flow(fee) * self.num_users + _ROUNDING)

    def revenue(self, fee: float) -> float:
        """What a fee earns in a step."""
        return fee * self.invested(fee) / self.num_users

    def kept(self, fee: float) -> float:
        """What all investors together keep in a step."""
        count = self.invested(fee)
        return count * (self.gross - self.crowding * count / self.num_users - fee)
