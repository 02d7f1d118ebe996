"""A student of few items that it forgets exponentially: dynamic programming over all that can come to pass.

From the equations of ``mechanisms.tutoring``. A state says for each item how many steps ago it was studied, and how
often. To study nothing is never better than to study, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, Self

import numpy as np

from interplay.envs.behaviour.synthetic import SyntheticBehaviour
from interplay.envs.market import Market
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.tutoring import Tutoring
from interplay.experiments.exact.base import Actions, Array, ExactGame, Oracle, only_mechanism

_MOST_SEQUENCES = 20_000_000  # of items studied, some millions of which end in different states

Policy = Callable[[int, Array, Array], Array]
"""From the step, what each item earns now, and with all that follows, both ``[I, states]``, to what follows from the
policy, ``[states]``."""


def optimal(step: int, now: Array, total: Array) -> Array:
    """The best item."""
    best: Array = total.max(0)
    return best


def greedy(step: int, now: Array, total: Array) -> Array:
    """The item that earns most now, the first of equals."""
    chosen: Array = np.take_along_axis(total, now.argmax(0)[None], 0)[0]
    return chosen


def in_turn(step: int, now: Array, total: Array) -> Array:
    """One item after the other."""
    chosen: Array = total[step % len(total)]
    return chosen


class Layer(NamedTuple):
    """One step, for each state that can be reached before it.

    Attributes:
        reward: ``[I, states]``, of studying each item.
        after: int ``[I, states]``, the state that follows, among those of the next layer.
    """

    reward: Array
    after: Actions


@dataclass(frozen=True)
class TutorGame(ExactGame):
    """One student that sees all items.

    Attributes:
        theta: ``[I]``.
        delay: time between two steps.
        horizon: steps.
    """

    name: ClassVar[str] = "tutor"
    theta: tuple[float, ...]
    delay: float
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``."""
        c = market.config
        rules = only_mechanism(market, Tutoring, beside=Clock, appeal=None)
        if rules is None or c.num_users != 1 or not isinstance(market.behaviour, SyntheticBehaviour):
            return None  # other behaviours may have users that see less
        if rules.model != "exponential" or rules.spread > 0.0 or c.num_items**c.horizon > _MOST_SEQUENCES:
            return None
        theta = rules.forgetting * (c.num_items if len(rules.forgetting) == 1 else 1)
        return cls(theta, rules.delay, c.horizon)

    def oracle(self) -> Oracle:
        """The optimum, with other policies beside it."""
        others = {"items in turn": self.value(in_turn), "any item": self.random(1.0 / len(self.theta))}
        return Oracle("optimum", self.value(optimal), self.value(greedy), self.random(1.0 / (1 + len(self.theta))),
                      others=tuple(Oracle(name, value) for name, value in others.items()))

    def value(self, policy: Policy) -> float:
        """Return of a policy."""
        ahead = np.zeros(1 + self._layers[-1].after.max())
        for step, layer in reversed(list(enumerate(self._layers))):
            ahead = policy(step, layer.reward, layer.reward + ahead[layer.after])
        return float(ahead[0])

    def random(self, chance: float) -> float:
        """Expected return if each item is studied with this probability in each step, independently of the past."""
        steps = np.arange(self.horizon + 1)
        total = 0.0
        for theta in self.theta:
            recall = np.exp(-theta * self.delay * steps[:, None] / (1 + steps))  # by steps since, and times studied
            weight = np.zeros_like(recall)
            weight[0, 0] = 1.0
            for _ in range(self.horizon):
                after = np.zeros_like(weight)
                after[1:] = (1.0 - chance) * weight[:-1]
                after[0, 1:] = chance * weight.sum(0)[:-1]
                weight = after
                total += float((weight * recall).sum()) / len(self.theta)
        return total

    @cached_property
    def _layers(self) -> list[Layer]:
        layers, state = [], np.zeros((1, 2, len(self.theta)), dtype=np.int64)
        for _ in range(self.horizon):
            reached = np.concatenate([self._after(state, item) for item in range(len(self.theta))])
            recall = np.exp(-np.array(self.theta) * self.delay * reached[:, 0] / (1 + reached[:, 1]))
            digits = tuple(reached.reshape(len(reached), -1).T)
            number = np.ravel_multi_index(digits, (self.horizon + 1,) * len(digits))
            _, first, after = np.unique(number, return_index=True, return_inverse=True)
            layers.append(Layer(recall.mean(1).reshape(len(self.theta), -1), after.reshape(len(self.theta), -1)))
            state = reached[first]
        return layers

    @staticmethod
    def _after(state: Actions, item: int) -> Actions:
        """States, of which each holds steps since and times studied, ``[states, 2, I]``, after an item was studied."""
        after = state.copy()
        after[:, 0] += 1
        after[:, 0, item] = 0
        after[:, 1, item] += 1
        return after
