"""Equilibria of creators on a line whose users take the nearest, in exact fractions.

Candidates are all combinations of a grid of positions. Each is checked on the whole line, too: the best that a creator
can get elsewhere lies at another creator, or as near beside it as it likes (Eaton and Lipsey 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise
from math import comb
from typing import ClassVar, Self

import numpy as np

from interplay.envs.market import Market
from interplay.envs.mechanisms.line import Line
from interplay.experiments.exact.base import ExactGame, Oracle, Tabulate, only_mechanism

_MOST_PROFILES = 20_000
_STARTS = 16  # worlds whose first positions are looked at

Profile = tuple[Fraction, ...]
"""Positions in rising order."""


@dataclass(frozen=True)
class LineGame(ExactGame):
    """Creators that all choose at once.

    Attributes:
        num_items: creators.
        num_positions: of the grid.
        num_users, horizon: of the market.
    """

    name: ClassVar[str] = "line"
    num_items: int
    num_positions: int
    num_users: int = 1
    horizon: int = 1

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rule = only_mechanism(market, Line)
        if rule is None or comb(rule.num_positions + c.num_items - 1, c.num_items) > _MOST_PROFILES:
            return None
        return cls(c.num_items, rule.num_positions, c.num_users, c.horizon)

    def oracle(self) -> Oracle | None:
        """The first equilibrium, and the others; None where there is none."""
        found = [self._known(profile) for profile in self.equilibria()]
        if not found:
            return None
        first, *others = found
        return Oracle(first.name, first.user_return, item_return=first.item_return, measures=first.measures,
                      others=tuple(others))

    def _known(self, profile: Profile) -> Oracle:
        distance = float(distance_of_users(profile))
        return Oracle(f"equilibrium {' '.join(map(str, profile))}", (1.0 - distance) * self.num_users * self.horizon,
                      item_return=float(self.horizon), measures={"distance of users": distance})

    @property
    def positions(self) -> list[Fraction]:
        """The grid."""
        return [Fraction(place, self.num_positions - 1) for place in range(self.num_positions)]

    def equilibria(self) -> list[Profile]:
        """Those of the line whose positions are on the grid."""
        return [profile for profile in combinations_with_replacement(self.positions, self.num_items)
                if is_equilibrium(profile)]

    def gap(self, market: Market, actions: Tabulate) -> float | None:
        """See ``ExactGame.gap``; known for creators that do the same from all of some first positions.

        A creator that rests is where it began: what others gain is a mean over these positions.
        """
        state = market.reset(range(_STARTS))
        action = actions(state, "items")
        if (action != action[0]).any():
            return None
        places = np.where(action > 0, action - 1, state["place"].cpu().numpy())
        profiles, counts = np.unique(places, axis=0, return_counts=True)
        gains = [self._gains([self.positions[place] for place in profile]) for profile in profiles]
        mean = np.average(np.array(gains, dtype=float), axis=0, weights=counts)
        return float(mean.max()) * self.horizon

    def _gains(self, place: Sequence[Fraction]) -> list[Fraction]:
        """What each creator would gain in a step by the best other position."""
        others = [(*place[:item], *place[item + 1:]) for item in range(len(place))]
        return [max(share((*other, p), -1) for p in self.positions) - share(place, item)
                for item, other in enumerate(others)]


def share(positions: Sequence[Fraction], item: int) -> Fraction:
    """Share of users that a creator has."""
    own = positions[item]
    low = max((p for p in positions if p < own), default=-own)
    high = min((p for p in positions if p > own), default=2 - own)
    return (high - low) / 2 / sum(p == own for p in positions)


def distance_of_users(positions: Sequence[Fraction]) -> Fraction:
    """Mean distance of users to the nearest creator."""
    first, last = min(positions), max(positions)
    between = sum(((b - a) ** 2 / 4 for a, b in pairwise(sorted(positions))), Fraction(0))
    return first**2 / 2 + (1 - last) ** 2 / 2 + between


def is_equilibrium(positions: Profile) -> bool:
    """Whether no creator gains by any move on the line."""
    return all(share(positions, item) >= best_elsewhere(positions[:item] + positions[item + 1:])
               for item in range(len(positions)))


def best_elsewhere(others: Profile) -> Fraction:
    """The most that a creator can get, or come as near to as it likes, where these are the others."""
    ends = [min(others), 1 - max(others)] if others else [Fraction(1)]
    beside = [(b - a) / 2 for a, b in pairwise(sorted(others))]
    at = [share((*others, p), -1) for p in set(others)]
    return max(ends + beside + at)
