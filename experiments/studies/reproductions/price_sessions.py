"""Sessions of firms that learn prices by tabular Q-learning, by the protocol of Calvano et al. (AER 2020).

It is written apart from the agent ``q-learning``, whose options do not allow the protocol: values begin at what a price
is worth against rivals that set any price, exploration falls exponentially without an end, the rate is constant, and
each session has tables of its own; none mixes with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.experiments.exact.base import Actions, Array
from interplay.experiments.studies.reproductions.price_loop import ALL, INCUMBENT, play, winner

_BLOCK = 1_000  # periods whose chance is drawn at once; convergence is looked at after each


@dataclass(frozen=True)
class Display:
    """Which products a platform shows.

    Attributes:
        rule: all, the cheapest alone, or that of the incumbent: the firm that was shown last is shown again unless it
            raises its price, or another's is lower by more than the advantage. Then the cheapest is shown. Of equal
            prices, one is drawn.
        alone: profit of a firm that is shown alone, at each price.
        advantage: of the incumbent, in prices of the grid.
    """

    rule: int = ALL
    alone: tuple[float, ...] = (0.0,)
    advantage: int = 0


EVERYTHING = Display()


@dataclass(frozen=True)
class Protocol:
    """How firms learn.

    Attributes:
        rate: of learning.
        decay: of exploration: in period t, from 0, a firm sets any price with probability ``exp(-decay t)``.
        discount: of profits.
        patience: a session has converged when no firm's best price in any state has changed for so many periods.
        most: periods after which a session ends all the same.
    """

    rate: float = 0.15
    decay: float = 4e-6
    discount: float = 0.95
    patience: int = 100_000
    most: int = 10_000_000


class Sessions:
    """Sessions side by side. A state is the prices of the last period, numbered with the first firm as highest digit.

    Where a platform keeps an incumbent, the state is that firm's number, too, as a further digit above.

    Args:
        profit: ``[n, m, ..., m]``, profit of each firm at each combination of prices.
        protocol: how firms learn.
        num_sessions: how many.
        seed: of all their chance.
        display: which products are shown; also an attribute.

    Attributes:
        values: ``[sessions, n, states, m]``, tables of values.
        state, holder: int ``[sessions]``; the latter is the firm that was shown last, where one is shown.
        period: how many were played.
        converged: int ``[sessions]``, the period in which each converged; 0 = not yet.
        strategy, place: int ``[sessions, n, states]`` and ``[sessions]``, best prices and states when it did.
    """

    def __init__(self, profit: Array, protocol: Protocol, num_sessions: int, seed: int,
                 display: Display = EVERYTHING) -> None:
        n, m = profit.shape[:2]
        self.protocol, self._n, self._m, self.display = protocol, n, m, display
        self._profit = np.ascontiguousarray(profit.reshape(n, -1))
        states = m**n * (n if display.rule == INCUMBENT else 1)
        first = np.stack([np.moveaxis(profit[i], i, 0).reshape(m, -1).mean(1) for i in range(n)])
        shape = (num_sessions, n, states, m)
        self.values: Array = np.broadcast_to(first[None, :, None] / (1.0 - protocol.discount), shape).copy()
        self._best, self._worth = self.values.argmax(3), self.values.max(3)
        self._rng = np.random.default_rng(seed)
        self.state: Actions = self._rng.integers(states, size=num_sessions)
        self.holder: Actions = self.state // m**n
        self.period, self._changed = 0, np.zeros(num_sessions, dtype=np.int64)
        self.converged: Actions = np.zeros(num_sessions, dtype=np.int64)
        self.strategy: Actions = np.zeros((num_sessions, n, states), dtype=np.int64)
        self.place: Actions = np.zeros(num_sessions, dtype=np.int64)

    def run(self) -> None:
        """Play until all sessions have converged, or for as long as the protocol allows."""
        while not self.converged.all() and self.period < self.protocol.most:
            self.play(min(_BLOCK, self.protocol.most - self.period))

    def play(self, periods: int) -> None:
        """Play so many periods, and keep the strategies of sessions that have converged."""
        chance = np.exp(-self.protocol.decay * (self.period + np.arange(periods)))
        explores = self._rng.random((periods, len(self.state), self._n)) < chance[:, None, None]
        anything = self._rng.integers(self._m, size=explores.shape)
        shows_one = self.display.rule != ALL
        luck = self._rng.random((periods, len(self.state))) if shows_one else np.zeros((1, 1))
        play(self.values, self._best, self._worth, self._changed, self.state, self.holder, explores, anything, luck,
             self._profit, np.array(self.display.alone), self.display.rule, self.display.advantage, self.period,
             self.protocol.rate, self.protocol.discount)
        self.period += periods
        ended = self.period - self._changed >= self.protocol.patience
        self._keep((self.converged == 0) & (ended | (self.period >= self.protocol.most)))

    def _keep(self, these: NDArray[np.bool_]) -> None:
        self.converged[these] = self.period
        self.strategy[these], self.place[these] = self._best[these], self.state[these]


class Path(NamedTuple):
    """What firms set, ``[periods, sessions, n]``, and which is shown, ``[periods, sessions]``; -1 = all are."""

    action: Actions
    shown: Actions


def followed(sessions: Sessions, state: Actions, periods: int, forced: Actions | None = None, seed: int = 0) -> Path:
    """What firms do when they follow their strategies without exploring.

    Args:
        sessions: that have ended.
        state: ``[sessions]``.
        periods: how many.
        forced: ``[sessions, n]``, prices of the first period in place of the strategies'; -1 = as the strategy says.
        seed: of what decides between equal prices.
    """
    count, n, _ = sessions.strategy.shape
    m, rng, rule = sessions.values.shape[3], np.random.default_rng(seed), sessions.display.rule
    weights: Actions = m ** np.arange(n)[::-1]
    holder: Actions = state // m**n
    actions: list[Actions] = []
    shown: list[Actions] = []
    for period in range(periods):
        action = sessions.strategy[np.arange(count), :, state]
        if period == 0 and forced is not None:
            action = np.where(forced >= 0, forced, action)
        if rule != ALL:
            luck = rng.random((count,))
            holder = np.array([winner(action[k], state[k] % m**n, holder[k], luck[k], m, rule,
                                      sessions.display.advantage) for k in range(count)])
        state = action @ weights + m**n * holder * (rule == INCUMBENT)
        actions.append(action)
        shown.append(holder if rule != ALL else np.full(count, -1))
    return Path(np.stack(actions), np.stack(shown))
