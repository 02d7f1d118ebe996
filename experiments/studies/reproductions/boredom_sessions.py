"""Sessions of SARDINE's users, which get bored, from its equations: Deffayet et al. (TORS 2024, arXiv 2311.16586).

It stands apart from the market, in which a user takes one item of a slate: here each item of a slate is clicked or not.
Sessions of one catalogue run side by side in NumPy.

A user's interests are 3 to 5 of 10 topics, a vector of length 1; an item has 2 or 3. With u and v these vectors, an
item in slot k is clicked with probability .85^(k-1) sigmoid(100 (<u, v> - .65)). Each session begins with a random
slate, which earns nothing; then 100 slates earn their clicks. After each:

- influence: u <- .95 u + .05 m, scaled to length 1, if there was a click, where m is the mean vector of clicked items;
- boredom: of the last 10 clicks, those of the last 5 steps count by the largest topic of their items. 5 or more of one
  topic make the user bored of it for 5 steps. A user who is bored of any topic clicks on nothing (but by 6e-29).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from interplay.experiments.exact.base import Actions, Array

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Boredom:
    """The parameters of ``SingleItem-BoredInf`` and ``SlateTopK-BoredInf``, which differ in the first.

    Attributes:
        slate_size: items of a slate.
        num_items, num_topics, steps: sizes.
        offset, slope: of the sigmoid.
        influence: how far a click moves interests.
        threshold, window, remembered: clicks of one topic that bore, in how many steps, of how many last clicks. A user
            is bored for as many steps.
        examination: how much less each slot is looked at than the one before.
        averages_numbers: whether m is the mean of all numbers in the clicked items' vectors, in each coordinate, as
            SARDINE's code has it; else their mean vector, as the comment of that line asks for.
    """

    slate_size: int = 1
    num_items: int = 1_000
    num_topics: int = 10
    steps: int = 100
    offset: float = 0.65
    slope: float = 100.0
    influence: float = 0.05
    threshold: int = 5
    window: int = 5
    remembered: int = 10
    examination: float = 0.85
    averages_numbers: bool = True


def catalogue(rules: Boredom, rng: np.random.Generator) -> Array:
    """Vectors of items, ``[I, G]``."""
    size = (rules.num_items, rules.num_topics)
    place = rng.random(size).argsort(1).argsort(1)
    return _unit(rng.random(size) * (place < rng.integers(2, 4, size=(rules.num_items, 1))))


def interests(rules: Boredom, num_users: int, rng: np.random.Generator) -> Array:
    """Vectors of users, ``[N, G]``."""
    size = (num_users, rules.num_topics)
    has = rng.random(size) < 0.4
    while (wrong := np.abs(has.sum(1) - 4) > 1).any():
        has[wrong] = rng.random((int(wrong.sum()), rules.num_topics)) < 0.4
    return _unit(rng.random(size) * has)


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


class Sessions:
    """Users of one catalogue.

    Args:
        rules: the parameters.
        items: ``[I, G]``.
        num_users: how many, N.
        rng: of all their chance.

    Attributes:
        taste: ``[N, G]``, u.
        bored: ``[N, G]``.
        counted: int ``[N, G]``, clicks that count towards boredom.
        topic: int ``[I]``, the largest of each item.
    """

    def __init__(self, rules: Boredom, items: Array, num_users: int, rng: np.random.Generator) -> None:
        self.rules, self._items, self._rng = rules, items, rng
        self.topic: Actions = items.argmax(1)
        self.taste = interests(rules, num_users, rng)
        self.bored: Bools = np.zeros(self.taste.shape, dtype=bool)
        self._timer: Actions = np.full(self.taste.shape, rules.window)
        self.counted: Actions = np.zeros(self.taste.shape, dtype=np.int64)
        width = rules.window * rules.slate_size
        self._clicked: Bools = np.zeros((num_users, width), dtype=bool)  # of the last steps, the newest last
        self._topics: Actions = np.zeros((num_users, width), dtype=np.int64)
        self.show(any_items(self))

    def scores(self) -> Array:
        """<u, v> of all items, ``[N, I]``; 0 for users who are bored."""
        scores: Array = (self.taste * ~self.bored.any(1, keepdims=True)) @ self._items.T
        return scores

    def show(self, slate: Actions) -> Bools:
        """The clicks on slates ``[N, K]``, bool ``[N, K]``, after which users change."""
        rules = self.rules
        score = np.einsum("ng,nkg->nk", self.taste, self._items[slate]) * ~self.bored.any(1, keepdims=True)
        chance = expit(rules.slope * (score - rules.offset)) * rules.examination ** np.arange(rules.slate_size)
        clicks: Bools = self._rng.random(slate.shape) < chance
        self._bore(slate, clicks)
        self._influence(slate, clicks)
        return clicks

    def _influence(self, slate: Actions, clicks: Bools) -> None:
        count = clicks.sum(1, keepdims=True)
        mean = np.einsum("nk,nkg->ng", clicks, self._items[slate]) / np.maximum(count, 1)
        if self.rules.averages_numbers:
            mean = np.broadcast_to(mean.mean(1, keepdims=True), mean.shape)
        moved = _unit((1.0 - self.rules.influence) * self.taste + self.rules.influence * mean)
        self.taste = np.where(count > 0, moved, self.taste)

    def _bore(self, slate: Actions, clicks: Bools) -> None:
        size = self.rules.slate_size
        self._clicked = np.concatenate([self._clicked[:, size:], clicks], axis=1)
        self._topics = np.concatenate([self._topics[:, size:], self.topic[slate]], axis=1)
        later = self._clicked[:, ::-1].cumsum(1)[:, ::-1]
        counts = self._clicked & (later <= self.rules.remembered)
        self.counted = (counts[:, :, None] & (self._topics[:, :, None] == np.arange(self.rules.num_topics))).sum(1)
        self._timer -= self.bored
        self.bored &= self._timer != 0
        self._timer[~self.bored] = self.rules.window
        self.bored |= self.counted >= self.rules.threshold


Policy = Callable[[Sessions], Actions]
"""Gives slates, int ``[N, K]``."""


def any_items(sessions: Sessions) -> Actions:
    """Any items, each as likely; some may be there twice."""
    slates: Actions = sessions._rng.integers(len(sessions.topic), size=(len(sessions.taste), sessions.rules.slate_size))
    return slates


def greedy(sessions: Sessions) -> Actions:
    """The items that are most likely clicked now, the best first."""
    return _best(sessions.scores(), sessions.rules.slate_size)


def careful(sessions: Sessions) -> Actions:
    """The same among those that cannot bore: no more of a topic than may be clicked before the user is bored of it."""
    score, rules = sessions.scores(), sessions.rules
    left = rules.threshold - 1 - sessions.counted
    found, worth = [], []
    for topic in range(rules.num_topics):
        items = np.flatnonzero(sessions.topic == topic)
        best = _best(score[:, items], min(rules.threshold - 1, len(items)))
        found.append(items[best])
        allowed = np.arange(best.shape[1]) < left[:, topic, None]
        worth.append(np.where(allowed, np.take_along_axis(score[:, items], best, 1), -1.0))
    choice = _best(np.concatenate(worth, axis=1), rules.slate_size)
    slates: Actions = np.take_along_axis(np.concatenate(found, axis=1), choice, 1)
    return slates


def _best(score: Array, count: int) -> Actions:
    """Places of the highest scores in each row, the best first, int ``[N, count]``."""
    top = np.argpartition(score, -count, axis=1)[:, -count:]
    order = np.take_along_axis(score, top, 1).argsort(1)[:, ::-1]
    best: Actions = np.take_along_axis(top, order, 1)
    return best


def returns(rules: Boredom, policy: Policy, items: Array, num_users: int, rng: np.random.Generator) -> Array:
    """Clicks of each user in a session, ``[N]``."""
    sessions, total = Sessions(rules, items, num_users, rng), np.zeros(num_users)
    for _ in range(rules.steps):
        total += sessions.show(policy(sessions)).sum(1)
    return total
