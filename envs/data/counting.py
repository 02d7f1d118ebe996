"""Counting the rows of a text on its bytes, as a check of any parser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.sources import Bytes
from interplay.envs.types import InterplayError

_QUOTE, _NEWLINE, _RETURN = 34, 10, 13
_BLOCK = 1 << 20
_BLANKS = (_NEWLINE, _RETURN, 32, 9)  # none begins a line that is plain


def check_rows(frame: pl.DataFrame, rows: int | None, source: Path | str) -> pl.DataFrame:
    """The frame, if it has as many rows as ``count_rows`` counted.

    Raises:
        InterplayError: it has not.
    """
    if frame.height != rows:
        counted = "quotes that are not clear" if rows is None else f"{rows:,} rows, of which {frame.height:,} were read"
        raise InterplayError(f"{source}: has {counted}: look for cells with quotes or line ends in them")
    return frame


def is_plain(data: Bytes, separator: str = ",") -> bool:
    """Whether no line is empty, begins with a blank or ends with a lone carriage return, and no blanks come in runs."""
    if len(data) and data[0] in _BLANKS:
        return False
    for start in range(0, len(data), _BLOCK):
        block = data[start:start + _BLOCK + 1]  # with what the next block begins with
        raw = block.tobytes()
        first = block[1:][block[:-1] == _NEWLINE]  # byte of each line
        if sum(map(first.tobytes().count, _BLANKS)) or raw.count(b"\r", 0, _BLOCK) != raw.count(b"\r\n"):
            return False
        if separator == " " and any(run in raw for run in (b"  ", b" \n", b" \r")):
            return False
    return True


def count_rows(data: NDArray[np.uint8], separator: str = ",", quotes: bool = True) -> int | None:
    """Rows of a delimited text, its header included: line ends outside of quotes.

    Args:
        data: the bytes.
        separator: of the fields.
        quotes: whether quotes have a meaning.

    Returns:
        None where quotes are not clear: each must open a whole field, close one, or be doubled in a quoted field.
    """
    rows, inside = 0, 0
    for start in range(0, len(data), _BLOCK):
        block = data[start:start + _BLOCK]
        raw = block.tobytes()
        if not quotes or (not inside and b'"' not in raw):
            rows += raw.count(b"\n")
            continue
        line_end, quote = block == _NEWLINE, block == _QUOTE
        if not _clear(data, start + np.flatnonzero(quote), inside, ord(separator)):
            return None
        depth = (np.cumsum(quote, dtype=np.uint8) + inside) & 1  # may overflow: only its parity is used
        rows += int(np.count_nonzero(line_end & (depth == 0)))
        inside = int(depth[-1])
    unfinished = len(data) > 0 and data[-1] != _NEWLINE
    return None if inside else rows + unfinished


def _clear(data: NDArray[np.uint8], places: NDArray[np.int64], inside: int, separator: int) -> bool:
    """Whether the quotes at ``places`` stand where fields begin and end, or beside another quote."""
    opening, closing = places[inside::2], places[1 - inside::2]
    before = data[np.maximum(opening - 1, 0)]  # at the very start this is the quote itself, which is allowed
    after = data[np.minimum(closing + 1, len(data) - 1)]
    return bool(np.isin(before, (separator, _NEWLINE, _QUOTE)).all()
                and np.isin(after, (separator, _NEWLINE, _RETURN, _QUOTE)).all())
