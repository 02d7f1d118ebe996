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

_NEVER = 1e4  # steps after which nothing is left of what was before
_ROW_COLUMNS = ("user", "item", "reward", "session", "stay", "ends", "absent", "returned")
_LANE, _BURN_IN = 192, 64  # rows that are gone through one after the other, and rows before them that only lead in


@dataclass(frozen=True, eq=False)
class Past:
    """What came before each row: all ``M`` rows of the users in their order, also where rows are left out.

    Attributes:
        person: int64 ``[M]``, the user's number in the log.
        gap: float64 ``[M]``, steps since the user's row before, at least 1; very many for a user's first row.
        reward: float64 ``[M]``. item: int64 ``[M]``.
        row: int64 ``[N]``, which of these rows each row is.
    """

    person: Ints
    gap: Floats
    reward: Floats
    item: Ints
    row: Ints

    def where(self, kept: Bools) -> Past:
        """Of some of the ``N`` rows."""
        return replace(self, row=self.row[kept])

    def of_people(self, kept: Bools) -> Past:
        """Of the people of some of the ``M`` rows alone, which ``N`` rows are of, too."""
        columns = {name: getattr(self, name)[kept] for name in ("person", "gap", "reward", "item")}
        return replace(self, **columns, row=(np.cumsum(kept) - 1)[self.row])

    @cached_property
    def lanes(self) -> Ints:
        """The rows in lanes that can be gone through side by side, int64 ``[P, T]``.

        Each lane begins with rows of the one before, after which little is left of where it began.
        """
        first = np.arange(0, len(self.gap), _LANE)[:, None]
        found: Ints = np.clip(first + np.arange(-_BURN_IN, _LANE), 0, len(self.gap) - 1)
        return found

    @cached_property
    def place(self) -> Ints:
        """Where each of the ``N`` rows stands in ``lanes`` as one list, int64 ``[N]``."""
        lane, number = np.divmod(self.row, _LANE)
        found: Ints = lane * (_LANE + _BURN_IN) + _BURN_IN + number
        return found


@dataclass(frozen=True, eq=False)
class Rows:
    """``N`` rows of ``U`` users, user after user and by time; rows of one time stay in the log's order.

    Attributes:
        user: int64 ``[N]``, ascending, in ``0..U-1``; each user has a row.
        item: int64 ``[N]``.
        reward: float64 ``[N]``, on the scale on which the log's range is [0, 1].
        session: int64 ``[N]``, ascending.
        stay: int64 ``[N]``, the step of the session, from 1.
        ends: int8 ``[N]``, 1 = the session is over after this row, and the user comes again; 0 = it goes on; -1 = it is
            not known, since the user's activity ends or the log is interrupted.
        absent: float64 ``[N]``, steps of the absence that follows in which the user could have been seen to come back:
            what goes beyond the gap by which absences are known. 0 unless ``ends`` is 1.
        returned: bool ``[N]``, whether the user was seen to come back after them.
        people: int64 ``[U]``, the users' numbers in the log.
        num_items: I.
        open_end: bool ``[U]``, users whose last session may not have been over when the log ended.
        past: what came before each row. None where the order is not known.
        position: int64 ``[N]``, the slot of the item, from 1; None where it is not known.
        shown: int64 ``[N]``, the item in the first slot of the slate, -1 where it is not known; None = no slate is.
    """

    user: Ints
    item: Ints
    reward: Floats
    session: Ints
    stay: Ints
    ends: NDArray[np.int8]
    absent: Floats
    returned: Bools
    people: Ints
    num_items: int
    open_end: Bools
    past: Past | None = None
    position: Ints | None = None
    shown: Ints | None = None

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

    @cached_property
    def offered(self) -> Ints:
        """What users are shown first, or else what they take, int64 ``[N]``."""
        return self.item if self.shown is None else np.where(self.shown < 0, self.item, self.shown)

    @cached_property
    def offered_new(self) -> Bools:
        """Whether the user has not taken ``offered`` in an earlier row, bool ``[N]``."""
        if self.shown is None:
            return self.first
        key, begin = np.unique(self.user * self.num_items + self.item, return_index=True)
        wanted = self.user * self.num_items + self.offered
        place = np.searchsorted(key, wanted).clip(max=len(key) - 1)
        found: Bools = (key[place] != wanted) | (begin[place] >= np.arange(len(self)))
        return found

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
        columns = {name: getattr(self, name)[kept] for name in _ROW_COLUMNS}
        return replace(self, **columns, past=None if self.past is None else self.past.where(kept),
                       position=None if self.position is None else self.position[kept],
                       shown=None if self.shown is None else self.shown[kept])

    def of_users(self, kept: Bools) -> Rows:
        """All rows of some users, bool ``[U]``, with new numbers."""
        some = self.where(kept[self.user])
        people = self.people[kept]
        past = None if some.past is None else some.past.of_people(np.isin(some.past.person, people))
        return replace(some, user=(np.cumsum(kept) - 1)[some.user], people=people, open_end=self.open_end[kept],
                       past=past)

    def among(self, others: Rows) -> Rows:
        """The rows of users who have rows in ``others``, with their numbers there."""
        known = self.of_users(np.isin(self.people, others.people))
        number = np.searchsorted(others.people, known.people)
        return replace(known, user=number[known.user], people=others.people, open_end=others.open_end)


def rows_of(log: InteractionLog, gap: float, step: float | None = None) -> Rows:
    """The rows of a log.

    Args:
        log: where each user counts that has a row.
        gap: seconds without a row after which a session is over. Without the time of every row, a user has one session.
        step: seconds that a step of the market takes; None = a step is a row, and an absence takes ``AWAY`` steps.
    """
    timed = log.time is not None and not bool(np.isnan(log.time).any())
    time = log.time if timed and log.time is not None else np.zeros(len(log))
    order = np.lexsort((time, log.user))
    people, user = np.unique(log.user[order], return_inverse=True)
    time = time[order]
    last = np.r_[user[1:] != user[:-1], True]
    begins = np.r_[True, last[:-1] | (np.diff(time) > gap)]
    session, reward = np.cumsum(begins) - 1, log.scaled(log.reward).astype(np.float64)[order]
    open_end = time[last] > time.max() - gap if timed else np.zeros(len(people), dtype=np.bool_)
    own = np.flatnonzero(begins)[session]  # the row with which the session begins
    if step is None:
        stay, since = np.arange(len(user)) - own + 1, np.where(begins, 1.0 + AWAY, 1.0)
        after = _After(np.where(last, -1, np.r_[begins[1:], True]).astype(np.int8), *_by_rows(begins, last))
    else:
        stay = np.rint((time - time[own]) / step).astype(np.int64) + 1
        since, after = np.maximum(np.r_[1.0, np.diff(time) / step], 1.0), _by_clock(time, last, gap, step)
    since[np.r_[True, last[:-1]]] = _NEVER
    past = Past(people[user], since, reward, log.item[order], np.arange(len(user))) if timed else None
    return Rows(user, log.item[order], reward, session, stay, *after, people, log.num_items, open_end, past,
                None if log.position is None else log.position[order], None if log.shown is None else log.shown[order])


class _After(NamedTuple):
    """What follows on each row; see ``Rows``."""

    ends: NDArray[np.int8]
    absent: Floats
    returned: Bools


def _by_rows(begins: Bools, last: Bools) -> tuple[Floats, Bools]:
    """Absences where steps are rows: all of one length."""
    returned = np.r_[begins[1:], False] & ~last
    return AWAY * returned, returned


def _by_clock(time: Floats, last: Bools, gap: float, step: float) -> _After:
    """Sessions and absences in seconds.

    A time in which no user at all has a row for longer than ``gap`` is an interruption of the log, of which nothing is
    known: sessions that reach it are cut off, and so are absences.
    """
    every = np.sort(time)
    breaks = np.r_[every[:-1][np.diff(every) > gap], every[-1]]
    ahead = breaks[np.searchsorted(breaks, time)] - time  # until the next interruption, or the log's end
    until = np.where(last, np.inf, np.r_[np.diff(time), np.inf])
    seen = np.minimum(until, ahead)
    over = (seen > gap) & ~last
    ends = np.where(over, 1, np.where(until <= ahead, 0, -1)).astype(np.int8)
    returned = over & (until <= ahead)
    return _After(ends, np.where(over, np.maximum((seen - gap) / step, 1.0), 0.0), returned)


def some_users(rows: Rows, most: int, rng: np.random.Generator) -> Bools:
    """About so many rows' users at most, drawn at random, bool ``[U]``; all of them where there are fewer rows."""
    share = min(1.0, most / len(rows))
    chosen: Bools = rng.permutation(rows.num_users) < max(1, round(share * rows.num_users))
    return chosen


def divided(rows: Rows, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Some rows of each user drawn at random, ``share`` of all, after the others: the others first."""
    some = rng.permutation(len(rows)) < round(share * len(rows))
    return rows.where(~some), rows.where(some)
