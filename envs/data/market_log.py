"""What happened in a market, as ``interplay evaluate --export NAME.market.parquet`` writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, check_columns
from interplay.envs.data.files import refuse_columns
from interplay.envs.data.log import Ids, InteractionLog, make_log
from interplay.envs.data.reading import column_names, read_frame

SUFFIX = ".market.parquet"
"""What the file's name ends with."""

_SLATE = "slate"
_COLUMNS = ColumnNames(time="step", position="position")


class MarketLog(DataSet):
    """Every step of every user that took an item. The time is the step, since a market's clock has no date.

    Slates say what was shown, if the file has them.

    The propensity is that of whole slates, and so not the log's, which is of single items.
    """

    name: ClassVar[str] = "market-log"

    def matches(self, path: Path) -> bool:
        """By the end of the name."""
        return path.name.endswith(SUFFIX)

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The rows with an item; the others are counted as dropped."""
        refuse_columns(columns, self.name, path)
        existing = column_names(path)
        check_columns(existing, _COLUMNS, path.name)
        slates = [_SLATE] if _SLATE in existing else []
        rows = read_frame(path, [*_COLUMNS.used(), *slates])
        taken = rows.filter(pl.col("item").is_not_null())
        skipped = rows.height - taken.height
        log = make_log(taken, _COLUMNS, path.name, {"in which a user took nothing": skipped} if skipped else {})
        return replace(log, shown=_first(taken[_SLATE], log.item_ids)) if slates else log


def _first(slates: pl.Series, item_ids: Ids) -> NDArray[np.int64]:
    """The first item of each slate by its dense number, int64 ``[N]``; -1 for those that no user took."""
    number = {item: place for place, item in enumerate(item_ids)}
    return np.array([number.get(item, -1) for item in slates.list.first()], dtype=np.int64)
