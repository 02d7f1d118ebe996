"""Positions and sessions, which some files say of their rows and a log does not keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.columns import ColumnNames, read_numbers, refuse
from interplay.envs.data.form import TableForm
from interplay.envs.data.log import InteractionLog
from interplay.envs.data.market_log import SUFFIX
from interplay.envs.data.reading import TableFile, column_names, read_frame
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError
from interplay.experiments.fidelity.trace import Extras

FEWEST_UNITS = 10
"""Resamples of fewer say too little. Users are then drawn one by one in place of worlds."""

_MARKET_COLUMNS = ["world", "step", "user", "item", "position", "active"]


def read_extras(path: Path, log: InteractionLog, position_column: str | None, form: TableForm | None = None,
                columns: ColumnNames | None = None) -> Extras:
    """What the file of a log says beyond it.

    A market's own log (``interplay evaluate --export``) has worlds, steps, positions and presence, so that its
    sessions are known as those of a market that is played. Of other tables the column with positions can be named.

    Args:
        path: of the log.
        log: what was read from it, and may have been prepared.
        position_column: of a table, with slots counted from 1.
        form: how the table is written; None = detected.
        columns: of the log, if any was named: then its name says nothing.

    Raises:
        InterplayError: there is no such column, a value is no slot, or rows were dropped in the log's preparation, so
            that positions cannot be matched.
    """
    if columns is None and path.name.endswith(SUFFIX):
        return _market_extras(path, log, position_column)
    if position_column is None:
        return Extras()
    table = TableFile(path, form)
    if position_column not in table.columns:
        raise InterplayError(f"position_column={position_column!r} is no column of {path.name}: "
                             f"{choice(table.columns, position_column)}")
    column = table.read([position_column]).frame[position_column]
    _same_rows(path, column.len(), log)
    number = column.cast(pl.Float64, strict=False)
    wrong = ~((number >= 1.0) & (number == number.floor())).fill_null(False)
    refuse(wrong, column, "which is no slot: slots are whole numbers from 1", path.name)
    return Extras(position=read_numbers(column, path.name).astype(np.int64))


def _market_extras(path: Path, log: InteractionLog, position_column: str | None) -> Extras:
    if position_column is not None:
        raise InterplayError(f"position_column={position_column!r}: the columns of a market's log are known: leave it "
                             "out")
    existing = column_names(path)
    absent = [name for name in _MARKET_COLUMNS if name not in existing]
    if absent:
        raise InterplayError(f"{path}: has no column {absent[0]!r}: write it again with evaluate --export")
    rows = read_frame(path, _MARKET_COLUMNS)
    stay = (~pl.col("active")).cast(pl.Int64).cum_sum().over("world", "user").alias("stay")
    taken = rows.with_columns(stay).filter(pl.col("item").is_not_null())
    _same_rows(path, taken.height, log)
    session = taken.select(pl.struct("world", "user", "stay").rank("dense").cast(pl.Int64)).to_series()
    order = np.lexsort((taken["step"].to_numpy(), taken["world"].to_numpy()))
    return Extras(taken["position"].to_numpy().astype(np.int64), session.to_numpy(), order, _worlds(taken))


def _worlds(taken: pl.DataFrame) -> NDArray[np.int64] | None:
    """The world of each row, if there are enough and none shares a user or an item with another."""
    counts = [taken.select(pl.col("world").n_unique().over(side).max()).item() for side in ("user", "item")]
    world = taken["world"].to_numpy().astype(np.int64)
    return world if max(counts) == 1 and taken["world"].n_unique() >= FEWEST_UNITS else None


def _same_rows(path: Path, found: int, log: InteractionLog) -> None:
    if found != len(log):
        raise InterplayError(f"{path}: has {found:,} rows with an item and the prepared log {len(log):,}, so that "
                             "positions cannot be matched: leave the preparation (or position_column) out")
