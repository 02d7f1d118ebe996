"""The report, which is a function of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interplay.envs.types import InterplayError
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.common.tables import table
from interplay.experiments.studies.faults.rows import Row, read_rows, write_rows

_TITLES = {"kills": "kills of train, pretrain and benchmark, each resumed", "files": "damaged and edited files",
           "disks": "full disks and folders that cannot be written", "commands": "bad command lines",
           "calls": "bad calls of the Python API"}


ROWS = "rows.csv"


def write_report(rows: Sequence[Row], command: str, folder: Path) -> str:
    """Write the rows and the report; gives its text.

    Raises:
        InterplayError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(rows, folder / ROWS)
    except OSError as error:
        raise InterplayError(f"{str(folder)!r} cannot be written ({error}): choose another with --out") from error
    return publish(folder, render, made_by(command), {"rows": ROWS})


def render(folder: Path, source: Mapping[str, Any]) -> str:
    """The table of all parts and the cases that failed."""
    rows = read_rows(folder / source["data"]["rows"])
    parts = list(dict.fromkeys(row.part for row in rows))
    counts = table(["part", "cases", "ok", "skipped", "failed"], [_counted(rows, part) for part in parts])
    failed = [f"- {row.part}, `{row.case}`: {row.outcome}" for row in rows if row.failed]
    skipped = [f"- {row.part}, `{row.case}`: {row.outcome}" for row in rows if row.skipped]
    sections = ["# Faults", f"{made_line(source['made'])} All cases are in `{ROWS}`.", counts, _RULES,
                *(["## Failed", "\n".join(failed)] if failed else []),
                *(["## Skipped", "\n".join(skipped)] if skipped else [])]
    return "\n\n".join(sections) + "\n"


_RULES = """A case is ok if

- a killed run ends with status 130 (SIGINT) or 143 (SIGTERM), leaves no process behind, and comes, once it is resumed,
  to the same checkpoint or model, results and curves as an uninterrupted run, bit for bit;
- a damaged file is refused in one line, or the run comes to the same as with the whole file, and no file is lost;
- a command that cannot write ends in one line, and comes to the same as an undisturbed one once there is room;
- a bad command line ends with status 2 and one line of at most 300 characters (or the parser's own message), writes
  nothing, and a bad call raises `InterplayError` in one line (or the framework's own error)."""


def _counted(rows: Sequence[Row], part: str) -> list[str]:
    own = [row for row in rows if row.part == part]
    skipped = sum(row.skipped for row in own)
    failed = sum(row.failed for row in own)
    return [_TITLES[part], str(len(own)), str(len(own) - skipped - failed), str(skipped), str(failed)]
