"""What a log and a market have in common: users, the items they took, sessions and rewards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.pairs import are_new

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trace:
    """``N`` responses, oldest first.

    Attributes:
        user, item: int64 ``[N]`` in ``0..num_users-1`` and ``0..num_items-1``; those without rows count too.
        reward: float64 ``[N]`` on the scale of the market, on which the log's range is [0, 1].
        session: int64 ``[N]``, a number for each session, in any order.
        num_users, num_items: U and I.
        position: int64 ``[N]``, the slot of the item, from 1; None where that is not known.
        topics: float64 ``[I, G]``, each row on the simplex; None where items have no topics.
        cluster: int64 ``[U]`` in ``0..``, users that are drawn as one when the trace is resampled: those of a world
            with people and items of its own. None = each user alone.
        item_owner: int64 ``[I]``, a user of the item's own world; None = all share one catalogue.
    """

    user: Ints
    item: Ints
    reward: Floats
    session: Ints
    num_users: int
    num_items: int
    position: Ints | None = None
    topics: Floats | None = None
    cluster: Ints | None = None
    item_owner: Ints | None = None

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def sessions(self) -> tuple[Ints, Ints]:
        """Number of responses and user of each session: int64 ``[S]`` and ``[S]``."""
        _, first, length = np.unique(self.session, return_index=True, return_counts=True)
        return length, self.user[first]

    @cached_property
    def levels(self) -> tuple[Floats, Ints]:
        """The distinct rewards, ascending, and the place among them of each row's."""
        level, place = np.unique(self.reward, return_inverse=True)
        return level, place

    @cached_property
    def repeated(self) -> Bools:
        """Whether the user took the item in an earlier row, bool ``[N]``."""
        return ~are_new(self.user, self.item, self.num_items)

    @cached_property
    def activity(self) -> Ints:
        """Responses of each user, int64 ``[U]``."""
        return np.bincount(self.user, minlength=self.num_users)

    @cached_property
    def topic_breadth(self) -> Floats:
        """The effective number of topics that each user took over G, float64 ``[U]`` in [1/G, 1]; NaN without rows.

        The effective number is exp of Shannon's entropy (Hill, "Diversity and evenness", Ecology 1973, order 1).
        """
        assert self.topics is not None
        columns = [np.bincount(self.user, weights=column[self.item], minlength=self.num_users)
                   for column in self.topics.T]
        total = np.stack(columns, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = total / total.sum(1, keepdims=True)
            entropy = -np.where(share > 0.0, share * np.log(share), 0.0).sum(1)
        return np.where(self.activity > 0, np.exp(entropy) / self.topics.shape[1], np.nan)

    def one_session_a_user(self) -> Trace:
        """The same with one session for each user."""
        return replace(self, session=self.user)

    def of_users(self, kept: Bools) -> Trace:
        """The rows of some users, bool ``[U]``, with new numbers.

        Raises:
            InterplayError: users have items of their own world.
        """
        if self.cluster is not None or self.item_owner is not None:
            raise InterplayError("split='users' needs users who share their items, and this log was written by several "
                                 "worlds: take another split")
        row, number = kept[self.user], np.cumsum(kept) - 1
        return replace(self, user=number[self.user[row]], item=self.item[row], reward=self.reward[row],
                       session=self.session[row], num_users=int(kept.sum()),
                       position=None if self.position is None else self.position[row])


class Extras(NamedTuple):
    """Columns of a log's file beyond the log, for each of its ``N`` rows; None where they are missing.

    Attributes:
        session: int64 ``[N]``, a number for each session.
        order: int64 ``[N]``, the rows from the oldest to the newest.
        world: int64 ``[N]``, the world of the row, where each has users and items of its own.
    """

    session: Ints | None = None
    order: Ints | None = None
    world: Ints | None = None


def log_trace(log: InteractionLog, scale: tuple[float, float], gap: float,
              extras: Extras | None = None) -> Trace:
    """A log as a trace, by time; rows of one time stay in the log's order.

    Args:
        log: with any ids.
        scale: the rewards that are 0 and 1 in the market.
        gap: seconds without a response after which a new session begins. Without times, or where some are not known
            (``times_known``), a user has one session.
        extras: what else is known; its sessions take precedence over times.

    Raises:
        InterplayError: ``scale`` is no range, ``gap`` is not above 0, or the log has no row.
    """
    low, high = scale
    if not low < high:
        raise InterplayError(f"log: rewards from {low:g} to {high:g} do not vary: give a log where they "
                             "differ, or say what the scale is (--reward-range 0 1)")
    if not gap > 0.0:
        raise InterplayError(f"gap={gap} must be above 0, in seconds")
    if len(log) == 0:
        raise InterplayError("log: there are 0 rows: give one with at least one")
    extras = extras or Extras()
    order, session = extras.order, extras.session
    if order is None:
        order = np.arange(len(log)) if log.time is None else np.argsort(log.time, kind="stable")
    if session is None:
        session = _sessions(log, gap) if times_known(log) else log.user
    position = None if log.position is None else log.position[order]
    topics = None if log.item_topics is None or log.num_topics < 2 else log.item_topics.astype(np.float64)
    reward = (log.reward.astype(np.float64) - low) / (high - low)
    cluster, owner = (None, None) if extras.world is None else _nested(log, extras.world)
    return Trace(log.user[order], log.item[order], reward[order], session[order], log.num_users, log.num_items,
                 position, topics, cluster, owner)


def _nested(log: InteractionLog, world: Ints) -> tuple[Ints, Ints]:
    """The world of each user and a user for each item: ``[U]`` and ``[I]``."""
    cluster, owner = np.zeros(log.num_users, dtype=np.int64), np.zeros(log.num_items, dtype=np.int64)
    cluster[log.user], owner[log.item] = np.unique(world, return_inverse=True)[1], log.user
    return cluster, owner


def times_known(log: InteractionLog) -> bool:
    """Whether every row has a time."""
    return log.time is not None and not bool(np.isnan(log.time).any())


def _sessions(log: InteractionLog, gap: float) -> Ints:
    """A number for each row's session, int64 ``[N]``: a user's rows, as long as no two in a row are ``gap`` apart."""
    assert log.time is not None
    order = np.lexsort((log.time, log.user))
    user, time = log.user[order], log.time[order]
    begins = np.r_[True, (np.diff(user) != 0) | (np.diff(time) > gap)]
    session = np.empty(len(log), dtype=np.int64)
    session[order] = np.cumsum(begins) - 1
    return session
