"""Logs of interactions: users, items and responses. Checked when they are made, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.columns import (
    ColumnNames,
    check_columns,
    read_good_rows,
    read_ids,
    read_positions,
    read_propensities,
    read_split,
)
from interplay.envs.data.features import check_features, count_features
from interplay.envs.data.form import TableForm
from interplay.envs.data.rewards import Rewards, read_rewards
from interplay.envs.data.times import read_times
from interplay.envs.types import InterplayError

Ids = tuple[int, ...] | tuple[str, ...]

_ROW_FIELDS = ("user", "item", "reward", "time", "propensity", "split", "position", "shown")


class Pairs(NamedTuple):
    """The distinct (user, item) pairs of a log, ``P`` of them, by user and then by item.

    Attributes:
        key: int64 ``[P]``, ``user * num_items + item``, ascending.
        reward: float64 ``[P]``, the mean raw reward of the pair's rows.
        rows: int64 ``[P]``, how many rows that is.
    """

    key: NDArray[np.int64]
    reward: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class LogSummary:
    """What a log holds, and what became of every row that was read.

    Attributes:
        rows_read: rows of the source.
        dropped: rows that are not in this log, counted by reason.
        num_users, num_items: distinct ids.
        density: share of all (user, item) pairs that occur.
        repeated_pairs, repeated_rows: pairs that occur more than once, and the rows they have together.
        reward_range: lowest and highest reward of the scale (the whole log's, also in one part of it).
        ids: how the ids were numbered.
        time_range: first and last time in unix seconds, None without times.
        untimed: rows whose time is not known, where others' are.
        features: how many there are of users and items, and how many have none.
        notes: lines on how the source was written.
    """

    rows_read: int
    dropped: Mapping[str, int]
    num_users: int
    num_items: int
    density: float
    repeated_pairs: int
    repeated_rows: int
    reward_range: tuple[float, float]
    ids: str
    time_range: tuple[float, float] | None
    features: str
    untimed: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items()) or "none"
        repeats = f"{self.repeated_pairs:,} pairs in {self.repeated_rows:,} rows, averaged unless prepared otherwise"
        low, high = self.reward_range
        lines = [*self.notes, f"rows     {self.rows_read:,} read; dropped: {dropped}",
                 f"size     {self.num_users:,} users x {self.num_items:,} items, density {self.density:.3%}",
                 f"repeats  {repeats if self.repeated_pairs else 'none'}",
                 f"rewards  {low:g} to {high:g}",
                 f"ids      {self.ids}"]
        if self.time_range is not None:
            without = f"; {self.untimed:,} rows without" if self.untimed else ""
            lines.append("times    {} to {}".format(*(_date(second) for second in self.time_range)) + without)
        if self.features:
            lines.append(f"features {self.features}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """``N`` responses of ``U`` users to ``I`` items. ``make_log`` makes one from a table.

    Attributes:
        user, item: int64 ``[N]``, dense numbers in ``0..U-1`` and ``0..I-1``.
        reward: float32 ``[N]``, in the source's own units.
        user_ids, item_ids: the source's ids by dense number; users and items without rows keep theirs.
        reward_range: lowest and highest reward of the scale; what [0, 1] stands for in a market.
        time: float64 ``[N]``, unix seconds; NaN where a public data set does not know it.
        propensity: float64 ``[N]`` in (0, 1].
        split: bool ``[N]``, the source's own held-out rows.
        position: int64 ``[N]``, the slot in which the item was shown, from 1.
        shown: int64 ``[N]``, the item in the first slot of the slate from which the row's item was taken, -1 where it
            is not known.
        item_topics: float32 ``[I, G]``, each row on the simplex. topic_names: their ``G`` names.
        titles: ``I`` names of items for people; may repeat.
        user_features, item_features: float32 ``[U, F]`` and ``[I, F]`` in the source's own units, NaN for what is not
            known. No reward may go into them. ``read_features`` reads them from a table.
        dropped: rows of the source that are not in this log, counted by reason.
        notes: lines on how the source was written, for the summary.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    reward: NDArray[np.float32]
    user_ids: Ids
    item_ids: Ids
    reward_range: tuple[float, float]
    time: NDArray[np.float64] | None = None
    propensity: NDArray[np.float64] | None = None
    split: NDArray[np.bool_] | None = None
    position: NDArray[np.int64] | None = None
    shown: NDArray[np.int64] | None = None
    item_topics: NDArray[np.float32] | None = None
    topic_names: tuple[str, ...] | None = None
    titles: tuple[str, ...] | None = None
    user_features: NDArray[np.float32] | None = None
    item_features: NDArray[np.float32] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {**dict.fromkeys(_ROW_FIELDS, len(self.user)), "user_features": self.num_users,
                 "item_topics": self.num_items, "titles": self.num_items, "item_features": self.num_items}
        for name, size in sizes.items():
            value = getattr(self, name)
            if value is not None and len(value) != size:
                raise InterplayError(f"log: {name} has {len(value)} rows where {size} are needed: make them agree")
        check_features(self.user_features, "user_features")
        check_features(self.item_features, "item_features")
        low, high = self.reward_range
        wrong = self.reward[(self.reward < np.float32(low)) | (self.reward > np.float32(high))]
        if len(wrong):
            raise InterplayError(f"log: reward {wrong[0]:g} lies outside reward_range=({low:g}, {high:g}): "
                                 "widen the range")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        """U, users with and without rows."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """I, items with and without rows."""
        return len(self.item_ids)

    @property
    def num_topics(self) -> int:
        """G; 1 where the log knows no topics."""
        return 1 if self.item_topics is None else int(self.item_topics.shape[1])

    @property
    def pair_key(self) -> NDArray[np.int64]:
        """int64 ``[N]``, one number for each row's (user, item): ``user * num_items + item``."""
        return self.user * np.int64(self.num_items) + self.item

    def pairs(self) -> Pairs:
        """The distinct pairs, repeated ones averaged."""
        key, inverse, count = np.unique(self.pair_key, return_inverse=True, return_counts=True)
        return Pairs(key, np.bincount(inverse, weights=self.reward) / count, count)

    def scaled(self, reward: NDArray[np.floating]) -> NDArray[np.float32]:
        """Raw rewards, mapped linearly so that ``reward_range`` becomes [0, 1].

        Raises:
            InterplayError: the range is a single value, which says nothing about better and worse.
        """
        low, high = self.reward_range
        if not low < high:
            raise InterplayError(f"log: every reward is {low:g}, so none is better than another: say what the "
                                 "scale is with reward_range (--reward-range 0 1)")
        return ((reward - low) / (high - low)).astype(np.float32)

    def take(self, rows: NDArray[np.bool_], otherwise: str) -> InteractionLog:
        """The rows where ``rows [N]`` is True, with the same ids; the others are counted as ``otherwise``."""
        columns = {name: getattr(self, name) for name in _ROW_FIELDS}
        kept = {name: column[rows] for name, column in columns.items() if column is not None}
        lost = int((~rows).sum())
        dropped = {**self.dropped, otherwise: self.dropped.get(otherwise, 0) + lost} if lost else self.dropped
        return replace(self, **kept, dropped=dropped)

    def summary(self) -> LogSummary:
        """What there is, and what became of every row."""
        rows = self.pairs().rows
        repeated = rows[rows > 1]
        return LogSummary(
            rows_read=len(self) + sum(self.dropped.values()), dropped=dict(self.dropped),
            num_users=self.num_users, num_items=self.num_items,
            density=len(rows) / (self.num_users * self.num_items),
            repeated_pairs=len(repeated), repeated_rows=int(repeated.sum()), reward_range=self.reward_range,
            ids=f"users {_span(self.user_ids)}; items {_span(self.item_ids)}; numbered from 0 in this order",
            time_range=None if self.time is None else (float(np.nanmin(self.time)), float(np.nanmax(self.time))),
            notes=self.notes, untimed=0 if self.time is None else int(np.isnan(self.time).sum()),
            features="; ".join(count_features(values, name) for values, name in (
                (self.user_features, "users"), (self.item_features, "items")) if values is not None))


def make_log(frame: pl.DataFrame, columns: ColumnNames | None = None, source: str = "table",
             dropped: Mapping[str, int] | None = None, form: TableForm | None = None) -> InteractionLog:
    """A log from a table with one response in each row. A pair may occur in many rows.

    Args:
        frame: the table.
        columns: which of its columns holds what; others are not read.
        source: what the table is called in errors.
        dropped: rows that were left out before, counted by reason, for the summary.
        form: how rewards and times are written, and whether bad rows are dropped.

    Raises:
        InterplayError: a column is unknown, there is no row, or a value cannot be used; nothing is skipped, unless the
            form asks for it, and then it is counted.
    """
    columns, form, counts = columns or ColumnNames(), form or TableForm(), dict(dropped or {})
    check_columns(frame.columns, columns, source)
    return read_good_rows(frame, lambda rows: _checked_log(rows, columns, source, counts, form), form.drop_bad_rows,
                          counts, source)


def _checked_log(frame: pl.DataFrame, columns: ColumnNames, source: str, dropped: Mapping[str, int],
                 form: TableForm) -> InteractionLog:
    """The log of a table; raises BadRowsError for the first kind of bad row."""
    user, user_ids = read_ids(frame[columns.user], source)
    item, item_ids = read_ids(frame[columns.item], source)
    reward = _rewards(frame, columns, source, form)
    time = None if columns.time is None else read_times(frame[columns.time], source, form.time_format)
    forms = {"rewards": reward.form, "times": time.form if time is not None else ""}
    notes = tuple(f"form     {name}: {text}" for name, text in forms.items() if text)
    low, high = float(reward.values.min()), float(reward.values.max())
    if form.reward_map is not None:
        low = min(low, 0.0)  # what words say happened; nothing of it is worth 0
    return InteractionLog(
        user, item, reward.values, user_ids, item_ids, (0.0, 1.0) if columns.reward is None else (low, high),
        time=None if time is None else time.seconds,
        propensity=None if columns.propensity is None else read_propensities(frame[columns.propensity], source),
        split=None if columns.split is None else read_split(frame[columns.split], source),
        position=None if columns.position is None else read_positions(frame[columns.position], source),
        dropped=dropped, notes=notes)


def _rewards(frame: pl.DataFrame, columns: ColumnNames, source: str, form: TableForm) -> Rewards:
    if columns.reward is None:
        return Rewards(np.ones(frame.height, dtype=np.float32), "none in the table: the log is implicit, each row is "
                                                               "worth 1")
    return read_rewards(frame[columns.reward], source, form.reward_map, form.decimal_comma)


def _span(ids: Ids) -> str:
    kind = "integers, sorted by number" if isinstance(ids[0], int) else "strings, sorted by code point"
    return f"{ids[0]!r} to {ids[-1]!r} ({kind})"


def _date(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
