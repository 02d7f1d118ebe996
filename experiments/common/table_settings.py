"""Settings of how a log's table is read, which all commands on logs have."""

from __future__ import annotations

from dataclasses import dataclass

from interplay.envs.data import ColumnNames, TableForm
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Need, when

LOGGED = Need(lambda s: s.log is not None, "it is about a log: give one with --log, or leave it out")
_FORM = Need(lambda s: s.log is not None, "it is about a log's table: name one, or leave it out")
_NO_HEADER = Need(lambda s: s.log is not None and not s.header,
                  "a header names the columns: add --no-header if the table has none, or leave it out")


@dataclass(frozen=True)
class FormSettings:
    """How a log's table is written. What is not given is detected, and a line says what. Subclasses have ``log``."""

    header: bool = when(_FORM, True)
    """Whether the first line of the log names its columns."""
    columns: tuple[str, ...] | None = when(_NO_HEADER, None)
    """Names of all columns of a log without header, in their order, such as user item reward time."""
    separator: str | None = when(_FORM, None)
    """What stands between cells: a character, or comma, tab, semicolon, bar or blank. By default detected."""
    encoding: str | None = when(_FORM, None)
    """Encoding of the text, such as latin-1. By default detected."""
    quotes: bool = when(_FORM, True)
    """Whether double quotes around a cell have a meaning."""
    comment: str | None = when(_FORM, None)
    """What comment lines begin with. By default # if the first line begins with it."""
    time_format: str | None = when(_FORM, None)
    """How times are written: s, ms, us, ns or days since 1970, or a form such as %d/%m/%Y. By default detected."""
    reward_map: tuple[str, ...] | None = when(_FORM, None)
    """What words of the reward column are worth, such as view=1 cart=2 buy=4."""
    decimal_comma: bool = when(_FORM, False)
    """Take commas in rewards as decimal where they could also be for thousands."""
    drop_bad_rows: bool = when(_FORM, False)
    """Leave out rows that cannot be used, such as those with an empty cell, and count them by reason."""

    def form(self) -> TableForm:
        """How the table is written.

        Raises:
            InterplayError: the reward map has an entry that is not WORD=NUMBER.
        """
        words = None if self.reward_map is None else dict(map(_worth, self.reward_map))
        return TableForm(self.separator, self.encoding, self.header, self.columns, self.quotes, self.comment,
                         self.decimal_comma, self.time_format, words, self.drop_bad_rows)


@dataclass(frozen=True)
class TableSettings(FormSettings):
    """Which columns a log has and how it is written."""

    user_column: str = when(LOGGED, "user")
    """Column of the log with the user's id."""
    item_column: str = when(LOGGED, "item")
    """Column of the log with the item's id."""
    reward_column: str = when(LOGGED, "reward")
    """Column of the log with the reward (a rating, a click); none = each row is worth 1."""
    time_column: str | None = when(LOGGED, None)
    """Column of the log with the time, if any. If no column is named, a column called time is used."""
    propensity_column: str | None = when(LOGGED, None)
    """Column of the log with the propensity, if any."""
    position_column: str | None = when(LOGGED, None)
    """Column of the log with the slot in which the item was shown, counted from 1, if any."""

    def column_names(self, split: str | None = None) -> ColumnNames:
        """The columns; ``split`` is the one that says train or test."""
        return ColumnNames(self.user_column, self.item_column, self.reward_column, self.time_column,
                           self.propensity_column, split, self.position_column)

    def named_columns(self, split: str | None = None) -> ColumnNames | None:
        """The columns, if any is named; the name of a file whose columns are named says nothing."""
        columns = self.column_names(split)
        return None if columns == ColumnNames() else columns


def _worth(entry: str) -> tuple[str, float]:
    word, _, number = entry.rpartition("=")
    try:
        return word, float(number)
    except ValueError as error:
        raise InterplayError(f"--reward-map {entry}: give a word and what it is worth, such as view=1") from error
