"""Any table with named columns: text, JSON lines or Parquet, packed or not, or a folder of parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from interplay.envs.data.base import DataSet
from interplay.envs.data.columns import ColumnNames, check_columns, parse_text
from interplay.envs.data.form import TableForm
from interplay.envs.data.log import InteractionLog, make_log
from interplay.envs.data.reading import TableFile
from interplay.envs.data.sources import part_files
from interplay.envs.types import InterplayError


class TableData(DataSet):
    """A table of responses. Columns that are not named are ``user``, ``item`` and ``reward``.

    ``time`` and ``propensity`` are then read too where they exist.
    """

    name: ClassVar[str] = "table"
    fallback: ClassVar[bool] = True

    def matches(self, path: Path) -> bool:
        """A file, or a folder with tables."""
        return path.is_file() or (path.is_dir() and bool(part_files(path)))

    def takes(self, columns: ColumnNames | None) -> bool:
        """Any."""
        return True

    def read(self, path: Path, columns: ColumnNames | None, form: TableForm | None = None) -> InteractionLog:
        """The columns named, or the defaults, and no others."""
        table = TableFile(path, form)
        columns = _resolved(columns or _defaults(table.columns), table, path.name)
        rows = table.read(columns.used())
        frame = rows.frame if rows.typed else parse_text(rows.frame, columns)
        log = make_log(frame, columns, path.name, rows.dropped, form)
        return replace(log, notes=(f"form     {'; '.join(rows.notes)}", *log.notes))


def _defaults(existing: list[str]) -> ColumnNames:
    return ColumnNames(time="time" if "time" in existing else None,
                       propensity="propensity" if "propensity" in existing else None)


def _resolved(columns: ColumnNames, table: TableFile, source: str) -> ColumnNames:
    """The columns, of which the table has every one. A table of nothing but users and items has no rewards.

    Raises:
        InterplayError: one is not there.
    """
    others = [name for name in columns.used() if name != columns.reward]
    if columns.reward is not None and columns.reward not in table.columns and (
            columns.reward == "none" or not set(table.columns) - {*others, ""}):
        columns = replace(columns, reward=None)
    absent = next((name for name in columns.used() if name not in table.columns), None)
    if absent is not None and table.looks_like_data:
        raise InterplayError(f"{source}: no column {absent!r}, and the first row looks like data, not like names: if "
                             "it is a row, give --no-header --columns user item reward ..., all columns in their "
                             "order, or --guess-columns, which takes likely ones")
    try:
        check_columns(table.columns, columns, source)
    except InterplayError as error:
        raise InterplayError(f"{error}, or take likely ones with --guess-columns, as interplay log FILE shows "
                             "them") from error
    return columns
