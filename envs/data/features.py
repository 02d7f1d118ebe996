"""Features: what is known of users and items besides the log, from a table with one row for each id.

No reward goes into them, held out or not: they are as much there before the first response as after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.checking import shown
from interplay.envs.data.columns import check_ids, read_numbers, refuse
from interplay.envs.data.reading import TableFile
from interplay.envs.messages import listed
from interplay.envs.types import InterplayError

MAX_CATEGORIES = 50
"""A text column with more categories is refused: it is likelier a name or a code than a kind."""

_NAMED = 8  # columns that the note names


class Features(NamedTuple):
    """The features of a log's users, or of its items.

    Attributes:
        values: float32 ``[N, F]``, a row for each id of the log; NaN for ids that the table has no row for.
        note: a line that says what was read and what ignored.
    """

    values: NDArray[np.float32]
    note: str


def read_features(path: Path | str, id_column: str, ids: Sequence[int | str]) -> Features:
    """The features of ``ids`` from a CSV, TSV or Parquet file.

    Args:
        path: the file; its extension says what it is. In CSV and TSV, columns of numbers are numbers.
        id_column: the column of ids; every other column is a feature.
        ids: those of a log.

    Raises:
        InterplayError: the file is missing or unreadable, or ``make_features`` refuses it.
    """
    path = Path(path)
    table = TableFile(path).read()
    frame = table.frame if table.typed else typed(table.frame, id_column)
    return make_features(frame, id_column, ids, path.name)


def make_features(frame: pl.DataFrame, id_column: str, ids: Sequence[int | str], source: str = "table") -> Features:
    """The features of ``ids`` from a table. Numbers stay as they are; text and booleans become a column per category.

    Ids are compared as they are written, so '007' is not 7. Rows of other ids are checked and then ignored.

    Args:
        frame: the table, one row for each id.
        id_column: the column of ids; every other column is a feature.
        ids: those of a log.
        source: what the table is called in errors.

    Raises:
        InterplayError: there is no id or no feature column, an id occurs twice, no row is of any of ``ids``, a value
            is missing or not finite, or a column has more than ``MAX_CATEGORIES`` categories.
    """
    if id_column not in frame.columns:
        raise InterplayError(f"{source}: no column {shown(id_column)} to find the log's ids in, only "
                             f"{listed(map(repr, frame.columns), id_column)}: call it as the log does")
    columns = frame.drop(id_column).get_columns()
    if not columns:
        raise InterplayError(f"{source}: has no column beside {id_column!r}: add one for each feature")
    place = _places(frame[id_column], ids, source)
    known = place >= 0
    blocks = [_block(column, known, source) for column in columns]
    values = np.full((len(ids), sum(block.shape[1] for block in blocks)), np.nan, dtype=np.float32)
    values[place[known]] = np.column_stack(blocks)
    return Features(values, f"{source}: {_note(columns, blocks, int((~known).sum()))}")


def typed(frame: pl.DataFrame, id_column: str) -> pl.DataFrame:
    """A table in which columns of numbers that are written as text have become numbers, except for the ids."""
    return frame.with_columns([_numbers(column) for column in frame.get_columns() if column.name != id_column])


def check_features(values: NDArray[np.float32] | None, name: str) -> None:
    """Raise InterplayError unless ``values`` are features ``[N, F]``, NaN where nothing is known, or None."""
    if values is not None and (values.ndim != 2 or np.isinf(values).any()):
        raise InterplayError(f"log: {name} of shape {values.shape} must have two axes and no infinite number: correct "
                             "it, with NaN for what is not known")


def num_features(values: NDArray[np.float32] | None) -> int:
    """F; 0 where there are none."""
    return 0 if values is None else int(values.shape[1])


def count_features(values: NDArray[np.float32], whose: str) -> str:
    """How many features there are, and of how many nothing is known, for a log's summary."""
    absent = int(np.isnan(values).all(1).sum()) if values.shape[1] > 0 else 0
    given = f" ({absent:,} {whose} without any are given the mean)" if absent > 0 else ""
    return f"{values.shape[1]} of {whose}{given}"


def standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features ``[N, F]`` as agents see them: each column with mean 0 and standard deviation 1, a constant one 0.

    Columns of nothing but 0 and 1 stay as they are, since a rare category would become a huge number. What is not
    known (NaN) is given the mean of the column.
    """
    columns = [_standardised(column) for column in values.T.astype(np.float64)]
    return np.array(columns, dtype=np.float32).reshape(values.shape[::-1]).T


def _standardised(column: NDArray[np.float64]) -> NDArray[np.float64]:
    known = column[~np.isnan(column)]
    if len(known) == 0 or known.min() == known.max():
        return np.zeros_like(column)
    mean = known.mean()
    filled = np.where(np.isnan(column), mean, column)
    return filled if np.isin(known, (0.0, 1.0)).all() else np.asarray((filled - mean) / known.std())


def _numbers(column: pl.Series) -> pl.Series:
    """The column as numbers if all are; codes such as '007' are categories, as they are ids."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    text = column.cast(pl.String)
    number = text.cast(pl.Float64, strict=False)
    code = text.str.contains(r"^[+-]?0\d").any()
    return text if code or number.null_count() > text.null_count() else number


def _places(column: pl.Series, ids: Sequence[int | str], source: str) -> NDArray[np.int64]:
    """The number of each row's id in the log, int64 ``[R]``; -1 for ids that the log does not have."""
    found = check_ids(column, source).cast(pl.String)
    refuse(~found.is_first_distinct(), column, "which has a row already: leave one row for each id", source)
    number = {str(name): place for place, name in enumerate(ids)}
    places = np.array([number.get(name, -1) for name in found.to_list()], dtype=np.int64)
    if not (places >= 0).any():
        raise InterplayError(f"{source}: none of the {len(places)} ids in column {column.name!r} is one of the log's, "
                             f"such as {shown(ids[0])}: write them as the log does")
    return places


def _block(column: pl.Series, known: NDArray[np.bool_], source: str) -> NDArray[np.float32]:
    """A column's features in the rows that are ``known``, float32 ``[R, 1]`` or ``[R, number of categories]``."""
    if column.dtype.is_numeric():
        return read_numbers(column, source)[known, None]
    if column.dtype not in (pl.String, pl.Boolean) and not isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        raise InterplayError(f"{source}: column {column.name!r} has type {column.dtype}: make it numbers or text, or "
                             "leave it out")
    text = column.cast(pl.String)
    refuse(text.is_null() | (text == ""), column, "but every row needs a value: fill it in or remove the row", source)
    text = text.filter(pl.Series(known))
    count = text.n_unique()
    if count > MAX_CATEGORIES:
        raise InterplayError(f"{source}: column {column.name!r} has {count} categories, more than {MAX_CATEGORIES}: "
                             "leave it out, group them into fewer, or correct what is no number if they should be")
    one_hot: NDArray[np.float32] = np.eye(count, dtype=np.float32)[(text.rank("dense").cast(pl.Int64) - 1).to_numpy()]
    return one_hot


def _note(columns: list[pl.Series], blocks: list[NDArray[np.float32]], surplus: int) -> str:
    names = [column.name if column.dtype.is_numeric() else f"{column.name} ({block.shape[1]} categories)"
             for column, block in zip(columns, blocks, strict=True)]
    named = ", ".join([*names[:_NAMED], "..."] if len(names) > _NAMED else names)
    ignored = f"; ignored {surplus:,} rows of ids that the log lacks" if surplus > 0 else ""
    return f"{sum(block.shape[1] for block in blocks)} features from {named}{ignored}"
