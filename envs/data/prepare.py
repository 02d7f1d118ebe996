"""Preparing a log before it is split: one visible chain of steps, each of which says what it took away and why.

The order is that of ``Preparation``'s fields: repeated pairs, clipping, threshold, k-core, scale of rewards. Steps
that learn from rewards would carry held-out ones into training: there is one, the users' means, and it comes after
the split (``centre_users``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data.log import Ids, InteractionLog
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

Duplicates = Literal["keep", "mean", "sum", "first", "last"]
Scale = Literal["none", "log", "range", "user"]


@dataclass(frozen=True)
class Preparation:
    """What is done to a log; the defaults do nothing.

    Raises:
        InterplayError: a value that it cannot have.
    """

    duplicates: Duplicates = "keep"
    """Rows of one pair: all kept (markets then average them), or one instead, with their mean or sum, or the first or
    last of them by time (by the log's order where times are equal or unknown). A data set's own held-out rows and the
    others are never mixed."""
    clip: tuple[float, float] | None = None
    """Lowest and highest reward; what lies beyond is set to the nearer one, and the scale ends there."""
    implicit_above: float | None = None
    """Rewards above this become 1, all others 0. No row is dropped: what was seen and not liked is known, too."""
    k_core: int = 0
    """The largest part in which every user and every item has at least this many pairs; the rest is dropped, held-out
    pairs included in the count."""
    scale: Scale = "none"
    """``"log"`` = log(1 + reward), for counts; ``"range"`` = the scale becomes [0, 1]; ``"user"`` = each user's mean in
    the training part is subtracted, after the split."""
    reward_range: tuple[float, float] | None = None
    """The scale of the rewards that ``duplicates`` leaves; None = the sums' lowest and highest, or else the log's."""

    def __post_init__(self) -> None:
        for name, value, known in (("duplicates", self.duplicates, Duplicates), ("scale", self.scale, Scale)):
            if value not in get_args(known):
                raise InterplayError(f"{name}={value!r} is not known: {choice(get_args(known), value)}")
        if self.k_core < 0:
            raise InterplayError(f"k_core={self.k_core} must be at least 0, which keeps all")
        if self.clip is not None and not -np.inf < self.clip[0] < self.clip[1] < np.inf:
            raise InterplayError(f"clip={self.clip} must be a lowest reward and a higher one, both finite")
        if self.implicit_above is not None and not np.isfinite(self.implicit_above):
            raise InterplayError(f"implicit_above={self.implicit_above} must be a finite number")


def prepare(log: InteractionLog, settings: Preparation) -> tuple[InteractionLog, list[str]]:
    """The prepared log and a line for each step that was taken.

    Raises:
        InterplayError: a step would leave nothing, or rewards of which none is better than another.
    """
    notes = []
    for name, step in _steps(settings):
        before, (log, what) = log, step(log)
        notes.append(f"{name:<10} {what}; took away {_difference(before, log)}")
    return log, notes


Step = Callable[[InteractionLog], "tuple[InteractionLog, str]"]


def _steps(settings: Preparation) -> list[tuple[str, Step]]:
    """The steps that are switched on, by name, in their order."""
    steps: list[tuple[str, Step]] = []
    if settings.duplicates != "keep":
        steps.append(("duplicates", lambda log: _one_row_a_pair(log, settings)))
    if settings.clip is not None:
        low, high = settings.clip
        steps.append(("clip", lambda log: _clipped(log, low, high)))
    if settings.implicit_above is not None:
        threshold = settings.implicit_above
        steps.append(("implicit", lambda log: _implicit(log, threshold)))
    if settings.k_core > 1:
        steps.append(("k-core", lambda log: _core(log, settings.k_core)))
    if settings.scale in ("log", "range"):
        steps.append(("scale", _logarithmic if settings.scale == "log" else _unit_range))
    return steps


def centre_users(train: InteractionLog, test: InteractionLog) -> tuple[InteractionLog, InteractionLog, str]:
    """Both parts less each user's mean reward in the training part, and a line that says so.

    Users without training rows are given the mean of all. The scale is as wide as these means and the old scale make
    it, and depends on no held-out reward.
    """
    count = np.bincount(train.user, minlength=train.num_users)
    total = np.bincount(train.user, weights=train.reward, minlength=train.num_users)
    mean = np.where(count > 0, total / np.maximum(count, 1), train.reward.mean(dtype=np.float64))
    low, high = train.reward_range
    scale = (float(low - mean.max()), float(high - mean.min()))
    parts = [replace(part, reward=(part.reward - mean[part.user]).astype(np.float32), reward_range=scale)
             for part in (train, test)]
    unseen = int((count == 0).sum())
    rest = f" ({unseen:,} users without training rows: that of all)" if unseen else ""
    note = f"{'scale':<10} less each user's mean reward in the training part{rest}; took away nothing"
    return parts[0], parts[1], note


def _one_row_a_pair(log: InteractionLog, settings: Preparation) -> tuple[InteractionLog, str]:
    how = settings.duplicates
    own = np.zeros(len(log), dtype=np.bool_) if log.split is None else log.split
    key = 2 * log.pair_key + own
    kept = np.zeros(len(log), dtype=np.bool_)
    kept[_outermost(log, key, last=how == "last")] = True
    taken = log.take(kept, "repeats of a pair")
    if how in ("mean", "sum"):
        _, group, count = np.unique(key, return_inverse=True, return_counts=True)
        total = np.bincount(group, weights=log.reward)
        value = (total if how == "sum" else total / count)[group[kept]].astype(np.float32)
        scale = settings.reward_range or (
            log.reward_range if how == "mean" else (float(value.min()), float(value.max())))
        taken = replace(taken, reward=value, reward_range=scale)
    return taken, f"one row for each pair, {how}"


def _outermost(log: InteractionLog, key: NDArray[np.int64], last: bool) -> NDArray[np.int64]:
    """Places of the first or last row of each key by time; rows whose time is unknown count as the oldest."""
    order = np.arange(len(log))
    if log.time is not None:
        order = np.argsort(np.where(np.isnan(log.time), -np.inf, log.time), kind="stable")
    if last:
        order = order[::-1]
    _, first = np.unique(key[order], return_index=True)
    return order[first]


def _clipped(log: InteractionLog, low: float, high: float) -> tuple[InteractionLog, str]:
    scale = (max(low, log.reward_range[0]), min(high, log.reward_range[1]))
    if not scale[0] < scale[1]:
        raise InterplayError(f"clip=({low:g}, {high:g}) leaves one reward, as the log's lie between "
                             f"{log.reward_range[0]:g} and {log.reward_range[1]:g}: move it")
    moved = int(((log.reward < np.float32(low)) | (log.reward > np.float32(high))).sum())
    reward = np.clip(log.reward, np.float32(scale[0]), np.float32(scale[1]))
    return replace(log, reward=reward, reward_range=scale), f"{moved:,} rewards set to {low:g} or {high:g}"


def _implicit(log: InteractionLog, threshold: float) -> tuple[InteractionLog, str]:
    liked = log.reward > np.float32(threshold)
    if liked.all() or not liked.any():
        raise InterplayError(f"implicit_above={threshold:g}: {'every' if liked.all() else 'no'} reward of "
                             f"{log.reward_range[0]:g} to {log.reward_range[1]:g} lies above it: move it")
    share = replace(log, reward=liked.astype(np.float32), reward_range=(0.0, 1.0))
    return share, f"{int(liked.sum()):,} rewards above {threshold:g} are 1, {int((~liked).sum()):,} are 0"


def _core(log: InteractionLog, k: int) -> tuple[InteractionLog, str]:
    """Users and items with too few pairs go in turns until none is left that has too few."""
    key = _distinct(log.pair_key)
    rounds = 0
    while True:
        user, item = key // log.num_items, key % log.num_items
        enough_u = np.bincount(user, minlength=log.num_users) >= k
        enough_i = np.bincount(item, minlength=log.num_items) >= k
        stays = enough_u[user] & enough_i[item]
        if stays.all():
            break
        key, rounds = key[stays], rounds + 1
    if len(key) == 0:
        raise InterplayError(f"k_core={k} leaves nothing of {log.num_users} users and {log.num_items} items: lower it")
    rows = enough_u[log.user] & enough_i[log.item]
    return _only(log.take(rows, f"outside the {k}-core"), enough_u, enough_i), \
        f"at least {k} pairs for each user and item, after {rounds} rounds"


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted, each once. ``np.unique`` hashes: for 25 million values it took 51 s here, and this 0.9 s."""
    ordered = np.sort(values)
    once: NDArray[np.int64] = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return once


def _only(log: InteractionLog, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> InteractionLog:
    """The log without the users and items where these bools ``[U]`` and ``[I]`` are False. They have no rows."""
    def rows_of(table: NDArray[np.float32] | None, kept: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        return None if table is None else table[kept]

    titles = None if log.titles is None else tuple(log.titles[place] for place in np.flatnonzero(items))
    return replace(log, user=(np.cumsum(users) - 1)[log.user], item=(np.cumsum(items) - 1)[log.item],
                   user_ids=_ids(log.user_ids, users), item_ids=_ids(log.item_ids, items), titles=titles,
                   item_topics=rows_of(log.item_topics, items), user_features=rows_of(log.user_features, users),
                   item_features=rows_of(log.item_features, items))


def _ids(ids: Ids, kept: NDArray[np.bool_]) -> Ids:
    return tuple(ids[place] for place in np.flatnonzero(kept))  # type: ignore[return-value]  # all of one type


def _logarithmic(log: InteractionLog) -> tuple[InteractionLog, str]:
    low, high = log.reward_range
    if low <= -1.0:
        raise InterplayError(f"scale='log': the rewards begin at {low:g}, but log(1 + reward) needs them above -1: "
                             "clip them or use 'range'")
    scale = (float(np.log1p(low)), float(np.log1p(high)))
    # In float64, as the scale is, so that rounding leaves no reward outside it.
    reward = np.log1p(log.reward.astype(np.float64)).astype(np.float32)
    return replace(log, reward=reward, reward_range=scale), f"log(1 + reward), {scale[0]:.3g} to {scale[1]:.3g}"


def _unit_range(log: InteractionLog) -> tuple[InteractionLog, str]:
    low, high = log.reward_range
    return replace(log, reward=log.scaled(log.reward), reward_range=(0.0, 1.0)), f"{low:g} to {high:g} became 0 to 1"


def _difference(before: InteractionLog, after: InteractionLog) -> str:
    """``"12 rows, 3 users, 1 items"``, or ``"nothing"``."""
    counts = ((len(before) - len(after), "rows"), (before.num_users - after.num_users, "users"),
              (before.num_items - after.num_items, "items"))
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing"
