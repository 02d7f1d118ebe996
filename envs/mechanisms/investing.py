"""Investors that differ in how they bear risk, and funds that hold stocks, get crowded and charge for it.

Risk: Merton, "Lifetime portfolio selection under uncertainty", Review of Economics and Statistics 1969. Crowding and
fees: Berk and Green, "Mutual fund flows and performance in rational markets", Journal of Political Economy 2004.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Self

import torch
from torch import Tensor

from interplay.envs.checking import LogSpread, NotEmpty, NotNegative, Positive
from interplay.envs.drawing.colours import BOOST, BUDGET, HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import gather_rows, one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State

_NEARLY_LOG = 1e-4  # an aversion as near to 1 counts as 1
_MOST = 80.0  # whose exponential float32 can hold: a loss that is felt more than this is felt as this


@dataclass(frozen=True)
class Investing(Mechanism):
    """An investor puts its wealth into a fund for a step, or keeps it at interest (skips).

    Fund j keeps a share x_j of its money in stocks. Its logarithmic growth in a step in which stocks grow by l is
    ``r + x_j (l - r) + x_j (1 - x_j) sigma^2 / 2 + skill_j - a q_j - f_j``, where q_j is its share of all investors.
    An investor that was not in the fund pays the load on top. It earns the utility of its growth g, ``(exp((1 - gamma)
    g) - 1) / (1 - gamma)``, and g if gamma = 1: by that, the share of stocks that is best for it alone is Merton's,
    ``(mu - r) / (gamma sigma^2)``. The fund earns ``f_j q_j``.

    l is the same for all funds of a world: normal with mean ``mu - sigma^2 / 2`` and deviation sigma, or any of the
    growths that are given. Fees that funds choose are charged from the next step on, so that investors see them before.
    """

    interest: float = 0.02
    """r, logarithmic growth of money that is in no fund."""
    stock_return: float = 0.08
    """mu, expected growth of stocks: the logarithm of their mean return."""
    volatility: Positive = 0.2
    """sigma, standard deviation of l."""
    growths: tuple[float, ...] = ()
    """Values of l to draw from, such as those of past years; then mu and sigma are theirs, and not those above."""
    stocks: tuple[NotNegative, ...] = (1.0,)
    """x_j of each fund; one number is that of all."""
    skill: float = 0.0
    """Mean over funds of what they grow more by skill."""
    skill_spread: NotNegative = 0.0
    """Its standard deviation over funds."""
    crowding: NotNegative = 0.0
    """a, what a fund's growth loses from no investor to all."""
    fees: Annotated[tuple[NotNegative, ...], NotEmpty()] = (0.0,)
    """Fees that funds may charge, in rising order, if there is more than one; they begin with the first."""
    load: NotNegative = 0.0
    """What an investor's growth loses in the step in which it enters a fund."""
    paid: Literal["drawn", "expected"] = "drawn"
    """Utility of the growth that was drawn, or what it is on average: that of a sure growth, without luck."""
    aversion: Positive = 3.0
    """Median of gamma, investors' relative risk aversion."""
    aversion_spread: LogSpread = 0.0
    """Standard deviation of the logarithm of gamma over investors."""

    replaces_user_reward = True

    def on(self, device: torch.device) -> Self:
        """See ``Mechanism.on``."""
        made = replace(self)
        vars(made)["_given"] = self._given.to(device)
        return made

    @cached_property
    def _given(self) -> Tensor:
        """``growths``, float32 ``[n]``."""
        return torch.tensor(self.growths, dtype=torch.float32)

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of l."""
        if not self.growths:
            return self.stock_return - self.volatility**2 / 2.0, self.volatility**2
        mean = sum(self.growths) / len(self.growths)
        return mean, sum((growth - mean) ** 2 for growth in self.growths) / len(self.growths)

    @property
    def item_actions(self) -> Levels | None:
        """See ``Mechanism.item_actions``."""
        return Levels(self.fees) if len(self.fees) > 1 else None

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.user_columns``."""
        return ("logarithm of risk aversion, beside the median's",)

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("share of stocks", "skill in percent", "fee in percent", "share of users in the last step",
                "growth in the last step")

    def option_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.option_columns``."""
        return ("held",)

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Gamma and what became of the investor, ``[B, U]``.

        ``held`` is its fund, from 1, or 0, and ``entered`` 1 if it was in another before; ``growth`` is that of the
        last step, ``sure_growth`` is worth as much utility as that on average, and ``log_wealth`` is the growth so far.
        """
        drawn = normal(start.key, start.time, self.stream, (start.sizes.num_users,))
        none = start.full_users(0.0)
        return {"aversion": self.aversion * torch.exp(self.aversion_spread * drawn), "held": none.long(),
                "growth": none, "sure_growth": none, "log_wealth": none, "entered": none}

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Of each fund: x, skill, the fee of the next step, and share and growth of the last: float32 ``[B, I]``."""
        count = start.sizes.num_items
        drawn = normal(start.key, start.time - 1, self.stream, (count,))  # a time of its own: users take the other's
        none = start.full_items(0.0)
        return {"stocks": start.of_items("investing.stocks", self.stocks), "fee": start.full_items(self.fees[0]),
                "skill": self.skill + self.skill_spread * drawn, "invested": none, "fund_growth": none}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        invests, funds = outcome.position > 0, state.alive.shape[1]
        share = (one_hot(outcome.item, funds) * invests.unsqueeze(2)).mean(1)
        steady = self._steady(state) - self.crowding * share
        growth = steady + state["stocks"] * self._stocks_grow(state)
        held = torch.where(invests, outcome.item + 1, 0)
        entered = (invests & (held != state["held"])).float()
        certain = self._certain(state.of_items("stocks", outcome.item), 1.0 - state["aversion"])
        sure = torch.where(invests, steady.gather(1, outcome.item) + certain, self.interest) - self.load * entered
        own = torch.where(invests, growth.gather(1, outcome.item), self.interest) - self.load * entered
        after = {"invested": share, "fund_growth": growth, "held": held, "entered": entered, "growth": own,
                 "sure_growth": sure, "log_wealth": state["log_wealth"] + own}
        return after if self.item_actions is None else after | {"fee": outcome.chosen_level(self, keep=state["fee"])}

    def _steady(self, state: State) -> Tensor:
        """What a fund grows by without stocks and crowding, float32 ``[B, I]``."""
        x, (_, variance) = state["stocks"], self.moments
        return self.interest * (1.0 - x) + x * (1.0 - x) * (variance / 2.0) + state["skill"] - state["fee"]

    def _stocks_grow(self, state: State) -> Tensor:
        """L, float32 ``[B, 1]``."""
        if self.growths:
            return self._given.take(self.integers(state, len(self.growths), 1))
        mean, variance = self.moments
        return mean + math.sqrt(variance) * normal(state.key, state.time, self.stream, (1,))

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Utility of the growth."""
        return _utility(after["growth" if self.paid == "drawn" else "sure_growth"], 1.0 - after["aversion"])

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The same on average, if funds are as crowded as in the last step."""
        power = 1.0 - state["aversion"].unsqueeze(2)
        steady = self._steady(state) - self.crowding * state["invested"]
        sure = gather_rows(steady, items) - self.load * (state["held"].unsqueeze(2) != items + 1)
        risky = self._certain(state.of_items("stocks", items), power)
        kept = torch.full_like(sure[..., :1], self.interest)
        return _utility(torch.cat([kept, sure + risky], dim=2), power)

    def _certain(self, x: Tensor, power: Tensor) -> Tensor:
        """The sure growth of the same utility as x l: the logarithm of the mean of ``exp(power x l)``, over power."""
        mean, variance = self.moments
        if not self.growths:
            return x * mean + power * x.square() * (variance / 2.0)
        total = (power * x).unsqueeze(-1) * self._given
        certain = (total.logsumexp(-1) - torch.logsumexp(0.0 * self._given, 0)) / _not_zero(power)
        return torch.where(power.abs() < _NEARLY_LOG, x * mean, certain)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Fees."""
        return before["fee"] * after["invested"]

    def see_users(self, state: State) -> Tensor:
        """0 for the median."""
        return (state["aversion"] / self.aversion).log().unsqueeze(2).clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def see_items(self, state: State) -> Tensor:
        """What is known of funds."""
        names = ("stocks", "skill", "fee", "invested", "fund_growth")
        scale = (1.0, 100.0, 100.0, 1.0, 1.0)
        seen = torch.stack([state[name] * factor for name, factor in zip(names, scale, strict=True)], dim=2)
        return seen.clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """1 for the fund that the investor is in, which costs no load."""
        return (state["held"].unsqueeze(2) == items + 1).float().unsqueeze(3)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        share = state["invested"]
        return {"share of users who invest": share.sum(1), "share of users who enter": state["entered"].mean(1),
                "share of stocks": (share * state["stocks"]).sum(1), "mean fee": state["fee"].mean(1),
                "revenue of funds": (share * state["fee"]).sum(1), "largest share of a fund": share.amax(1),
                "sure growth of a user": state["sure_growth"].mean(1),
                "mean growth of wealth so far": state["log_wealth"].mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("users", "growth of wealth", state["log_wealth"], low=-2.0, high=2.0, colour=HIGH)
        picture.bar("items", "investors", state["invested"], colour=BUDGET)
        if self.item_actions is not None:
            picture.bar("items", "fee", state["fee"], high=max(self.fees), colour=BOOST)


def _utility(growth: Tensor, power: Tensor) -> Tensor:
    """``(exp(power growth) - 1) / power``, and the growth itself where the power is 0."""
    return torch.where(power.abs() < _NEARLY_LOG, growth,
                       torch.expm1((power * growth).clamp(max=_MOST)) / _not_zero(power))


def _not_zero(power: Tensor) -> Tensor:
    return torch.where(power.abs() < _NEARLY_LOG, 1.0, power)
