"""Tables side by side in three arrays, one for each type, so that a loop takes three arguments in place of dozens.

Python needs about as long to make an array and to hand it to a loop as the loop needs for a small world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from interplay.envs.sizes import MarketSizes

_TYPES = (np.float32, np.int64, np.bool_)


class StateTables(NamedTuple):
    """Tables of a ``State`` that a step changes, in the order of ``state_layout``."""

    mood: NDArray[np.float32]
    satiation: NDArray[np.float32]
    user_vector: NDArray[np.float32]
    responses: NDArray[np.float32]
    energy: NDArray[np.float32]
    wearout: NDArray[np.float32]
    popularity: NDArray[np.float32]
    taken: NDArray[np.int64]
    boost_segment: NDArray[np.int64]
    boost_level: NDArray[np.int64]
    active: NDArray[np.bool_]
    alive: NDArray[np.bool_]


USER_TABLES = ("mood", "satiation")
"""Those of mechanisms for users, in the order of the mechanisms."""
ITEM_TABLES = ("wearout", "energy", "boost_segment", "boost_level")
"""The same for items."""


class StepTables(NamedTuple):
    """What else a step writes, in the order of ``step_layout``: tables of a ``Step``, and what comes after it."""

    response: NDArray[np.float32]
    squares: NDArray[np.float32]
    item_response: NDArray[np.float32]
    cost: NDArray[np.float32]
    item_own: NDArray[np.float32]
    log_boosts: NDArray[np.float32]
    chosen: NDArray[np.int64]
    position: NDArray[np.int64]
    illegal_users: NDArray[np.int64]
    illegal_items: NDArray[np.int64]
    close: NDArray[np.bool_]
    user_illegal: NDArray[np.bool_]
    user_terminated: NDArray[np.bool_]
    item_illegal: NDArray[np.bool_]
    item_terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class Layout:
    """Where each table is.

    Args:
        tables: type and shape, in one world, of each table.
        same: other names of some tables.

    Attributes:
        starts: int64, of each table: how many values of its type are before it in one world.
        names: of all tables.
    """

    def __init__(self, tables: Mapping[str, tuple[type, tuple[int, ...]]], same: Mapping[str, str]) -> None:
        self._places: dict[str, tuple[int, int, int, tuple[int, ...]]] = {}
        sizes = [0 for _ in _TYPES]
        for name, (kind, shape) in tables.items():
            n, size = _TYPES.index(kind), math.prod(shape)
            self._places[name] = n, sizes[n], sizes[n] + size, shape
            sizes[n] += size
        self.starts = np.array([start for _, start, *_ in self._places.values()])
        self._places |= {name: self._places[first] for name, first in same.items()}
        self.names = frozenset(self._places)
        self._sizes = sizes

    def empty(self, worlds: int) -> Packed:
        """Tables of so many worlds, without values."""
        floats, integers, flags = self._sizes
        return Packed(self, worlds, (np.empty(worlds * floats, np.float32), np.empty(worlds * integers, np.int64),
                                     np.empty(worlds * flags, np.bool_)))

    def table(self, name: str, packed: Packed) -> NDArray[Any]:
        """A table ``[B, ...]``, which shares memory."""
        _, worlds, arrays = packed
        n, start, end, shape = self._places[name]
        values: NDArray[Any] = arrays[n]
        return values[worlds * start:worlds * end].reshape((worlds, *shape))


class Packed(NamedTuple):
    """Tables of ``worlds`` worlds: each fills one stretch of the array of its type."""

    layout: Layout
    worlds: int
    arrays: tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]


def state_layout(c: MarketSizes, history_length: int) -> Layout:
    """Of ``StateTables``."""
    users, items = (c.num_users,), (c.num_items,)
    history = (*users, history_length)
    shapes = [users, (*users, c.num_topics), (*users, c.embedding_size), history, items, (*items, c.num_segments),
              items, history, items, items, users, items]
    return Layout(_typed(StateTables, shapes), {})


def step_layout(c: MarketSizes) -> Layout:
    """Of ``StepTables``; rewards are what the sides get themselves."""
    users, items, world = (c.num_users,), (c.num_items,), ()
    shapes = [users, users, items, items, items, (c.num_segments, c.num_items),
              users, users, world, world, users, users, users, items, items, world]
    return Layout(_typed(StepTables, shapes), {
        "user_own": "response", "user_reward": "response", "item_reward": "item_own"})


def _typed(tables: type, shapes: Sequence[tuple[int, ...]]) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Type, as it is annotated, and shape of each table."""
    hints = get_type_hints(tables)
    return {name: (scalar_types(hint)[0], shape) for (name, hint), shape in zip(hints.items(), shapes, strict=True)}


def scalar_types(hint: Any) -> list[type]:
    """NumPy's types inside an annotation, at any depth: the form of ``NDArray`` depends on NumPy's version."""
    if isinstance(hint, type) and issubclass(hint, np.generic):
        return [hint]
    return [kind for part in get_args(hint) for kind in scalar_types(part)]
