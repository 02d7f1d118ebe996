"""The rows of a log in the order in which users went through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import InteractionLog
from interplay.experiments.common.pairs import are_new

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TUNED_ON = 100_000
"""Rows, at most, by which ranks and penalties are chosen."""

AWAY = 2.0
"""Steps that users stay away between two sessions, on average."""

_MOST_PAST, _MOST_CELLS = 20, 1 << 23  # rows of the past that are kept of each row, and of all


class Past(NamedTuple):
    """The last ``K`` rows before each row, of the same user.

    Attributes:
        age: float32 ``[N, K]``, steps since then, 0 for the row before; infinite where there is none.
        reward: float32 ``[N, K]``. item: int32 ``[N, K]``.
    """

    age: NDArray[np.float32]
    reward: NDArray[np.float32]
    item: NDArray[np.int32]

    def where(self, kept: Bools) -> Past:
        """Of some rows."""
        return Past(self.age[kept], self.reward[kept], self.item[kept])


@dataclass(frozen=True, eq=False)
class Rows:
    """``N`` rows of ``U`` users, user after user and by time; rows of one time stay in the log's order.

    Attributes:
        user: int64 ``[N]``, ascending, in ``0..U-1``; each user has a row.
        item: int64 ``[N]``.
        reward: float64 ``[N]``, on the scale on which the log's range is [0, 1].
        session: int64 ``[N]``, ascending.
        people: int64 ``[U]``, the users' numbers in the log.
        num_items: I.
        open_end: bool ``[U]``, users whose last session may not have been over when the log ended.
        past: what came before each row; it stays where other rows are left out. None where the order is not known.
    """

    user: Ints
    item: Ints
    reward: Floats
    session: Ints
    people: Ints
    num_items: int
    open_end: Bools
    past: Past | None = None

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.people)

    @cached_property
    def first(self) -> Bools:
        """Whether the user takes the item for the first time, bool ``[N]``."""
        return are_new(self.user, self.item, self.num_items)

    @property
    def has_repeats(self) -> bool:
        """Whether a user takes an item twice."""
        return not bool(self.first.all())

    @property
    def lifetimes(self) -> Ints:
        """Rows of each user, int64 ``[U]``."""
        return np.bincount(self.user, minlength=self.num_users)

    def where(self, kept: Bools) -> Rows:
        """Some rows, with the same users."""
        return replace(self, user=self.user[kept], item=self.item[kept], reward=self.reward[kept],
                       session=self.session[kept],
                       past=None if self.past is None else self.past.where(kept))

    def of_users(self, kept: Bools) -> Rows:
        """All rows of some users, bool ``[U]``, with new numbers."""
        some = self.where(kept[self.user])
        return replace(some, user=(np.cumsum(kept) - 1)[some.user], people=self.people[kept],
                       open_end=self.open_end[kept])

    def among(self, others: Rows) -> Rows:
        """The rows of users who have rows in ``others``, with their numbers there."""
        known = self.of_users(np.isin(self.people, others.people))
        number = np.searchsorted(others.people, known.people)
        return replace(known, user=number[known.user], people=others.people, open_end=others.open_end)


def rows_of(log: InteractionLog, gap: float) -> Rows:
    """The rows of a log.

    Args:
        log: where each user counts that has a row.
        gap: seconds without a row after which a session is over. Without the time of every row, a user has one session.
    """
    timed = log.time is not None and not bool(np.isnan(log.time).any())
    time = log.time if timed and log.time is not None else np.zeros(len(log))
    order = np.lexsort((time, log.user))
    people, user = np.unique(log.user[order], return_inverse=True)
    begins = np.r_[True, (np.diff(user) != 0) | (np.diff(time[order]) > gap)]
    reward = log.scaled(log.reward).astype(np.float64)[order]
    last = np.r_[user[1:] != user[:-1], True]
    open_end = time[order][last] > time.max() - gap if timed else np.zeros(len(people), dtype=np.bool_)
    rows = Rows(user, log.item[order], reward, np.cumsum(begins) - 1, people, log.num_items, open_end)
    return replace(rows, past=_past(rows)) if timed else rows


def _past(rows: Rows) -> Past:
    """The past of each row; the time between two sessions is ``AWAY`` steps."""
    count = min(_MOST_PAST, max(1, _MOST_CELLS // len(rows)))
    place = np.arange(len(rows))[:, None] - 1 - np.arange(count)
    there, place = place >= 0, place.clip(0)
    there &= rows.user[place] == rows.user[:, None]
    away = AWAY * (rows.session[:, None] - rows.session[place])
    age = np.where(there, np.arange(count) + away, np.inf).astype(np.float32)
    return Past(age, rows.reward[place].astype(np.float32), rows.item[place].astype(np.int32))


def some_users(rows: Rows, most: int, rng: np.random.Generator) -> Bools:
    """About so many rows' users at most, drawn at random, bool ``[U]``; all of them where there are fewer rows."""
    share = min(1.0, most / len(rows))
    chosen: Bools = rng.permutation(rows.num_users) < max(1, round(share * rows.num_users))
    return chosen


def divided(rows: Rows, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Some rows of each user drawn at random, ``share`` of all, after the others: the others first."""
    some = rng.permutation(len(rows)) < round(share * len(rows))
    return rows.where(~some), rows.where(some)
