"""Funds that pay less the more investors they have: equilibria and the optimum by counting investors.

Investors are alike, so a profile is how many are in each fund. All profiles are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import comb, factorial, prod
from typing import ClassVar, Self

import numpy as np
import torch

from interplay.envs.market import Market
from interplay.envs.mechanisms.crowding import Crowding
from interplay.experiments.exact.base import Actions, Array, ExactGame, Oracle, Tabulate, gains, only_mechanism

_MOST_PROFILES = 100_000
_ROUNDING = 1e-9

Profile = tuple[int, ...]


@dataclass(frozen=True)
class CrowdingGame(ExactGame):
    """Investors that all see all funds, which charge no fees.

    Attributes:
        gross, crowding: float64 ``[I]``, phi_j and a_j.
        num_users: investors.
        horizon: steps.
    """

    name: ClassVar[str] = "crowding"
    gross: Array
    crowding: Array
    num_users: int
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rule = only_mechanism(market, Crowding)
        if rule is None or rule.fees != (0.0,) or comb(c.num_users + c.num_items, c.num_items) > _MOST_PROFILES:
            return None
        gross, crowding = (np.resize(np.array(values), c.num_items) for values in (rule.gross, rule.crowding))
        return cls(gross, crowding, c.num_users, c.horizon)

    def oracle(self) -> Oracle:
        """The optimum beside the equilibria that are best and worst for all, and investors that do anything."""
        equilibria = sorted((self.welfare(n) for n in self.profiles() if self.is_equilibrium(n)), reverse=True)
        names = ("equilibrium, best", "equilibrium, worst")
        others = tuple(self._known(name, value) for name, value in zip(names, (equilibria[0], equilibria[-1]),
                                                                       strict=True))
        best = max(self.welfare(n) for n in self.profiles())
        return self._known("optimum", best, self.welfare_of_random(), others)

    def _known(self, name: str, welfare: float, random: float | None = None, others: tuple[Oracle, ...] = ()) -> Oracle:
        each = {"net return of a user": welfare / self.num_users}
        return Oracle(name, welfare * self.horizon, random=None if random is None else random * self.horizon,
                      measures=each, others=others)

    def profiles(self) -> Iterator[Profile]:
        """How many are in each fund, in all ways; the others keep their money."""
        counts = range(self.num_users + 1)
        return (n for n in product(counts, repeat=len(self.gross)) if sum(n) <= self.num_users)

    def paid(self, n: Profile) -> Array:
        """What each fund returns to each of its investors, and what kept money does, ``[I + 1]``."""
        return np.append(self.gross - self.crowding * np.array(n) / self.num_users, 0.0)

    def welfare(self, n: Profile) -> float:
        """What all earn together in a step."""
        return float(self.paid(n)[:-1] @ np.array(n))

    def welfare_of_random(self) -> float:
        """The same, expected of investors that take any fund or none, each as likely."""
        chance = 1.0 / (len(self.gross) + 1)
        beside = (1.0 + chance * (self.num_users - 1)) / self.num_users  # the share that an investor of a fund expects
        return float(self.num_users * chance * (self.gross - self.crowding * beside).sum())

    def moves(self, n: Profile) -> Array:
        """What an investor gains by its best move, ``[I + 1]`` by where it is; -inf where there is none."""
        joined = np.append(self.gross - self.crowding * (np.array(n) + 1) / self.num_users, 0.0)
        best = np.array([max(np.delete(joined, place), default=-np.inf) for place in range(len(joined))])
        here = np.append(np.array(n), self.num_users - sum(n))
        return np.where(here > 0, best - self.paid(n), -np.inf)

    def is_equilibrium(self, n: Profile) -> bool:
        """Whether no investor gains by a move of its own."""
        return bool(self.moves(n).max() <= _ROUNDING)

    def gap(self, market: Market, actions: Tabulate) -> float | None:
        """See ``ExactGame.gap``; a mean over first profiles. Policies are those that act on the last profile."""
        profiles = np.array(list(self.profiles()))
        share = torch.tensor(profiles / self.num_users, dtype=torch.float32, device=market.device)
        state = market.reset(range(len(profiles)))
        tables = {"invested": share, "net_return": state["gross"] - state["crowding"] * share}
        action = actions(state.with_tables(tables), "users")
        return max(self._gap(profiles, action, user) for user in range(self.num_users))

    def _gap(self, profiles: Actions, action: Actions, user: int) -> float:
        """The gain of one investor, of any last profile."""
        number = {tuple(n): place for place, n in enumerate(profiles.tolist())}
        items, reward, following = range(len(self.gross)), [], []
        for own in range(1 + len(items)):
            joint = action.copy()
            joint[:, user] = own
            after = np.stack([(joint == 1 + item).sum(1) for item in items], axis=1)
            paid = self.gross - self.crowding * after / self.num_users
            reward.append(paid[:, own - 1] if own else np.zeros(len(profiles)))
            following.append([number[tuple(n)] for n in after.tolist()])
        more = gains(np.stack(reward), np.array(following), action[:, user], self.horizon)
        return float(self.chances(profiles) @ more)

    def chances(self, profiles: Actions) -> Array:
        """How likely each profile is where investors do anything."""
        ways = [factorial(self.num_users) / prod(factorial(k) for k in (*n, self.num_users - sum(n)))
                for n in profiles.tolist()]
        return np.array(ways) / (len(self.gross) + 1.0) ** self.num_users
