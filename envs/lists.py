"""Candidate lists of each user's own. Users with lists of like length share a table, so that tables grow with lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from interplay.envs.noise import MOST
from interplay.envs.types import InterplayError

_SMALL = 1 << 16  # cells that are not worth a table of their own


class Table(NamedTuple):
    """Some users' lists.

    Attributes:
        users: int64 ``[U']``, their numbers, ascending.
        items: int64 ``[U', W]``, what each may be offered, padded.
        valid: bool ``[U', W]``, False for padding.
        first_draw: int32 ``[U']``, index of the draw of noise that each user's first item gets.
    """

    users: Tensor
    items: Tensor
    valid: Tensor
    first_draw: Tensor


class Lists(NamedTuple):
    """All users' lists.

    Attributes:
        tables: of all users; each user is in one.
        place: int64 ``[U]``, where each user is in the tables, one after another.
        longest: the length of the longest list, and at least that of a slate.
        num_draws: indices of noise that one draw for each item of each list takes.
    """

    tables: tuple[Table, ...]
    place: Tensor
    longest: int
    num_draws: int

    @classmethod
    def make(cls, items: Tensor, count: Tensor, slate_size: int, num_items: int) -> Lists:
        """Deal lists out to tables.

        Args:
            items: int64 ``[P]``, the lists one after another.
            count: int64 ``[U]``, their lengths.
            slate_size: no table is narrower, since slates take their slots from its rows.
            num_items: the numbers of items are below it.

        Raises:
            InterplayError: lengths and items that do not go together.
        """
        if count.sum() != len(items) or (len(items) and not 0 <= items.min() <= items.max() < num_items):
            raise InterplayError(f"candidates: {len(items)} items in lists of {count.sum()} items, numbered from 0 to "
                                 f"{num_items - 1}: make them agree")
        longest, start = max(int(count.max()), slate_size), count.cumsum(0) - count
        sparse = len(count) * longest
        user = torch.arange(len(count))
        # Rows of one width where there are indices enough, so that a list of one user moves no other user's noise.
        first_draw = user * longest if sparse <= MOST else start
        tables = tuple(_table(users, width, items, start, count, first_draw)
                       for users, width in _dealt(count, slate_size))
        place = torch.cat([table.users for table in tables]).argsort()
        return cls(tables, place, longest, sparse if sparse <= MOST else len(items) + longest)

    def to(self, device: torch.device) -> Lists:
        """The same on ``device``."""
        tables = tuple(Table(*(column.to(device) for column in table)) for table in self.tables)
        return self._replace(tables=tables, place=self.place.to(device))

    def padded(self) -> tuple[Tensor, Tensor]:
        """All lists as one table, for observations of a fixed width: int64 and bool ``[U, longest]``."""
        items = self.place.new_zeros(len(self.place), self.longest)
        valid = torch.zeros_like(items, dtype=torch.bool)
        for table in self.tables:
            width = table.items.shape[1]
            items[table.users, :width], valid[table.users, :width] = table.items, table.valid
        return items, valid


def _dealt(count: Tensor, least: int) -> Iterator[tuple[Tensor, int]]:
    """Users of each table, and its width: halved until what is left is not more padding than items."""
    users = torch.arange(len(count))
    while len(users) > 0:
        own = count[users]
        width = max(int(own.max()), least)
        if width == least or len(users) * width <= 2 * int(own.sum()) + _SMALL:
            yield users, width
            return
        long = own > width // 2
        yield users[long], width
        users = users[~long]


def _table(users: Tensor, width: int, items: Tensor, start: Tensor, count: Tensor, first_draw: Tensor) -> Table:
    column = torch.arange(width)
    valid = column < count[users].unsqueeze(1)
    place = (start[users].unsqueeze(1) + column).clamp(max=max(len(items) - 1, 0))
    # Padding is item 0. Indices of noise count modulo 2^32, as int32 does.
    return Table(users, (items[place] if len(items) else place).masked_fill(~valid, 0), valid,
                 first_draw[users].to(torch.int32))
