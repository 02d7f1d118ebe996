"""One investor and funds that hold more or less stock: Merton's share, and the best of the funds.

Merton, "Lifetime portfolio selection under uncertainty", Review of Economics and Statistics 1969. A share x of stocks,
which is kept all the time, is worth a sure growth of ``r + x (mu - r) - gamma x^2 sigma^2 / 2`` to an investor of
relative risk aversion gamma. That is most for ``x = (mu - r) / (gamma sigma^2)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1
from typing import ClassVar, Self

from interplay.envs.market import Market
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.investing import Investing
from interplay.experiments.exact.base import ExactGame, Oracle, only_mechanism


@dataclass(frozen=True)
class MertonGame(ExactGame):
    """Funds without skill, crowding, load and choice of fees, and growths that are normal.

    Attributes:
        rules: the parameters.
        stocks: x of each fund.
        horizon: steps.
    """

    name: ClassVar[str] = "merton"
    rules: Investing
    stocks: tuple[float, ...]
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c, rules = market.config, only_mechanism(market, Investing, beside=Clock)
        if rules is None or c.num_users != 1 or rules.growths or len(rules.fees) > 1:
            return None
        others = (rules.skill, rules.skill_spread, rules.crowding, rules.load, rules.aversion_spread)
        stocks = rules.stocks * (c.num_items if len(rules.stocks) == 1 else 1)
        return None if any(others) else cls(rules, stocks, c.horizon)

    def oracle(self) -> Oracle:
        """The best of the funds beside any share of stocks. What is done now changes nothing later."""
        funds = [self.utility(self.worth(x) - self.rules.fees[0]) for x in self.stocks]
        kept = self.utility(self.rules.interest)
        best = max(kept, *funds)
        own = self.stocks[funds.index(best)] if best in funds else 0.0
        any_action = (kept + sum(funds)) / (1 + len(funds))
        free = Oracle(f"Merton's share, {self.share:.4g}", self.horizon * self.utility(self.worth(self.share)),
                      measures={"share of stocks": self.share})
        return Oracle("optimum", self.horizon * best, greedy=self.horizon * best, random=self.horizon * any_action,
                      measures={"share of stocks": own}, others=(free,))

    @property
    def share(self) -> float:
        """Merton's."""
        rules = self.rules
        return (rules.stock_return - rules.interest) / (rules.aversion * rules.volatility**2)

    def worth(self, stocks: float) -> float:
        """The sure growth that a share of stocks is worth."""
        rules, variance = self.rules, self.rules.volatility**2
        return rules.interest + stocks * (rules.stock_return - rules.interest) - (
            rules.aversion * stocks**2 * variance / 2.0)

    def utility(self, growth: float) -> float:
        """Of a sure growth in one step."""
        power = 1.0 - self.rules.aversion
        return growth if power == 0.0 else expm1(power * growth) / power
