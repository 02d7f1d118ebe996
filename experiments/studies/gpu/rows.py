"""Rows: one JSON object a line, written at once, so that a run that is killed keeps what it has measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interplay.experiments.studies.gpu.bench import Row

ROWS = "rows.jsonl"

_FOLDERS = re.compile(r"(?<![\w.])/\S*?(?=(?:site-packages|interplay)/\w|[\w.]+\.py\b)")
"""What comes before a package or a file in a path: it depends on the machine."""
_LONG = 150  # characters of a value in a line of progress


def write_row(folder: Path, row: Row) -> None:
    """Append it to the file, which several processes do at the same time, and print it."""
    with (folder / ROWS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(_plain(row), allow_nan=False) + "\n")
    print(_line(row), flush=True)


def read_rows(folder: Path) -> list[Row]:
    """All rows so far; none where there is no file. The last line of a run that was killed may be a part of one."""
    path = folder / ROWS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [row for line in lines if (row := _parsed(line)) is not None]


def _parsed(line: str) -> Row | None:
    try:
        row: Row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row


def _plain(value: Any) -> Any:
    """The value as JSON has it; numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else _FOLDERS.sub("", str(value))


def _line(row: Row) -> str:
    """A line of progress."""
    shown = [f"{name}={_short(value)}" for name, value in row.items()
             if name not in ("section", "case", "trace", "curve")]
    return f"[{row['section']}] {' '.join(shown)}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:_LONG]
