"""Reading a table from a file, a packed file or a folder of parts. Rows are counted independently of the parser.

The parser (polars) is fast, and drops rows silently where quotes do not follow RFC 4180, as in ``lamp 12"``. So quotes
and line ends are checked first, on the bytes. Where they are not plain, Python's csv module reads the text.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from interplay.envs.checking import shown
from interplay.envs.data.counting import check_rows, count_rows, is_plain
from interplay.envs.data.form import TableForm, detect, one_character
from interplay.envs.data.lines import read_lines_of
from interplay.envs.data.sources import Bytes, Part, as_utf8, parts_of, unread_of
from interplay.envs.messages import listed
from interplay.envs.types import InterplayError

_OTHERS = "\0others"  # no column has this name
_SAMPLE = 1 << 16  # bytes from which the layout is detected


class Table(NamedTuple):
    """What was read.

    Attributes:
        frame: the rows.
        dropped: rows that are not in it, by reason.
        notes: what was detected and skipped, in a few words each.
        typed: whether the file says which type a column has; otherwise all is text.
    """

    frame: pl.DataFrame
    dropped: dict[str, int]
    notes: list[str]
    typed: bool


def column_names(path: Path) -> list[str]:
    """The columns of a table.

    Raises:
        InterplayError: there is no such file, or it is no table.
    """
    return TableFile(path).columns


def read_frame(path: Path, names: Sequence[str] | None = None,
               types: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """Columns of a table.

    Args:
        path: the file, or a folder of parts.
        names: of the columns to read; by default all.
        types: of columns of text files; the others are text. Empty cells are null, quoted or not.

    Raises:
        InterplayError: there is no such file, it is no table, it is damaged, or rows would be lost.
    """
    return TableFile(path).read(names, types).frame


class TableFile:
    """A table that has been opened: its parts and their columns.

    Raises:
        InterplayError: there is no such file, or it is no table.
    """

    def __init__(self, path: Path, form: TableForm | None = None) -> None:
        self.path = path
        with _readable(path):
            self._parts = [_opened(part, form or TableForm()) for part in parts_of(path)]
            self.columns = self._parts[0].columns
            for part in self._parts[1:]:
                if set(part.columns) != set(self.columns):
                    raise InterplayError(f"{path}: {part.name} has other columns than {self._parts[0].name}: give one "
                                         "file, or a folder whose files have the same columns")

    @property
    def looks_like_data(self) -> bool:
        """Whether what was taken for the columns' names looks like a row."""
        return any(part.looks_like_data for part in self._parts)

    def read(self, names: Sequence[str] | None = None, types: Mapping[str, pl.DataType] | None = None) -> Table:
        """Its rows; see ``read_frame``."""
        with _readable(self.path):
            tables = [part.read(list(names or self.columns), types or {}) for part in self._parts]
            frame = pl.concat([table.frame for table in tables], how="vertical_relaxed")  # part 1 has 4, part 2 has 4.5
        dropped = Counter[str]()
        for table in tables:
            dropped.update(table.dropped)
        notes = [*([f"{len(tables)} files"] if len(tables) > 1 else []),
                 *dict.fromkeys(note for table in tables for note in table.notes)]
        unread = unread_of(self.path)
        notes += [f"not read: {listed(unread)}"] if unread else []
        return Table(frame, dict(dropped), notes, tables[0].typed)


class _Text:
    """A part that is text."""

    def __init__(self, part: Part, form: TableForm) -> None:
        self.name, self._form, self._path = part.name, form, part.path
        self._text = as_utf8(part.data, form.encoding, part.name)
        data = self._text.data
        start = data[:_SAMPLE].tobytes().decode(errors="ignore")
        self._layout = detect(start, len(data) <= _SAMPLE, form, part.name)
        self.columns = self._layout.columns
        self.looks_like_data = self._layout.looks_like_data

    @cached_property
    def _data(self) -> Bytes:
        return one_character(self._text.data, self._layout)

    def read(self, names: list[str], types: Mapping[str, pl.DataType]) -> Table:
        # All as text but what has a type: guessing types would make '007' and '7' one user.
        how: dict[str, Any] = {"infer_schema": False, "null_values": "", "schema_overrides": dict(types)}
        layout, dropped, skipped = self._layout, Counter[str](), Counter[str]()
        plain = not (layout.comment or layout.preamble or layout.row_names) and is_plain(self._data, layout.separator)
        rows = count_rows(self._data, layout.separator, layout.quotes)
        frame = self._parse(names, how) if plain and rows is not None else None
        if frame is None:
            lines = read_lines_of(self._data, layout, names, self.name, one_a_line=rows is None,
                                  drop=self._form.drop_bad_rows)
            how["schema_overrides"] = {str(place): types[name] for place, name in enumerate(names) if name in types}
            frame, dropped, skipped = pl.read_csv(lines.table, **how), lines.dropped, lines.skipped
            frame.columns = names
        else:
            assert rows is not None, "checked"
            check_rows(frame, rows - layout.header, self.name)
        frame, equal = _stripped(frame, types) if layout.padded else (frame, 0)
        lost = [f"{count:,} {kind} line{'s' if count > 1 else ''} skipped" for kind, count in skipped.items()]
        return Table(frame, dict(dropped), [*self._notes(equal), *lost], typed=False)

    def _parse(self, names: list[str], how: dict[str, Any]) -> pl.DataFrame | None:
        """The columns as the parser has them; None where a row is too long for it."""
        source: Any = self._path if self._path is not None and self._text.same and self._data is self._text.data \
            else io.BytesIO(self._data.tobytes())
        layout = self._layout
        how = how | {"separator": layout.separator, "quote_char": '"' if layout.quotes else None,
                     "has_header": layout.header}
        existing = pl.scan_csv(source, **how | {"schema_overrides": {}}).collect_schema().names()
        if len(existing) != len(self.columns):
            return None
        raw = dict(zip(self.columns, existing, strict=True))
        how["schema_overrides"] = {raw[name]: kind for name, kind in how["schema_overrides"].items()}
        try:
            # All columns are parsed, since in those that are not the parser overlooks that a row is too long.
            others = [pl.col(raw[name]).is_null() for name in self.columns if name not in names]
            rest = [pl.any_horizontal(others).alias(_OTHERS)] if others else []
            table = pl.scan_csv(source, **how).select(*(pl.col(raw[name]).alias(name) for name in names), *rest)
            return table.collect(engine="streaming").select(names)
        except pl.exceptions.PolarsError:
            if how["schema_overrides"]:
                raise
            return None

    def _notes(self, equal: int) -> list[str]:
        layout = self._layout
        notes = [f"{layout.shown} between cells", self._text.encoding,
                 f"{'a' if layout.header else 'no'} header, {len(layout.columns)} columns"]
        if layout.padded:
            notes.append(f"blanks around cells stripped, by which {equal} ids or words became equal to others")
        if layout.row_names:
            notes.append("row names in a first column without a name")
        if layout.looks_like_data:
            notes.append(f"the header looks like data ({shown(layout.columns[0])} ...): if it is a row, give "
                         "--no-header")
        return notes


class _Parquet:
    """A part in Parquet."""

    looks_like_data = False

    def __init__(self, part: Part) -> None:
        self.name = part.name
        self._table = pl.scan_parquet(part.path if part.path is not None else io.BytesIO(part.data.tobytes()))
        self.columns = self._table.collect_schema().names()

    def read(self, names: list[str], types: Mapping[str, pl.DataType]) -> Table:
        frame = self._table.select(names).collect()
        return Table(check_rows(frame, self._table.select(pl.len()).collect().item(), self.name), {}, ["Parquet"], True)


class _JsonLines:
    """A part with a JSON object in each line."""

    looks_like_data = False

    def __init__(self, part: Part, form: TableForm) -> None:
        text = as_utf8(part.data, form.encoding, part.name)
        self.name, raw = part.name, text.data.tobytes()
        self._rows = sum(1 for line in raw.split(b"\n") if line.strip())
        self._frame = pl.read_ndjson(io.BytesIO(raw), infer_schema_length=None)
        self.columns = self._frame.columns
        self._encoding = text.encoding

    def read(self, names: list[str], types: Mapping[str, pl.DataType]) -> Table:
        return Table(check_rows(self._frame.select(names), self._rows, self.name), {}, ["JSON lines", self._encoding],
                     True)


def _opened(part: Part, form: TableForm) -> _Text | _Parquet | _JsonLines:
    if len(part.data) == 0:
        raise InterplayError(f"{part.name}: is empty: check that the file is whole")
    if part.name.lower().endswith(".parquet") or part.data[:4].tobytes() == b"PAR1":
        return _Parquet(part)
    return _JsonLines(part, form) if part.name.lower().endswith((".jsonl", ".ndjson")) else _Text(part, form)


def _stripped(frame: pl.DataFrame, types: Mapping[str, pl.DataType]) -> tuple[pl.DataFrame, int]:
    """The text without blanks around it, and how many values became equal to others by it."""
    texts = [name for name in frame.columns if name not in types]
    stripped = frame.with_columns(pl.col(texts).str.strip_chars().replace({"": None}))
    return stripped, sum(frame[name].drop_nulls().n_unique() - stripped[name].drop_nulls().n_unique() for name in texts)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Checks the path, and turns errors of parsers into one that names it."""
    if not path.exists():
        raise InterplayError(f"{path}: there is no such file: check the path")
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):  # bytes that the locale does not know
        raise InterplayError(f"{path}: the locale lacks letters of this name: set PYTHONUTF8=1, or rename it")
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        kind = path.suffix.lower()[1:] or "a table"
        raise InterplayError(f"{path}: cannot be read as {kind} ({reason}): check that the file is whole") from error
