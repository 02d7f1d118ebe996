"""How a table of text is written: separator, header, quotes, comments. What is not given is detected from its start."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from interplay.envs.data.sources import Bytes
from interplay.envs.types import InterplayError

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", "::": "double colon", "\x01": "control-A",
              " ": "blank"}
"""What is looked for between cells, and its name. Blanks count only if nothing else is found."""

_NAMED = {"comma": ",", "tab": "\t", "\\t": "\t", "semicolon": ";", "bar": "|", "blank": " "}
class Reader(Protocol):
    """What ``csv.reader`` makes."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


_STAND_IN = "\x1f"
"""Replaces a separator of two characters, since parsers know separators of one."""
_COMMENT = "#"
_NEWLINE, _RETURN = 10, 13
_LINE = 1 << 16  # bytes in which a line end is looked for first


@dataclass(frozen=True)
class TableForm:
    """How a table is read. None = detected from the file."""

    separator: str | None = None
    """Between cells: one of ``SEPARATORS``, their names, or another character."""
    encoding: str | None = None
    """Of the text, by the name that Python has for it."""
    header: bool = True
    """Whether the first line names the columns."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a table without header."""
    quotes: bool = True
    """Whether double quotes around a cell have a meaning."""
    comment: str | None = None
    """What lines begin with that are no rows; by default # if the first line begins with it. Empty = there are none."""
    decimal_comma: bool = False
    """Whether commas in rewards are decimal even where they could be for thousands."""
    time_format: str | None = None
    """Of times: s, ms, us, ns or days since 1970, or a form such as %d/%m/%Y."""
    reward_map: Mapping[str, float] | None = None
    """What words of the reward column are worth."""
    drop_bad_rows: bool = False
    """Whether rows that cannot be used are left out and counted, where they would otherwise be an error."""


class Layout(NamedTuple):
    """How one text is written.

    Attributes:
        separator: one character.
        shown: the separator's name for people.
        quotes: whether quotes have a meaning.
        header: whether the first line names the columns.
        columns: all names.
        preamble: comment lines and empty lines before the header or the first row.
        comment: what comment lines begin with; empty = there are none.
        comment_guessed: whether that was detected.
        padded: whether cells have blanks around them, which do not belong to them.
        row_names: whether rows begin with a cell that the header has no name for.
    """

    separator: str
    shown: str
    quotes: bool
    header: bool
    columns: list[str]
    preamble: int
    comment: str
    comment_guessed: bool
    padded: bool
    row_names: bool

    @property
    def looks_like_data(self) -> bool:
        """Whether a cell of the header is a number, as cells of rows are."""
        return self.header and any(is_number(name) for name in self.columns)


def one_character(data: Bytes, layout: Layout) -> Bytes:
    """The text with separators and line ends of one character, where it has none of these."""
    if layout.separator == _STAND_IN:
        data = np.frombuffer(data.tobytes().replace(b"::", _STAND_IN.encode()), dtype=np.uint8)
    if (data[:_LINE] == _NEWLINE).any() or (data == _NEWLINE).any():
        return data
    return np.where(data == _RETURN, np.uint8(_NEWLINE), data)


def detect(text: str, complete: bool, form: TableForm, source: str) -> Layout:
    """The layout of a text.

    Args:
        text: its start.
        complete: whether that is all of it.
        form: what is known.
        source: what the table is called in errors.

    Raises:
        InterplayError: the names that were given do not fit, or there is nothing in it.
    """
    lines = text.splitlines(keepends=True) if complete else text.splitlines(keepends=True)[:-1] or [text]
    comment = _comment(lines) if form.comment is None else form.comment
    start = 0
    while start < len(lines) and (not lines[start].strip() or (comment and lines[start].startswith(comment))):
        start += 1
    rest = [line for line in lines[start:] if not (comment and line.startswith(comment))]
    if not rest:
        raise InterplayError(f"{source}: there is no line with a row in it: check that the file is whole")
    separator = _separator(rest, form)
    quotes = form.quotes and separator != "::"
    if separator == "::":
        separator, rest = _STAND_IN, [line.replace("::", _STAND_IN) for line in rest]
    padded = separator != " " and _padded([row for row in split_lines(rest, separator, quotes=False) if row])
    rows = [row for row in split_lines(rest, separator, quotes, padded) if row]
    rows = rows if complete or len(rows) < 2 else rows[:-1]
    shown = SEPARATORS.get("::" if separator == _STAND_IN else separator, repr(separator))
    names, row_names = _names(rows, form, source)
    return Layout(separator, shown, quotes, form.header, names, start, comment, form.comment is None, padded, row_names)


def split_lines(lines: Iterable[str], separator: str, quotes: bool, padded: bool = False) -> Reader:
    """Rows of cells, as Python's csv module has them; ``padded`` allows for blanks before a cell and its quotes."""
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
                      skipinitialspace=padded or separator == " ")


def trimmed(row: list[str], separator: str) -> list[str]:
    """The row without the empty cell behind blanks at the end of its line."""
    return row[:-1] if separator == " " and len(row) > 1 and not row[-1] else row


def is_number(text: str) -> bool:
    """Whether the text is written as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def _comment(lines: list[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return _COMMENT if first.startswith(_COMMENT) else ""


def _separator(lines: list[str], form: TableForm) -> str:
    """The one that fits best; of equals, the first."""
    if form.separator is not None:
        return _NAMED.get(form.separator, form.separator)
    return max(SEPARATORS, key=lambda separator: _fit(lines, separator, form.quotes))


def _fit(lines: list[str], separator: str, quotes: bool) -> tuple[bool, bool, float, int]:
    """How well a separator fits: whether most rows have the header's number of cells, which share, how many cells.

    Blanks stand in texts and times, too, so that they come last.
    """
    one, texts = separator, lines
    if separator == "::":
        one, texts = _STAND_IN, [line.replace("::", _STAND_IN) for line in lines]
    header, *widths = [len(trimmed(row, one)) for row in split_lines(texts, one, quotes and one != _STAND_IN) if row]
    if header < 2:
        return False, separator != " ", 0.0, 0
    common, count = Counter(widths or [header]).most_common(1)[0]
    share = count / max(len(widths), 1)
    return common in (header, header + 1) and share >= 0.5, separator != " ", round(share, 1), header


def _names(rows: list[list[str]], form: TableForm, source: str) -> tuple[list[str], bool]:
    """The columns' names, and whether rows begin with a cell without one."""
    first = rows[0]
    if not form.header:
        width = Counter(map(len, rows)).most_common(1)[0][0]
        names = list(form.columns) if form.columns is not None else [f"column_{n + 1}" for n in range(width)]
        if len(set(names)) < len(names):
            raise InterplayError(f"{source}: columns={form.columns!r} has a name twice: give each column its own")
        if len(names) != width:
            raise InterplayError(f"{source}: rows have {width} cells, but {len(names)} columns are named: name "
                                 "all in their order")
        return names, False
    names = _distinct([name.strip() for name in first])
    row_names = len(rows) > 1 and all(len(row) == len(names) + 1 and row[0] == str(number) and row[-1]
                                      for number, row in enumerate(rows[1:], 1))  # as R writes them
    return ["", *names] if row_names else names, row_names


def _distinct(names: list[str]) -> list[str]:
    """The names; one that occurs again is called name_duplicated_0 and so on, as polars calls it."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(f"{name}_duplicated_{seen[name] - 1}" if seen[name] else name)
        seen[name] += 1
    return found


def _padded(rows: list[list[str]]) -> bool:
    """Whether blanks stand around a name, or around the cells of some column in every row. Quotes are in the cells."""
    def blank(cell: str) -> bool:
        bare = cell.strip()
        return cell.rstrip("\r\n") != bare != "" and ('"' not in bare or (len(bare) > 1 and bare[0] == bare[-1] == '"'))

    cells = list(zip(*rows[1:], strict=False)) if len(rows) > 1 else []
    return any(map(blank, rows[0])) or any(all(map(blank, column)) for column in cells)
