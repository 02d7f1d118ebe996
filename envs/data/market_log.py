"""What happened in a market, as ``interplay evaluate --export NAME.market.parquet`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, check_columns
from interplay.envs.data.files import refuse_columns
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.data.reading import column_names, read_frame

SUFFIX = ".market.parquet"
"""What the file's name ends with."""

_COLUMNS = ColumnNames(time="step", position="position")


class MarketLog(DataSet):
    """Every step of every user that took an item. The time is the step, since a market's clock has no date.

    The propensity is that of whole slates, and so not the log's, which is of single items.
    """

    name: ClassVar[str] = "market-log"

    def matches(self, path: Path) -> bool:
        """By the end of the name."""
        return path.name.endswith(SUFFIX)

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The rows with an item; the others are counted as dropped."""
        refuse_columns(columns, self.name, path)
        check_columns(column_names(path), _COLUMNS, path.name)
        rows = read_frame(path, _COLUMNS.used())
        taken = rows.filter(pl.col("item").is_not_null())
        skipped = rows.height - taken.height
        return make_log(taken, _COLUMNS, path.name, {"in which a user took nothing": skipped} if skipped else {})
