"""Texts that are not plain, as Python's csv module reads them: comments, empty lines, odd quotes, rows too long."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from interplay.envs.checking import shown
from interplay.envs.data.form import Layout, split_lines, trimmed
from interplay.envs.data.sources import Bytes
from interplay.envs.types import InterplayError

_OPEN = "with a quote that is not closed in its line"
_LONG = "with more cells than the header"


@dataclass
class Lines:
    """Rows written as a CSV that any parser reads alike, with what is not in it.

    Attributes:
        table: the CSV, whose header numbers the columns from 0, since parsers keep quotes in names as they are.
        dropped: bad rows by reason.
        skipped: lines that are no rows, by kind.
    """

    table: io.BytesIO
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def read_lines_of(data: Bytes, layout: Layout, names: Sequence[str], source: str, *, one_a_line: bool,
                  drop: bool) -> Lines:
    """The columns ``names`` of a text.

    Args:
        data: UTF-8.
        layout: how it is written.
        names: of the columns.
        source: what the text is called in errors.
        one_a_line: whether each line is a row, as where quotes are not clear.
        drop: whether bad rows are counted and left out.

    Raises:
        InterplayError: a row is bad and ``drop`` is False, or a line may be a row or a comment.
        csv.Error: the text is no table.
    """
    found, written = Lines(io.BytesIO()), io.StringIO(newline="")
    places = [layout.columns.index(name) for name in names]
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(range(len(names)))
    number, first = 0, ""
    lines = _without_comments(data.tobytes().decode(), layout, source, found.skipped, one_a_line)
    for row, open_quote in _rows(lines, layout, found.skipped, one_a_line):
        number += 1
        problem = _OPEN if open_quote else _LONG if any(row[len(layout.columns):]) else ""
        if problem:
            found.dropped[problem] += 1
            first = first or _refusal(problem, number, row, layout)
        else:
            writer.writerow([row[place] if place < len(row) else "" for place in places])
    if first and not drop:
        raise InterplayError(f"{source}: {first} ({found.dropped.total():,} of {number:,} rows), or leave "
                             "such rows out with --drop-bad-rows")
    found.table = io.BytesIO(written.getvalue().encode())
    return found


def _rows(lines: Iterator[str], layout: Layout, skipped: Counter[str],
          one_a_line: bool) -> Iterator[tuple[list[str], bool]]:
    """Rows behind the header, and whether a quote in them is not closed. Lines that are no rows are counted."""
    split = _each_line(lines, layout) if one_a_line else (
        (row, False) for row in split_lines(lines, layout.separator, layout.quotes, layout.padded))
    header = layout.header
    for row, open_quote in split:
        if len(layout.columns) > 1 and not any(cell.strip() for cell in row) and len(row) < 2:
            skipped["empty"] += 1
        elif header:
            header = False
        else:
            yield trimmed(row, layout.separator), open_quote


def _without_comments(text: str, layout: Layout, source: str, skipped: Counter[str],
                      one_a_line: bool) -> Iterator[str]:
    """The other lines. One that goes on with a quoted cell is no comment."""
    inside = begun = False
    for line in io.StringIO(text, newline=""):
        if not layout.comment or inside or not line.startswith(layout.comment):
            inside ^= layout.quotes and not one_a_line and line.count('"') % 2 == 1
            begun = begun or bool(line.strip())
            yield line
        elif layout.comment_guessed and begun and line.count(layout.separator) == len(layout.columns) - 1:
            raise InterplayError(f"{source}: the line {shown(line.strip())} may be a row or a comment: give --comment "
                                 f"'' if it is a row, or --comment {layout.comment!r}")
        else:
            skipped["comment"] += 1


def _each_line(lines: Iterator[str], layout: Layout) -> Iterator[tuple[list[str], bool]]:
    """Each line as a row of its own, and whether a quote in it is not closed."""
    for line in lines:
        reader = split_lines(iter([line, ""]), layout.separator, layout.quotes, layout.padded)
        row = next(reader)
        yield row, reader.line_num > 1


def _refusal(problem: str, number: int, row: list[str], layout: Layout) -> str:
    """What a message says of the first bad row."""
    text = shown(",".join(row))
    if problem == _OPEN:
        return (f"row {number}, {text}, has a quote that its line does not close: double the quotes that belong to a "
                "text, and put others around it, or give --no-quotes")
    return (f"row {number} has {len(row)} fields, {text}, where the header has {len(layout.columns)}: correct it, or "
            f"put quotes around text with {layout.separator!r}")
