"""Where users and items stand in a picture: a function of their vectors alone, fixed over an episode."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.world import State

Points = NDArray[np.float64]

MOST_POINTS = 200
"""Agents of a side that are drawn one by one; more are drawn as a density."""
_FEW = 12
_MARGIN = 16.0
_ROUNDS = 60


class Box(NamedTuple):
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top


class Places(NamedTuple):
    """Where agents stand.

    Attributes:
        users: float64 ``[U, 2]``, pixels.
        items: float64 ``[I, 2]``.
        columns: whether users stand on the left and items on the right, since their vectors say nothing about places.
        user_space: pixels between neighbours, about; what is drawn of a user has to fit in.
        item_space: the same of items.
    """

    users: Points
    items: Points
    columns: bool
    user_space: float
    item_space: float


def place(state: State, box: Box) -> Places:
    """Where the agents of one world stand.

    Vectors of two numbers are the places themselves, in one scale. Of longer ones these are the two principal
    components, moved a little apart where marks would cover each other; users and items are first brought to one
    length, since a response depends on directions. Few agents, and those with vectors of one number, stand in columns.
    """
    population = state.population
    start, now, items = (table[0].double().cpu().numpy() for table in
                         (population.user_vector, state.user_vector, population.item_vector))
    size = start.shape[1]
    if size < 2 or (size > 2 and len(start) + len(items) <= _FEW) or len(np.unique(items, axis=0)) == 1:
        return _in_columns(len(start), len(items), box)
    if size > 2:
        scale = _length(start) / _length(items)
        axes = _principal(np.concatenate([start, items * scale]))
        start, now, items = start @ axes, now @ axes, items * scale @ axes
    fit = _Fit(np.concatenate([start, items]), box)
    both = np.concatenate([fit(start), fit(items)])
    space = float(np.sqrt(box.width * box.height / min(len(both), MOST_POINTS)))
    if size == 2 or len(both) > MOST_POINTS:
        return Places(fit(now), fit(items), False, space, space)
    moved = _moved_apart(both.tobytes(), 0.55 * space, box)
    users = np.clip(moved[:len(now)] + fit(now) - fit(start), box[:2], box[2:])
    return Places(users, moved[len(now):], False, space, space)


@lru_cache(maxsize=64)
def _moved_apart(points: bytes, distance: float, box: Box) -> Points:
    """Points moved until most neighbours are so far apart; kept, since an episode asks for the same in each step."""
    at = np.frombuffer(points).reshape(-1, 2)
    low, high = np.array(box[:2]) + _MARGIN, np.array(box[2:]) - _MARGIN
    angle = np.arange(len(at)) * 2.4  # parts points that coincide
    at = at + 0.01 * np.stack([np.cos(angle), np.sin(angle)], 1)
    for _ in range(_ROUNDS):
        away = at[:, None] - at[None]
        gap = np.maximum(np.sqrt(np.square(away).sum(2)), 1e-9) + np.eye(len(at)) * 1e9  # two may meet in a corner
        push = np.maximum(0.0, distance - gap) / (2.0 * gap)
        at = np.clip(at + 0.5 * (away * push[:, :, None]).sum(1), low, high)
    return at


def _length(vectors: Points) -> float:
    return max(1e-9, float(np.sqrt(np.square(vectors).sum(1).mean())))


def _principal(vectors: Points) -> Points:
    """Two axes ``[D, 2]`` along which the vectors differ most, each with its largest number above 0."""
    centred = vectors - vectors.mean(0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
    sign = np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    return np.asarray(axes * np.where(sign == 0.0, 1.0, sign))


class _Fit:
    """Moves points into a box, both axes in one scale; those that leave it later stay at its edge."""

    def __init__(self, points: Points, box: Box) -> None:
        low, high = points.min(0), points.max(0)
        self._middle = (low + high) / 2.0
        self._half = np.array([box.width, box.height]) / 2.0 - _MARGIN
        self._scale = float((self._half / np.maximum(1e-9, (high - low) / 2.0)).min())
        self._centre = np.array([box.left + box.right, box.top + box.bottom]) / 2.0

    def __call__(self, points: Points) -> Points:
        moved = (points - self._middle) * self._scale * np.array([1.0, -1.0])
        return np.asarray(self._centre + np.clip(moved, -self._half, self._half))


def _in_columns(num_users: int, num_items: int, box: Box) -> Places:
    """Users in a block on the left, items in one on the right."""
    end, start = box.left + round(0.42 * box.width), box.left + round(0.62 * box.width)
    users = _block(num_users, Box(box.left, box.top, end, box.bottom))
    items = _block(num_items, Box(start, box.top, box.right - (box.right - start) // 3, box.bottom))
    return Places(users[0], items[0], True, users[1], items[1])


def _block(count: int, box: Box) -> tuple[Points, float]:
    """Places in rows and columns about as far apart, and how far."""
    columns = max(1, round(np.sqrt(count * box.width / box.height))) if count > 8 else 1
    rows = -(-count // columns)
    number = np.arange(count)
    x = box.left + (number % columns + 0.5) * box.width / columns
    y = box.top + (number // columns + 0.5) * box.height / rows
    return np.stack([x, y], 1), min(box.width / columns, box.height / rows)
