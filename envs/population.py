"""The users and items of worlds: what a behaviour decides before the first step.

``B``, ``U``, ``I``, ``D``, ``G`` and ``C`` are sizes as in ``types``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.indexing import gather_rows, unbatched
from interplay.envs.records import WorldRecord
from interplay.envs.types import FEATURE_BOUND

_BLOCK = 1200  # users of each segment, about, whose tastes and slates a core's cache holds


T = TypeVar("T")


class kept(Generic[T]):  # noqa: N801  # used as a decorator
    """A property that is computed once: ``functools.cached_property`` without the lock, which torch cannot trace."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make, self._name = make, make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, owner: Any, kind: type) -> T:
        value = self._make(owner)
        owner.__dict__[self._name] = value  # where Python looks first from now on
        return value


class Segments(NamedTuple):
    """Membership of users in segments.

    Attributes:
        member: float32 ``[B, C, U]``, 1 for members, 0 for others.
        size: float32 ``[B, C]``, how many users do.
        divisor: float32 ``[B, C]``, the size, but 1 for an empty one.
        share: float32 ``[B, C]``, the size as a part of all users.
    """

    member: Tensor
    size: Tensor
    divisor: Tensor
    share: Tensor


class Items(NamedTuple):
    """What never changes of some items, ``[B, ...]`` or ``[B, ..., G]`` or ``[B, ..., D]``; see ``Population``."""

    appeal: Tensor
    mood_effect: Tensor
    topics: Tensor
    vector: Tensor


@dataclass(frozen=True)
class Population(WorldRecord):
    """The users and items of each world: what a behaviour decides before the first step.

    Attributes:
        user_vector: float32 ``[B, U, D]``, tastes at the start, of length 1.
        segment: int64 ``[B, U]``, the segment each user belongs to, in ``0..C-1``.
        item_vector: float32 ``[B, I, D]``.
        appeal: float32 ``[B, I]``, b_i.
        topics: float32 ``[B, I, G]``, each row on the simplex.
        mood_effect: float32 ``[B, I]`` in [-1, 1], what a response does to the user's mood.
        margin: float32 ``[B, I]``, what an item earns from one response.
        popularity: float32 ``[B, I]``, responses that each item had before the episode.
        preference_weight: float32 ``[B, D]``, w of the preference formula.
        user_features, item_features: float32 ``[B, U, Fu]`` and ``[B, I, Fi]``, what else is known of users and
            items; no columns unless given.
    """

    constant: ClassVar[bool] = True
    user_vector: Tensor
    segment: Tensor
    item_vector: Tensor
    appeal: Tensor
    topics: Tensor
    mood_effect: Tensor
    margin: Tensor
    popularity: Tensor
    preference_weight: Tensor
    # None becomes zero columns at once; torch cannot trace a default that is a tensor.
    user_features: Tensor = None  # type: ignore[assignment]
    item_features: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name, vector in (("user_features", self.user_vector), ("item_features", self.item_vector)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, vector.new_zeros(*vector.shape[:-1], 0))

    @kept
    def item_rows(self) -> Tensor:
        """All that never changes of items, as one table, so that a step gathers once.

        Float32 ``[B, I, 3 + G + D + Fi]``: margin, appeal, mood_effect, topics, vector, features. Where all worlds have
        the same items, it holds them once, expanded.
        """
        columns = [column.unsqueeze(2) for column in (self.margin, self.appeal, self.mood_effect)]
        tables = [*columns, self.topics, self.item_vector, self.item_features]
        if all(table.shape[2] == 0 or len(unbatched(table)) == 1 for table in tables):
            tables = [table[:1] for table in tables]
        return torch.cat(tables, dim=2).expand(len(self.item_vector), -1, -1)

    def of_items(self, items: Tensor) -> Items:
        """What never changes of the items ``items`` int64 ``[B, ...]``, gathered at once."""
        rows = gather_rows(self.item_rows, items)
        first, last = 3 + self.topics.shape[2], 3 + self.topics.shape[2] + self.item_vector.shape[2]
        return Items(rows[..., 1], rows[..., 2], rows[..., 3:first], rows[..., first:last])

    @kept
    def shown_rows(self) -> Tensor:
        """``item_rows`` within the bounds of what agents see."""
        rows = self.item_rows
        return unbatched(rows).clamp(-FEATURE_BOUND, FEATURE_BOUND).expand(len(rows), -1, -1)

    @kept
    def item_columns(self) -> Tensor:
        """``item_vector`` with items last, ``[B, D, I]``; held once where all worlds have the same items."""
        return unbatched(self.item_vector).transpose(1, 2).contiguous().expand(len(self.item_vector), -1, -1)

    def of_users(self, users: Tensor | slice) -> Self:
        """With the users ``users``, int64 ``[N']``, alone; what is known of items is not worked out again."""
        some = replace(self, **{name: getattr(self, name)[:, users]
                                for name in ("user_vector", "segment", "user_features")})
        for name in ("item_rows", "shown_rows", "item_columns"):
            if name in self.__dict__:
                some.__dict__[name] = self.__dict__[name]
        return some

    def derive_as(self, other: Self) -> None:
        """See ``TensorRecord``."""
        for count in getattr(other, "_segments", ()):
            self.segments(count)
        super().derive_as(other)

    def segments(self, count: int) -> Segments:
        """The members of each of so many segments."""
        known: dict[int, Segments] = getattr(self, "_segments", {})  # which torch.compile can trace
        if count not in known:
            member = (self.segment.unsqueeze(2) == torch.arange(count, device=self.segment.device)).to(torch.float32)
            size = member.sum(1)
            known[count] = Segments(member.transpose(1, 2), size, size.clamp(min=1.0), size / member.shape[1])
            object.__setattr__(self, "_segments", known)
        return known[count]

    def sizes(self, count: int) -> list[NDArray[np.float32]]:
        """``Segments.divisor`` and ``share`` of so many segments, as numpy has them."""
        known: dict[int, list[NDArray[np.float32]]] = self.__dict__.setdefault("_sizes", {})
        if count not in known:
            segments = self.segments(count)
            known[count] = [segments.divisor.numpy(), segments.share.numpy()]
        return known[count]

    def by_segment(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Users by block and, of ``count`` segments, by segment, as numpy has them.

        Neighbours in memory stay together: a block is as many users as a cache can hold the tastes of. Held once where
        all worlds have the same users.

        Returns:
            Users in this order, int64 ``[B, U]``, and where each segment of each block starts in it, the last ``U``:
            int64 ``[B, blocks * count + 1]``.
        """
        known: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = self.__dict__.setdefault("_by_segment", {})
        if count not in known:
            segment = unbatched(self.segment)
            block = torch.arange(segment.shape[1]) // (_BLOCK * count)
            ordered, order = (block * count + segment).sort(dim=1, stable=True)
            first = torch.arange((int(block[-1]) + 1) * count + 1).expand(len(segment), -1)
            known[count] = order.numpy(), torch.searchsorted(ordered, first.contiguous()).numpy()
        return known[count]

    def arrays(self, *names: str) -> list[NDArray[Any]]:
        """See ``WorldRecord``. Since they never change, the same list again for the same names."""
        known: dict[tuple[str, ...], list[NDArray[Any]]] = self.__dict__.setdefault("_lists", {})
        if names not in known:
            known[names] = super().arrays(*names)
        return known[names]

    def _table(self, name: str) -> Tensor:
        """Held once where all worlds share it."""
        return unbatched(super()._table(name))

    def expand(self, num_worlds: int) -> Population:
        """The same people in ``num_worlds`` worlds, without copying them."""
        return self.map(lambda table: table.expand(num_worlds, *table.shape[1:]))
