"""Any CSV, TSV or Parquet file with named columns."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, check_columns, parse_text
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.data.reading import EXTENSIONS, column_names, read_frame


def read_table(path: Path | str, user: str = "user", item: str = "item", reward: str = "reward",
               time: str | None = None, propensity: str | None = None, split: str | None = None) -> InteractionLog:
    """A log from a CSV, TSV or Parquet file, one response in each row.

    Args:
        path: the file; its extension says what it is.
        user: the column of users' ids.
        item: the column of items' ids.
        reward: the column of rewards.
        time: the column of times, if there is one.
        propensity: the column of propensities, if there is one.
        split: the column that says train or test, if there is one. ``ColumnNames`` says what each may hold.

    Raises:
        InterplayError: the file is missing or unreadable, or ``make_log`` refuses it.
    """
    return _read(Path(path), ColumnNames(user, item, reward, time, propensity, split))


class TableData(DataSet):
    """A table of responses. Columns that are not named are ``user``, ``item`` and ``reward``.

    ``time`` and ``propensity`` are then read too where they exist.
    """

    name: ClassVar[str] = "table"
    fallback: ClassVar[bool] = True

    def matches(self, path: Path) -> bool:
        """By extension."""
        return path.suffix.lower() in EXTENSIONS

    def read(self, path: Path, columns: ColumnNames | None) -> InteractionLog:
        """The columns named, or the defaults."""
        return _read(path, columns)


def _read(path: Path, columns: ColumnNames | None) -> InteractionLog:
    """The columns that are needed only."""
    existing = column_names(path)
    columns = columns or _defaults(existing)
    check_columns(existing, columns, path.name)
    frame = read_frame(path, columns.used())
    return make_log(frame if path.suffix.lower() == ".parquet" else parse_text(frame, columns), columns, path.name)


def _defaults(existing: list[str]) -> ColumnNames:
    return ColumnNames(time="time" if "time" in existing else None,
                       propensity="propensity" if "propensity" in existing else None)
