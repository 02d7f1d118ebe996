"""Reading a table from a file. No row is lost: rows are counted independently of the parser.

The parser (polars) is fast, and drops rows silently where quotes do not follow RFC 4180, as in ``lamp 12"``. So quotes
are checked first, on the bytes. Where they are not clear, Python's csv module reads the file, a row from each line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.checking import shown
from interplay.envs.types import InterplayError

EXTENSIONS = (".csv", ".tsv", ".parquet")

_QUOTE, _NEWLINE, _RETURN = 34, 10, 13
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


def column_names(path: Path) -> list[str]:
    """The columns of a CSV, TSV or Parquet file; its extension says what it is.

    Raises:
        InterplayError: there is no such file, or it is no table.
    """
    with _readable(path):
        if _is_parquet(path):
            return pl.scan_parquet(path).collect_schema().names()
        return pl.read_csv(_written([next(_records(path), [])]), infer_schema=False).columns


def read_frame(path: Path, names: Sequence[str] | None = None,
               types: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """Columns of a CSV, TSV or Parquet file.

    Args:
        path: the file.
        names: of the columns to read; by default all.
        types: of columns of CSV and TSV; the others are text. Empty cells are null, quoted or not.

    Raises:
        InterplayError: there is no such file, it is no table, it is damaged, or rows would be lost.
    """
    with _readable(path):
        return _read_parquet(path, names) if _is_parquet(path) else _read_text(path, names, types or {})


def check_rows(frame: pl.DataFrame, rows: int | None, path: Path) -> pl.DataFrame:
    """The frame, if it has as many rows as ``count_rows`` counted.

    Raises:
        InterplayError: it has not.
    """
    if frame.height != rows:
        counted = "quotes that are not clear" if rows is None else f"{rows:,} rows, of which {frame.height:,} were read"
        raise InterplayError(f"{path}: has {counted}: look for cells with quotes or line ends in them")
    return frame


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
        line_end, quote = block == _NEWLINE, block == _QUOTE
        if quotes and (inside or quote.any()):
            if not _clear(data, start + np.flatnonzero(quote), inside, ord(separator)):
                return None
            depth = (np.cumsum(quote, dtype=np.uint8) + inside) & 1  # may overflow: only its parity is used
            line_end &= depth == 0
            inside = int(depth[-1])
        rows += int(np.count_nonzero(line_end))
    unfinished = len(data) > 0 and data[-1] != _NEWLINE
    return None if inside else rows + unfinished


def _clear(data: NDArray[np.uint8], places: NDArray[np.int64], inside: int, separator: int) -> bool:
    """Whether the quotes at ``places`` stand where fields begin and end, or beside another quote."""
    opening, closing = places[inside::2], places[1 - inside::2]
    before = data[np.maximum(opening - 1, 0)]  # at the very start this is the quote itself, which is allowed
    after = data[np.minimum(closing + 1, len(data) - 1)]
    return bool(np.isin(before, (separator, _NEWLINE, _QUOTE)).all()
                and np.isin(after, (separator, _NEWLINE, _RETURN, _QUOTE)).all())


def _bytes_of(path: Path) -> NDArray[np.uint8]:
    """The file's bytes without a byte-order mark, read from disk as they are used."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint8)
    data: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
    return data[3:] if data[:3].tobytes() == _BYTE_ORDER_MARK else data


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Checks the path, and turns errors of parsers into one that names it."""
    kind = path.suffix.lower()
    if kind not in EXTENSIONS:
        raise InterplayError(f"{path}: extension {kind!r} is not known: save the table as {', '.join(EXTENSIONS)}")
    if not path.is_file():
        raise InterplayError(f"{path}: there is no such file: check the path")
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # bytes that the locale does not know
        raise InterplayError(f"{path}: the locale lacks letters of this name: set PYTHONUTF8=1, or rename it")
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeError, csv.Error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InterplayError(f"{path}: cannot be read as {kind[1:]} ({reason}): check that the file is whole, and that "
                             "text is in UTF-8") from error


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _separator(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _read_parquet(path: Path, names: Sequence[str] | None) -> pl.DataFrame:
    table = pl.scan_parquet(path)
    return check_rows(table.select(names or pl.all()).collect(), table.select(pl.len()).collect().item(), path)


def _read_text(path: Path, names: Sequence[str] | None, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    # All as text but what has a type: guessing types would make '007' and '7' one user.
    how: dict[str, Any] = {"infer_schema": False, "schema_overrides": dict(types), "null_values": ""}
    rows = count_rows(_bytes_of(path), _separator(path))
    if rows is None:
        return pl.read_csv(_written(_chosen(path, names)), **how)
    try:
        table = pl.scan_csv(path, separator=_separator(path), **how)
        frame = table.select(names or pl.all()).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        for _ in _records(path):  # raises for a row that is too long, and names it
            pass
        raise
    return check_rows(frame, rows - 1, path)


def _chosen(path: Path, names: Sequence[str] | None) -> Iterator[list[str]]:
    """The header and the rows of these columns, a row from each line."""
    existing = column_names(path)
    names = names or existing
    places = [existing.index(name) for name in names]
    yield list(names)
    for row in islice(_records(path, one_a_line=True), 1, None):
        yield [row[place] if place < len(row) else "" for place in places]


def _records(path: Path, one_a_line: bool = False) -> Iterator[list[str]]:
    """The rows as Python's csv module reads them, the header first.

    Raises:
        InterplayError: a row has more fields than the header, or more than a line where each should have one.
    """
    separator, width = _separator(path), 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter=separator)):
            width = width or len(row)
            if one_a_line and any("\n" in cell for cell in row):
                raise InterplayError(f"{path}: row {number}, {shown(','.join(row))}, has a quote that its line "
                                     "does not close: double the quotes that belong to a text, and put others around "
                                     "it")
            if len(row) > width:
                raise InterplayError(f"{path}: row {number} has {len(row)} fields, {shown(','.join(row))}, where "
                                     f"the header has {width}: correct it, or put quotes around text with "
                                     f"{separator!r}")
            yield row


def _written(rows: Iterable[Sequence[str]]) -> io.BytesIO:
    """Rows as CSV with clear quotes."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return io.BytesIO(text.getvalue().encode())
