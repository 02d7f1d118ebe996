"""A coach's messages to one person: dynamic programming over habituation h and disengagement d.

From the equations of ``mechanisms.coaching``. The value of a state is interpolated between the points of a grid, finely
where d does not matter: a coach that sees the context never sends a wrong message. Where the context is seen through
noise, values are off by less than .1 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logit, ndtr

from interplay.envs.market import Market
from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.coaching import Coaching
from interplay.experiments.exact.base import Array, ExactGame, Oracle, only_mechanism

_MESSAGES = [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
_BY_H, _BY_BOTH = (20_001, 2), (401, 401)

Policy = Callable[[Array, Array], Array]
"""From what each kind of action earns now, and with all that follows, both ``[4, H, D]``, to what follows from the
policy, ``[H, D]``. The kinds: no message, a generic one, the right one, a wrong one."""


def uniform(now: Array, total: Array) -> Array:
    """Any of the four actions: of the two messages for contexts, one is right."""
    mean: Array = total.mean(0)
    return mean


def always_generic(now: Array, total: Array) -> Array:
    """The generic message in each step."""
    generic: Array = total[1]
    return generic


@dataclass(frozen=True)
class CoachGame(ExactGame):
    """One person in one of two contexts, with a generic message and one for each context.

    Attributes:
        rules: the parameters.
        horizon: steps.
    """

    name: ClassVar[str] = "coach"
    rules: Coaching
    horizon: int

    @classmethod
    def of(cls, market: Market) -> Self | None:
        """See ``ExactGame.of``. Where h is not seen, all messages so far must be: h follows from them."""
        c = market.config
        rules = only_mechanism(market, Coaching, beside=Clock, appeal=np.inf)
        if rules is None or c.num_users != 1 or rules.spread > 0.0 or rules.liking > 0.0:
            return None
        if rules.hidden and (c.history_length < c.horizon - 1 or rules.context_noise > 0.0):
            return None
        return cls(rules, c.horizon) if market.reset([0]).population.topics[0].tolist() == _MESSAGES else None

    def oracle(self) -> Oracle:
        """The optimum, with other policies beside it."""
        others = {"always generic": self.value(always_generic, _BY_H)}
        if self.rules.context_noise == 0.0:
            others |= {"always the right one": self.always_right(), "the right one in every second step":
                       self.every_second_step(), "the right one up to some h": self.best_threshold(),
                       "best without memory": self.memoryless()}
        return Oracle("optimum", self.optimum(), self.greedy(), self.value(uniform),
                      others=tuple(Oracle(name, value) for name, value in others.items()))

    def optimum(self) -> float:
        """The best policy."""
        return self.value(lambda now, total: self.best(total, total), self._sizes)

    def greedy(self) -> float:
        """The policy that earns most now: the message for the likelier context, or none where h' would be 1."""
        return self.value(lambda now, total: self.best(now, total), self._sizes)

    def memoryless(self) -> float:
        """The best policy that knows the context alone: the right message, with the same probability in each step."""
        def loss(chance: float) -> float:
            return -self.value(lambda now, total: chance * total[2] + (1.0 - chance) * total[0], (2_001, 2))

        return -float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").fun)

    def always_right(self) -> float:
        """The right message in each step."""
        return self._timed(lambda step, h: True)

    def every_second_step(self) -> float:
        """The right message in steps 1, 3, 5 and so on."""
        return self._timed(lambda step, h: step % 2 == 0)

    def best_threshold(self) -> float:
        """The right message wherever h is at most at some value, the best of 10,001."""
        def up_to(most: float) -> float:
            return self._timed(lambda step, h: h <= most)

        return max(up_to(most) for most in np.linspace(0.0, 1.0, 10_001).tolist())

    def value(self, policy: Policy, sizes: tuple[int, int] = _BY_BOTH) -> float:
        """Expected return of a policy, on a grid of so many values of h and of d."""
        r = self.rules
        h, d = np.linspace(0.0, 1.0, sizes[0]), np.linspace(0.0, r.disengagement_limit, sizes[1])
        fewer, more = (1.0 - r.habituation_decay) * h, np.minimum(h + r.habituation_gain, 1.0)
        calmer, annoyed = (1.0 - r.disengagement_decay) * d, np.minimum(d + r.disengagement_gain, 1.0)
        stays = annoyed < r.disengagement_limit
        earned = [np.zeros_like(h), r.generic_steps * (1.0 - more), r.tailored_steps * (1.0 - more), np.zeros_like(h)]
        now = np.stack([r.base_steps + steps[:, None] + np.zeros_like(d) for steps in earned])
        now[3] *= stays
        ahead = np.zeros(sizes)
        for _ in range(self.horizon):
            sent = _at(ahead, h, more, 0)
            fine = _at(sent, d, calmer, 1)
            ahead = policy(now, now + np.stack([_at(ahead, h, fewer, 0), fine, fine, _at(sent, d, annoyed, 1) * stays]))
        start = _at(_at(ahead, h, np.array([r.habituation_start]), 0), d, np.array([r.disengagement_start]), 1)
        return float(start[0, 0])

    @property
    def _sizes(self) -> tuple[int, int]:
        return _BY_H if self.rules.context_noise == 0.0 else _BY_BOTH

    def best(self, judged: Array, total: Array) -> Array:
        """What follows from taking what is ``judged`` best, given what is known of the context.

        A draw x from N(c, noise) makes the likelier context as likely as a number m in [.5, 1], and its message is sent
        where m right + (1 - m) wrong is more than what the best other action is worth. That is so where x is further
        than noise^2 logit(m) from .5, on either side.
        """
        noise, (none, generic, right, wrong) = self.rules.context_noise, judged
        rest = np.maximum(none, generic)
        others = np.where(none >= generic, total[0], total[1])
        if noise == 0.0:
            sure: Array = np.where(right > rest, total[2], others)
            return sure
        least = np.clip((rest - wrong) / np.maximum(right - wrong, 1e-12), 0.5, 1.0)
        far = noise**2 * logit(least)
        is_right, is_wrong = ndtr((0.5 - far) / noise), ndtr((-0.5 - far) / noise)
        unsure: Array = is_right * total[2] + is_wrong * total[3] + (1.0 - is_right - is_wrong) * others
        return unsure

    def _timed(self, sends: Callable[[int, float], bool]) -> float:
        """Return of the right message in the steps in which ``sends`` says so, by step and h."""
        r, h, steps = self.rules, self.rules.habituation_start, 0.0
        for step in range(self.horizon):
            sent = sends(step, h)
            h = min(1.0, h + r.habituation_gain) if sent else (1.0 - r.habituation_decay) * h
            steps += r.base_steps + r.tailored_steps * (1.0 - h) * sent
        return steps


def _at(values: Array, grid: Array, points: Array, axis: int) -> Array:
    """``values [H, D]`` at points between those of an even grid of one axis."""
    place = np.clip(points, 0.0, grid[-1]) / grid[1]
    low = np.minimum(place.astype(np.int64), len(grid) - 2)
    part = np.expand_dims(place - low, 1 - axis)
    found: Array = (1.0 - part) * values.take(low, axis) + part * values.take(low + 1, axis)
    return found
