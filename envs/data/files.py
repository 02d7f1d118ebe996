"""What the data sets' files have in common: plain text, columns read straight into their types, lists of topics."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data.columns import ColumnNames, refuse
from interplay.envs.data.counting import check_rows, count_rows
from interplay.envs.data.features import make_features
from interplay.envs.data.reading import column_names, read_frame
from interplay.envs.messages import listed
from interplay.envs.types import InterplayError

_LINE = 10_000  # bytes of a header


def refuse_columns(columns: ColumnNames | None, name: str, path: Path) -> None:
    """Raise InterplayError if columns were named for a data set whose columns are known."""
    if columns is not None:
        raise InterplayError(f"{path}: the columns of {name} are known, but {columns} was given: leave it out")


def folder_with(path: Path, file: str) -> Path | None:
    """The folder that has ``file`` (a name or a pattern): ``path``, its ``data``, or the ``data`` of a folder in it."""
    if not path.is_dir():
        return None
    return next((folder for folder in (path, path / "data", *sorted(path.glob("*/data"))) if any(folder.glob(file))),
                None)


def first_cells(path: Path, separator: str) -> list[str]:
    """The cells of a file's first line, without quotes."""
    with path.open("rb") as file:
        return [cell.strip('"') for cell in file.readline(_LINE).decode("latin-1").strip().split(separator)]


def has_columns(path: Path, names: Iterable[str], separator: str = ",") -> bool:
    """Whether a file's first line has all of these names."""
    return set(names) <= set(first_cells(path, separator))


def read_lines(path: Path) -> list[str]:
    """Lines of UTF-8 text, or of latin-1 where it is no UTF-8; empty ones are left out."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    # Not splitlines: that would also break lines inside titles, at latin-1's byte 0x85 for one.
    return [line for line in (line.rstrip("\r") for line in text.split("\n")) if line]


def read_plain(path: Path, separator: str, names: list[str], header: bool = False) -> pl.DataFrame:
    """A file whose columns are ``names``, all as text; quotes mean nothing.

    Raises:
        InterplayError: it cannot be read, or has other columns.
    """
    data, one = path.read_bytes(), separator
    if len(separator) > 1:  # the parser knows separators of one byte
        data, one = data.replace(separator.encode(), b"\t"), "\t"
    try:
        frame = pl.read_csv(io.BytesIO(data), separator=one, has_header=header, infer_schema=False,
                            quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, error) from error
    if frame.width != len(names):
        raise InterplayError(f"{path}: has {frame.width} columns between {separator!r} where {len(names)} are needed "
                             f"({', '.join(names)}): get the file again")
    if header and frame.columns != names:
        raise InterplayError(f"{path}: its first line names {listed(frame.columns)} where {', '.join(names)} are "
                             "needed: get the file again")
    frame.columns = names
    rows = count_rows(np.frombuffer(data, dtype=np.uint8), quotes=False)
    assert rows is not None, "without quotes all is clear"
    return check_rows(frame, rows - header, path)


def read_typed(path: Path, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Some columns of a CSV with a header, parsed as they stream by, so that the text is never in memory as a whole.

    Args:
        path: the file.
        types: the columns and what they hold. Empty fields become nulls.

    Raises:
        InterplayError: a column is not there, the file is damaged, or a value is not of its column's type.
    """
    existing = column_names(path)
    for name in types:
        if name not in existing:
            raise InterplayError(f"{path}: no column {name!r}, only {listed(map(repr, existing), name)}: get the file "
                                 "again")
    try:
        return read_frame(path, list(types), types)
    except InterplayError:
        _name_bad_value(read_frame(path, list(types)), types, path.name)
        raise


def _name_bad_value(text: pl.DataFrame, types: Mapping[str, pl.DataType], source: str) -> None:
    """Raise InterplayError for the first value that has not its column's type, if that is what is wrong."""
    for name, dtype in types.items():
        bad = text[name].cast(dtype, strict=False).is_null() & text[name].is_not_null()
        refuse(bad, text[name], f"which is no {dtype}: correct or remove the row", source)


def unreadable(path: Path, error: Exception) -> InterplayError:
    """What to raise for a file that a parser refused."""
    return InterplayError(f"{path}: cannot be read ({str(error).splitlines()[0]}): get the file again")


def category_features(path: Path, id_column: str, columns: Sequence[str], ids: Sequence[int | str]) -> \
        NDArray[np.float32]:
    """Those of ``columns`` that a CSV has, as categories, numbers too: float32 ``[N, F]``.

    Codes are categories, even if they are written as numbers, and so is a code for what is not known.
    """
    existing = column_names(path)
    frame = read_typed(path, dict.fromkeys([id_column, *(name for name in columns if name in existing)], pl.String()))
    return make_features(frame, id_column, ids, path.name).values


def topic_shares(topics: Iterable[Sequence[str]]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Each item's topics, given as a list, with equal shares.

    Returns:
        ``(shares, names)``: float32 ``[I, G]`` on the simplex, and the G names, sorted as numbers if they are such.
    """
    lists = [sorted(set(item)) for item in topics]
    found = {name for item in lists for name in item}
    names = sorted(found, key=(lambda name: (int(name), name)) if all(n.isdecimal() for n in found) else None)
    place = {name: number for number, name in enumerate(names)}
    flags = np.zeros((len(lists), max(len(names), 1)), dtype=np.float32)
    for row, item in enumerate(lists):
        flags[row, [place[name] for name in item]] = 1.0
    return equal_shares(flags), tuple(names) or ("any",)


def equal_shares(flags: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flags ``[I, G]`` as rows on the simplex; an item with none gets every topic equally."""
    flags = np.where(flags.any(1, keepdims=True), flags, np.float32(1.0))
    shares: NDArray[np.float32] = flags / flags.sum(1, keepdims=True)
    return shares
