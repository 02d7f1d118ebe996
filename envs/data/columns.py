"""Reading a table's columns, strictly: every value is used as it is, or refused by name, value and row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.checking import shown
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

T = TypeVar("T")

LARGEST = 1e15
"""The largest reward or feature: means and squares of such numbers stay finite in float32."""


@dataclass(frozen=True)
class ColumnNames:
    """Which column of a table holds what. All but ``user`` and ``item`` are None where there is none."""

    user: str = "user"
    """Ids of users: integers or strings."""
    item: str = "item"
    """Ids of items: integers or strings."""
    reward: str | None = "reward"
    """What the response was worth: a rating, a click (0 or 1), seconds watched ... None = each row is worth 1."""
    time: str | None = None
    """When it happened, in one of the forms that ``read_times`` knows; UTC where no zone is given."""
    propensity: str | None = None
    """Probability in (0, 1] with which the policy that wrote the log showed the item."""
    split: str | None = None
    """``train`` or ``test``: the log's own training part and held-out part."""
    position: str | None = None
    """The slot in which the item was shown, counted from 1."""

    def used(self) -> list[str]:
        """The columns that are named, in the order of the fields."""
        names = [getattr(self, f.name) for f in fields(self)]
        return [name for name in names if name is not None]


class Named(Protocol):
    """Columns that are named for purposes, as ``ColumnNames`` are."""

    def used(self) -> list[str]:
        """The columns that are named."""
        ...


def check_columns(existing: Sequence[str], columns: Named, source: str) -> None:
    """Refuse names that the table of ``source`` does not have or has twice, or that are used twice.

    Raises:
        InterplayError: with the names that exist.
    """
    used = columns.used()
    for name in used:
        if name not in existing:
            raise InterplayError(f"{source}: no column {shown(name)}: {choice(map(repr, existing), repr(name))}")
        if used.count(name) > 1:
            raise InterplayError(f"{source}: column {shown(name)} is named for two purposes: name two columns")
        if f"{name}_duplicated_0" in {*existing} - {*used}:
            raise InterplayError(f"{source}: two columns are called {shown(name)}: rename one, or leave it out")


def parse_text(frame: pl.DataFrame, columns: ColumnNames) -> pl.DataFrame:
    """Give text columns of ids and times their types; all others stay text until they are checked.

    Ids become integers only if each one is written as that integer is: '007' and '7' are two users.
    """
    typed = [_integers(frame[name]) for name in (columns.user, columns.item)]
    if columns.time is not None:
        typed.append(_numbers(frame[columns.time]))
    return frame.with_columns(typed)


def read_ids(column: pl.Series, source: str) -> tuple[NDArray[np.int64], tuple[int, ...] | tuple[str, ...]]:
    """Dense numbers of ids, in their sorted order.

    Returns:
        ``(number, ids)``: int64 ``[N]`` with values in ``0..len(ids)-1``, and the ids that they stand for.
    """
    column = check_ids(column, source)
    number = (column.rank("dense").cast(pl.Int64) - 1).to_numpy()
    return number, tuple(column.unique().sort().to_list())


def check_ids(column: pl.Series, source: str) -> pl.Series:
    """The ids as integers or strings, with none missing."""
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)  # their own order is not that of the text
    if not (column.dtype.is_integer() or column.dtype == pl.String):
        raise InterplayError(f"{source}: ids of column {column.name!r} have type {column.dtype}: make them "
                             "integers or strings")
    empty = column.is_null() if column.dtype.is_integer() else column.is_null() | (column == "")
    refuse(empty, column, "but every row needs an id: fill it in or remove the row", source)
    return column


def read_numbers(column: pl.Series, source: str) -> NDArray[np.float32]:
    """Finite numbers, float32 ``[N]``; False and True count as 0 and 1. Their squares are finite, too."""
    values = floats(column, source)
    refuse(~values.is_finite(), column, "which is not a finite number: correct or remove the row", source)
    refuse(values.abs() > LARGEST, column, f"which is more than {LARGEST:g}: take another unit", source)
    return values.cast(pl.Float32).to_numpy()


def read_propensities(column: pl.Series, source: str) -> NDArray[np.float64]:
    """Probabilities in (0, 1], float64 ``[N]``."""
    values = floats(column, source)
    inside = (values > 0.0) & (values <= 1.0)
    refuse(~inside, column, "which is no propensity: give a probability above 0 and at most 1", source)
    return values.to_numpy()


def read_positions(column: pl.Series, source: str) -> NDArray[np.int64]:
    """Whole numbers from 1, int64 ``[N]``."""
    values = floats(column, source)
    refuse((values < 1.0) | (values != values.floor()) | (values > LARGEST), column,
           "which is no position: count slots from 1", source)
    return values.cast(pl.Int64).to_numpy()


def read_split(column: pl.Series, source: str) -> NDArray[np.bool_]:
    """Which rows are held out, bool ``[N]``: those that say ``test`` where others say ``train``."""
    is_text = isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum))
    word = column.cast(pl.String) if is_text else pl.repeat(None, len(column), dtype=pl.String, eager=True)
    known = word.is_in(["train", "test"]).fill_null(value=False)
    refuse(~known, column, "where the split is given: write train or test", source)
    return (word == "test").to_numpy()


def floats(column: pl.Series, source: str) -> pl.Series:
    """The column as Float64; refuses what is missing or not a number."""
    refuse(column.is_null(), column, "but every row needs a number: fill it in or remove the row", source)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String)):
        raise InterplayError(f"{source}: column {column.name!r} has type {column.dtype}: make it a column "
                             "of numbers")
    values = column.cast(pl.Float64, strict=False)
    refuse(values.is_null(), column, "which is not a number: correct or remove the row", source)
    return values


def _integers(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Int64, strict=False)
    same = number.cast(pl.String).eq_missing(text).all()
    return number if same else text


def _numbers(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    return number if number.null_count() == text.null_count() else text


class BadRowsError(InterplayError):
    """Rows with a value that cannot be used.

    Attributes:
        bad: which, bool ``[N]``.
        reason: why, as their count is called.
    """

    def __init__(self, message: str, bad: pl.Series, reason: str) -> None:
        super().__init__(message)
        self.bad, self.reason = bad, reason


def read_good_rows(frame: pl.DataFrame, read: Callable[[pl.DataFrame], T], drop_bad_rows: bool, counts: dict[str, int],
                   source: str) -> T:
    """What ``read`` makes of a table.

    Args:
        frame: the table.
        read: raises BadRowsError for the first kind of bad row.
        drop_bad_rows: whether to leave such rows out and to add them to ``counts`` by reason; else they are an error.
        counts: rows that were left out before.
        source: what the table is called in errors.

    Raises:
        InterplayError: there is a bad row, or no row is left.
    """
    while True:
        if frame.is_empty():
            lost = "; ".join(f"{count:,} {reason}" for reason, count in counts.items())
            raise InterplayError(f"{source}: there are 0 rows{f' left ({lost})' if lost else ''}: give a log with at "
                                 "least one")
        try:
            return read(frame)
        except BadRowsError as error:
            if not drop_bad_rows:
                raise InterplayError(str(error) + ("" if error.bad.all() else
                                                   ", or leave such rows out with --drop-bad-rows")) from error
            counts[error.reason] = counts.get(error.reason, 0) + int(error.bad.sum())
            frame = frame.filter(~error.bad)


def refuse(bad: pl.Series, column: pl.Series, problem: str, source: str) -> None:
    """Raise BadRowsError for the first row where ``bad`` is true, naming column, value, row and how many there are.

    Rows are counted from 1 for people; a header is not a row.
    """
    if bad.any():
        row = int(bad.arg_true()[0])
        empty = column[row] is None
        value = "nothing" if empty else shown(column[row])
        what = "is empty" if empty else problem.removeprefix("which ").partition(":")[0]
        raise BadRowsError(f"{source}: column {shown(column.name)} has {value} in row {row + 1}, {problem} "
                           f"({bad.sum():,} of {len(bad):,} rows)", bad, f"whose {column.name} {what}")
