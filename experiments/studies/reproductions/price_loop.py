"""The loop of sessions in which firms learn prices, period by period: compiled where numba is installed.

What ``play`` takes, for n firms that set one of m prices:

- values ``[sessions, n, states, m]``; best and worth ``[sessions, n, states]``, the price of the highest value, and it;
- changed ``[sessions]``, the period in which a best price changed last; state and holder ``[sessions]``, the state and
  the firm that was shown last;
- explores and anything ``[periods, sessions, n]``, whether a firm explores, and by which price; luck ``[periods,
  sessions]``, which decides between equal prices;
- table ``[n, m ** n]``, profits where all are shown; alone ``[m]``, profit of a firm that is shown alone;
- rule and advantage, see ``winner``; period, how many were played before; rate and discount of learning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from numba import njit
except ImportError:  # it is an extra; the same loop then runs as it stands, a hundred times as slowly
    def njit(function: Callable[..., Any]) -> Callable[..., Any]:  # type: ignore[no-redef]
        """The function itself."""
        return function

ALL, CHEAPEST, INCUMBENT = 0, 1, 2
"""Which products a platform shows."""


@njit
def winner(action, last, holder, luck, m, rule, advantage):  # type: ignore[no-untyped-def]
    """The firm that is shown alone.

    Args:
        action: int ``[n]``, numbers of prices.
        last: number of the combination of the last prices, the first firm as the highest of digits below m.
        holder: the firm that was shown last.
        luck: a draw from [0, 1), which decides between equal prices.
        m: how many prices there are.
        rule: CHEAPEST or INCUMBENT.
        advantage: in the latter case, by more than so many prices others must be below the holder's to take its place.
    """
    n, lowest, equal = len(action), m, 0
    for firm in range(n):
        if action[firm] < lowest:
            lowest, equal = action[firm], 0
        equal += action[firm] == lowest
    before = last // m ** (n - 1 - holder) % m
    if rule == INCUMBENT and action[holder] <= lowest + advantage and action[holder] <= before:
        return holder
    pick, shown = int(luck * equal), 0
    for firm in range(n):
        if action[firm] == lowest:
            if pick == 0:
                shown = firm
            pick -= 1
    return shown


@njit
def play(values, best, worth, changed, state, holder, explores, anything, luck,  # type: ignore[no-untyped-def]
         table, alone, rule, advantage, period, rate, discount):
    """Some periods of all sessions: writes values, best, worth, changed, state and holder; see the top of this file."""
    periods, sessions, n = explores.shape
    m = values.shape[3]
    action = np.zeros(n, dtype=np.int64)
    for k in range(sessions):
        for t in range(periods):
            s, joint = state[k], 0
            for i in range(n):
                action[i] = anything[t, k, i] if explores[t, k, i] else best[k, i, s]
                joint = joint * m + action[i]
            after = joint
            if rule != ALL:
                holder[k] = winner(action, s % m**n, holder[k], luck[t, k], m, rule, advantage)
                after += m**n * holder[k] * (rule == INCUMBENT)
            for i in range(n):
                paid = table[i, joint] if rule == ALL else alone[action[i]] * (holder[k] == i)
                target = paid + discount * worth[k, i, after]
                values[k, i, s, action[i]] += rate * (target - values[k, i, s, action[i]])
            for i in range(n):
                place = 0
                for price in range(1, m):
                    if values[k, i, s, price] > values[k, i, s, place]:
                        place = price
                if place != best[k, i, s]:
                    changed[k] = period + t + 1
                best[k, i, s], worth[k, i, s] = place, values[k, i, s, place]
            state[k] = after
