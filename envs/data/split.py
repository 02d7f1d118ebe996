"""Splitting a log into what may be learnt from and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data.log import InteractionLog
from interplay.envs.types import InterplayError

How = Literal["random", "time", "global-time", "last", "own", "users"]

LATE = "later than the first held-out row"
"""Why ``"global-time"`` drops training rows, as their count is called."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def split_log(log: InteractionLog, held_out: float = 0.2, how: How = "random",
              seed: int = 0) -> tuple[InteractionLog, InteractionLog]:
    """Training part and held-out part, with the ids and the reward scale of the whole.

    All rows of a pair go to the same part, so that no answer of the one is known from the other.

    Args:
        log: the whole.
        held_out: share of the pairs in the held-out part, in (0, 1). Not used by ``"last"`` and ``"own"``.
        how: which pairs are held out. A pair is as old as its first row, and the log's order decides between equal
            times.
            ``"random"`` = some, drawn at random.
            ``"time"`` = the newest share of each user's.
            ``"last"`` = each user's newest alone (leave-one-out), of users with at least two.
            ``"global-time"`` = the newest of all. Training rows later than the first of them are dropped, so that
            nothing is learnt from the future; users and items may then be in one part only.
            ``"users"`` = all pairs of some users, drawn at random.
            ``"own"`` = the log's own split, less the training rows of pairs that are held out too.
        seed: of the random draw.

    Raises:
        InterplayError: a part would be empty, or the log has not what ``how`` needs.
    """
    if not 0.0 < held_out < 1.0:
        raise InterplayError(f"held_out={held_out!r} must lie between 0 and 1, both excluded")
    if how not in get_args(How):
        raise InterplayError(f"how={how!r} is no way to split a log: choose {', '.join(map(repr, get_args(How)))}")
    key, pair = np.unique(log.pair_key, return_inverse=True)
    held = _held_pairs(log, key, pair, held_out, how, seed)[pair]
    # The own split may have a pair in both parts; of any other, the held-out rows are all rows of held-out pairs.
    train, test = ~held, _own_rows(log) if how == "own" else held
    if not train.any() or not test.any():
        empty = "held-out" if train.any() else "training"
        fix = "take another split" if how == "own" else "change held_out or give a longer log"
        raise InterplayError(f"held_out={held_out} of {len(log)} rows, how={how!r}, leaves the {empty} part "
                             f"empty: {fix}")
    part = log.take(train, "in held-out pairs")
    return _before(part, log, test) if how == "global-time" else part, log.take(test, "for training")


def _held_pairs(log: InteractionLog, key: Ints, pair: Ints, held_out: float, how: How, seed: int) -> Bools:
    """Which pairs are held out, bool ``[P]``, of the distinct ones ``key [P]``, in which each row's is ``pair [N]``."""
    if how == "random":
        return np.random.default_rng(seed).permutation(len(key)) < round(held_out * len(key))
    if how == "users":
        users = np.random.default_rng(seed).permutation(np.unique(log.user))
        return np.isin(key // log.num_items, users[:round(held_out * len(users))])
    if how == "own":
        held = np.zeros(len(key), dtype=np.bool_)
        held[pair[_own_rows(log)]] = True
        return held
    age = _ages(log, pair, len(key))
    if how == "global-time":
        held = np.zeros(len(key), dtype=np.bool_)
        held[np.argsort(-age)[:round(held_out * len(key))]] = True
        return held
    if how == "last":
        return _newest_of_each(log, key, age, lambda size: np.minimum(size - 1.0, 1.0))
    return _newest_of_each(log, key, age, lambda size: held_out * size)


def _newest_of_each(log: InteractionLog, key: Ints, age: Ints,
                    count: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Bools:
    """The newest pairs of each user, bool ``[P]``: ``count`` of them, rounded down, of as many as the user has."""
    user = key // log.num_items
    order = np.lexsort((age, user))
    size = np.bincount(user, minlength=log.num_users)
    position = np.arange(len(key)) - np.repeat(np.cumsum(size) - size, size)
    # The sum keeps 0.29 * 100 = 28.999... from losing a pair.
    newest = np.floor(count(np.maximum(size, 1).astype(np.float64)) + 1e-9)[user]
    held = np.empty(len(key), dtype=np.bool_)
    held[order] = position >= size[user] - newest
    return held


def _ages(log: InteractionLog, pair: Ints, num_pairs: int) -> Ints:
    """The place of each pair's first row among all rows, oldest first, int64 ``[P]``; equal times as in the log."""
    if log.time is None:
        raise InterplayError("a split by time needs times, and this log has none: name its time column or use "
                             "how='random'")
    unknown = int(np.isnan(log.time).sum())
    if unknown:
        raise InterplayError(f"a split by time needs times, and {unknown} rows of this log have none: use how='random' "
                             "or the data set's own split")
    newest_first = np.argsort(log.time, kind="stable")[::-1]
    age = np.empty(num_pairs, dtype=np.int64)
    age[pair[newest_first]] = np.arange(len(log))[::-1]  # of a pair's rows the last one written stays: the oldest
    return age


def _own_rows(log: InteractionLog) -> Bools:
    if log.split is None:
        raise InterplayError("how='own' needs a data set with a split of its own, and this log has none: "
                             "name the column that says train or test (--split-column), or use 'random'")
    return log.split


def _before(part: InteractionLog, log: InteractionLog, test: Bools) -> InteractionLog:
    """The training part without the later rows of pairs that began before the first held-out row."""
    assert log.time is not None
    assert part.time is not None
    early = part.time <= log.time[test].min()
    return part if early.all() else part.take(early, LATE)
