"""A user's own table as a case for off-policy evaluation: one row for each logged choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from interplay.envs.data.columns import check_columns, read_ids, read_numbers, read_propensities, refuse
from interplay.envs.data.features import make_features, standardised, typed
from interplay.envs.data.reading import column_names, read_frame
from interplay.envs.types import InterplayError
from interplay.experiments.offpolicy.feedback import BanditFeedback, Floats


@dataclass(frozen=True)
class BanditColumns:
    """Which column holds what; None or empty = there is none."""

    action: str = "item"
    reward: str = "reward"
    propensity: str = "propensity"
    unit: str | None = None
    target: str | None = None
    context: tuple[str, ...] = ()

    def used(self) -> list[str]:
        """All named columns."""
        named = (self.action, self.reward, self.propensity, self.unit, self.target)
        return [*(name for name in named if name is not None), *self.context]


class BanditTable(NamedTuple):
    """The contents of a table.

    Attributes:
        feedback: the rounds, in the table's order.
        actions: the id of each of the ``A`` actions, those that occur in the table.
        target: float64 ``[N]`` in [0, 1], the probability of the same actions under another policy; None if not given.
        target_name: its column.
    """

    feedback: BanditFeedback
    actions: tuple[int | str, ...]
    target: Floats | None
    target_name: str | None


def read_bandit(path: Path, columns: BanditColumns) -> BanditTable:
    """The choices in a CSV, TSV or Parquet file.

    Raises:
        InterplayError: a column is not there, there is no row, or a value is none that it can be.
    """
    check_columns(column_names(path), columns, path.name)
    return bandit_of(read_frame(path, columns.used()), columns, path.name)


def bandit_of(frame: pl.DataFrame, columns: BanditColumns, source: str) -> BanditTable:
    """The same of a frame; ``source`` is its name in messages."""
    check_columns(frame.columns, columns, source)
    if frame.is_empty():
        raise InterplayError(f"{source}: there are 0 rows: give a log with at least one")
    action, names = read_ids(frame[columns.action], source)
    reward = read_numbers(frame[columns.reward], source).astype(np.float64)
    feedback = BanditFeedback(
        _context(frame, columns.context, source), action, reward,
        read_propensities(frame[columns.propensity], source), len(names),
        unit=None if columns.unit is None else read_ids(frame[columns.unit], source)[0])
    target = None if columns.target is None else _chances(frame[columns.target], source)
    return BanditTable(feedback, names, target, columns.target)


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
