"""Sessions of firms that learn prices by tabular Q-learning, by the protocol of Calvano et al. (AER 2020).

It is written apart from the agent ``q-learning``, whose options do not allow the protocol: values begin at what a price
is worth against rivals that set any price, exploration falls exponentially without an end, the rate is constant, and
each session has tables of its own. Sessions run side by side in NumPy; none mixes with another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interplay.experiments.exact.base import Actions, Array

_BLOCK = 1_000  # periods whose chance is drawn at once; convergence is looked at after each


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

    Args:
        profit: ``[n, m, ..., m]``, profit of each firm at each combination of prices.
        protocol: how firms learn.
        num_sessions: how many.
        seed: of all their chance.

    Attributes:
        values: ``[sessions, n, states, m]``, tables of values.
        state: int ``[sessions]``.
        period: how many were played.
        converged: int ``[sessions]``, the period in which each converged; 0 = not yet.
        strategy, place: int ``[sessions, n, states]`` and ``[sessions]``, best prices and states when it did.
    """

    def __init__(self, profit: Array, protocol: Protocol, num_sessions: int, seed: int) -> None:
        n, m = profit.shape[:2]
        self.protocol, self._n, self._m = protocol, n, m
        self._profit, self._weights = profit.reshape(n, -1), m ** np.arange(n)[::-1]
        states = m**n
        first = np.stack([np.moveaxis(profit[i], i, 0).reshape(m, -1).mean(1) for i in range(n)])
        shape = (num_sessions, n, states, m)
        self.values: Array = np.broadcast_to(first[None, :, None] / (1.0 - protocol.discount), shape).copy()
        self._flat = self.values.reshape(-1)
        self._rows = np.arange(num_sessions * n).reshape(num_sessions, n) * states
        self._best, self._worth = self.values.argmax(3).reshape(-1), self.values.max(3).reshape(-1)
        self._rng = np.random.default_rng(seed)
        self.state: Actions = self._rng.integers(states, size=num_sessions)
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
        for k in range(periods):
            self._play_one(explores[k], anything[k])
        ended = self.period - self._changed >= self.protocol.patience
        self._keep((self.converged == 0) & (ended | (self.period >= self.protocol.most)))

    def _play_one(self, explores: NDArray[np.bool_], anything: Actions) -> None:
        row = self._rows + self.state[:, None]
        action = np.where(explores, anything, self._best[row])
        joint = action @ self._weights
        cell = row * self._m + action
        profit = self._profit[np.arange(self._n), joint[:, None]]
        target = profit + self.protocol.discount * self._worth[self._rows + joint[:, None]]
        self._flat[cell] += self.protocol.rate * (target - self._flat[cell])
        moved = self._flat.reshape(-1, self._m)[row]
        best = moved.argmax(2)
        self.period += 1
        self._changed[(best != self._best[row]).any(1)] = self.period
        self._best[row], self._worth[row], self.state = best, moved.max(2), joint

    def _keep(self, these: NDArray[np.bool_]) -> None:
        self.converged[these] = self.period
        self.strategy[these] = self._best.reshape(self.strategy.shape)[these]
        self.place[these] = self.state[these]


def followed(strategy: Actions, state: Actions, periods: int, forced: Actions | None = None) -> Actions:
    """What firms set when they follow their strategies without exploring, ``[periods, sessions, n]``.

    Args:
        strategy: ``[sessions, n, m ** n]``.
        state: ``[sessions]``.
        periods: how many.
        forced: ``[sessions, n]``, prices of the first period in place of the strategies'; -1 = as the strategy says.
    """
    sessions, n, states = strategy.shape
    weights = round(states ** (1.0 / n)) ** np.arange(n)[::-1]
    path = []
    for period in range(periods):
        action = strategy[np.arange(sessions), :, state]
        if period == 0 and forced is not None:
            action = np.where(forced >= 0, forced, action)
        path.append(action)
        state = action @ weights
    return np.stack(path)
