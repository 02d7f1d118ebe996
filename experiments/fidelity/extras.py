"""Sessions and worlds, which the file of a market's own log says of its rows and a log does not keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.columns import ColumnNames
from interplay.envs.data.log import InteractionLog
from interplay.envs.data.market_log import SUFFIX
from interplay.envs.data.reading import column_names, read_frame
from interplay.envs.types import InterplayError
from interplay.experiments.fidelity.trace import Extras

FEWEST_UNITS = 10
"""Resamples of fewer say too little. Users are then drawn one by one in place of worlds."""

_MARKET_COLUMNS = ["world", "step", "user", "item", "active"]


def read_extras(path: Path, log: InteractionLog, columns: ColumnNames | None = None) -> Extras:
    """What the file of a market's own log (``interplay evaluate --export``) says beyond it: worlds, steps and presence.

    So its sessions are known as those of a market that is played. Of other tables there is nothing.

    Args:
        path: of the log.
        log: what was read from it, and may have been prepared.
        columns: of the log, if any was named: then its name says nothing.

    Raises:
        InterplayError: there is no such column, or rows were dropped in the log's preparation, so that sessions cannot
            be matched.
    """
    if columns is not None or not path.name.endswith(SUFFIX):
        return Extras()
    existing = column_names(path)
    absent = [name for name in _MARKET_COLUMNS if name not in existing]
    if absent:
        raise InterplayError(f"{path}: has no column {absent[0]!r}: write it again with evaluate --export")
    rows = read_frame(path, _MARKET_COLUMNS)
    stay = (~pl.col("active")).cast(pl.Int64).cum_sum().over("world", "user").alias("stay")
    taken = rows.with_columns(stay).filter(pl.col("item").is_not_null())
    if taken.height != len(log):
        raise InterplayError(f"{path}: has {taken.height:,} rows with an item and the prepared log {len(log):,}, so "
                             "that sessions cannot be matched: leave the preparation out")
    session = taken.select(pl.struct("world", "user", "stay").rank("dense").cast(pl.Int64)).to_series()
    order = np.lexsort((taken["step"].to_numpy(), taken["world"].to_numpy()))
    return Extras(session.to_numpy(), order, _worlds(taken))


def _worlds(taken: pl.DataFrame) -> NDArray[np.int64] | None:
    """The world of each row, if there are enough and none shares a user or an item with another."""
    counts = [taken.select(pl.col("world").n_unique().over(side).max()).item() for side in ("user", "item")]
    world = taken["world"].to_numpy().astype(np.int64)
    return world if max(counts) == 1 and taken["world"].n_unique() >= FEWEST_UNITS else None
