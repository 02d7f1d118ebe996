"""A user's own table as a case for off-policy evaluation: one row for each logged choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from interplay.envs.data.columns import check_columns, read_good_rows, read_ids, read_numbers, read_propensities, refuse
from interplay.envs.data.features import make_features, standardised, typed
from interplay.envs.data.form import TableForm
from interplay.envs.data.reading import TableFile
from interplay.envs.data.rewards import read_rewards
from interplay.envs.data.times import read_times
from interplay.envs.types import InterplayError
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats, Integers


@dataclass(frozen=True)
class BanditColumns:
    """Which column holds what; None or empty = there is none."""

    action: str = "item"
    reward: str = "reward"
    propensity: str = "propensity"
    unit: str | None = None
    target: str | None = None
    context: tuple[str, ...] = ()
    time: str | None = None

    def used(self) -> list[str]:
        """All named columns."""
        named = (self.action, self.reward, self.propensity, self.unit, self.target, self.time)
        return [*(name for name in named if name is not None), *self.context]


class BanditTable(NamedTuple):
    """The contents of a table.

    Attributes:
        feedback: the rounds, oldest first; in the table's order where it has no times, or equal ones.
        actions: the id of each of the ``A`` actions, those that occur in the table.
        target: float64 ``[N]`` in [0, 1], the probability of the same actions under another policy; None if not given.
        target_name: its column.
        order: int64 ``[N]``, which row of the table each round is, without those that were left out.
        notes: lines on how the table was written, and which rows were left out.
    """

    feedback: BanditFeedback
    actions: tuple[int | str, ...]
    target: Floats | None
    target_name: str | None
    order: Integers
    notes: tuple[str, ...] = ()


def read_bandit(path: Path, columns: BanditColumns, form: TableForm | None = None) -> BanditTable:
    """The choices in a table.

    Raises:
        InterplayError: a column is not there, there is no row, or a value is none that it can be.
    """
    file = TableFile(path, form)
    try:
        check_columns(file.columns, columns, path.name)
    except InterplayError as error:
        raise InterplayError(f"{error}; say where it is, such as with --action-column, --reward-column and "
                             "--propensity-column") from error
    rows = file.read(columns.used())
    read = bandit_of(rows.frame, columns, path.name, form, rows.dropped)
    return read._replace(notes=(f"form     {'; '.join(rows.notes)}", *read.notes))


def bandit_of(frame: pl.DataFrame, columns: BanditColumns, source: str, form: TableForm | None = None,
              dropped: Mapping[str, int] | None = None) -> BanditTable:
    """The same of a frame; ``source`` is its name in messages, ``dropped`` counts rows that were left out before."""
    check_columns(frame.columns, columns, source)
    known, counts = form or TableForm(), dict(dropped or {})
    read = read_good_rows(frame, lambda rows: _checked(rows, columns, source, known), known.drop_bad_rows, counts,
                          source)
    lost = [f"dropped  {count:,} rows {reason}" for reason, count in counts.items()]
    return read._replace(notes=(*read.notes, *lost))


def _checked(frame: pl.DataFrame, columns: BanditColumns, source: str, form: TableForm) -> BanditTable:
    """The choices; raises BadRowsError for the first kind of bad row."""
    notes, order = list[str](), np.arange(frame.height)
    if columns.time is not None:
        times = read_times(frame[columns.time], source, form.time_format)
        order, notes = np.argsort(times.seconds, kind="stable"), [f"form     times: {times.form}"]
        frame = frame[order]
    action, names = read_ids(frame[columns.action], source)
    reward = read_rewards(frame[columns.reward], source, form.reward_map, form.decimal_comma)
    feedback = BanditFeedback(
        _context(frame, columns.context, source), action, reward.values.astype(np.float64),
        read_propensities(frame[columns.propensity], source), len(names),
        unit=None if columns.unit is None else read_ids(frame[columns.unit], source)[0])
    target = None if columns.target is None else _chances(frame[columns.target], source)
    notes += [f"form     rewards: {reward.form}"] if reward.form else []
    return BanditTable(feedback, names, target, columns.target, order, tuple(notes))


def _context(frame: pl.DataFrame, names: tuple[str, ...], source: str) -> Floats:
    """Numbers standardised and text as categories, ``[N, F]``: as features of users and items are read."""
    if not names:
        return np.zeros((frame.height, 0))
    row = "row of the table"
    numbered = typed(frame.select(names).with_row_index(row), row)
    return standardised(make_features(numbered, row, range(frame.height), source).values).astype(np.float64)


def _chances(column: pl.Series, source: str) -> Floats:
    values = read_numbers(column, source).astype(np.float64)
    refuse(pl.Series((values < 0.0) | (values > 1.0)), column, "which is no probability: give one from 0 to 1", source)
    return values
