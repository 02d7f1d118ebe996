"""Which commands take which real logs: with the file's name alone, or with which flags, and what that costs.

Run as ``python -m interplay.experiments.studies.reading_logs --data FOLDER --out FOLDER``. Rows that the report in the
folder has already are kept. Trainings are as short as they can be: the study is about reading.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_costs import measured
from interplay.experiments.studies.command_lines import reported, typed
from interplay.experiments.studies.real_logs import LOGS

Row = Mapping[str, Any]

_COMMANDS = {
    "train": "--users popularity --items rest --episodes 1 --num-worlds 1 --eval-worlds 1",
    "pretrain": "--epochs 1 --size 8 --start random --no-baselines",
    "recommend": "-k 3 --format csv",
    "ope": "--folds 2",
    "fidelity": "--most-worlds 1 --resamples 20",
    "fit": "",
}
"""The commands, and what makes them short."""

_OF_OPE = {"heartsteps": "--action-column action --reward-column logsteps --propensity-column p --unit-column user"}
"""Flags of ``ope``, whose columns have names of their own."""


@dataclass(frozen=True)
class ReadingSettings:
    """Run each command on each real log."""

    data: Path
    """Folder of the logs."""
    logs: tuple[str, ...] = tuple(LOGS)
    """Which of them."""
    out: Path | None = None
    """Folder of the report, which may hold rows already."""


def study(settings: ReadingSettings) -> str:
    """Run, and write ``report.md`` and ``report.json``; gives the report's text."""
    rows, made = known_rows(settings.out), made_by(typed(__name__))
    for name in settings.logs:
        with tempfile.TemporaryDirectory() as folder:
            for command in _COMMANDS:
                if not any((row["log"], row["command"]) == (name, command) for row in rows):
                    rows.append(_row(name, command, settings.data, Path(folder)))
                    publish(settings.out, text, made, {"rows": rows})
    return reported(settings.out, text, __name__, {"rows": rows})


def _row(name: str, command: str, data: Path, folder: Path) -> Row:
    """The command with the file's name alone, and with flags if it needs any."""
    path, flags = LOGS[name]
    flags = _OF_OPE.get(name, "") if command == "ope" else "" if command == "recommend" else flags
    places = {f"{data.resolve()}{os.sep}": "", f"{data}{os.sep}": "", str(folder): "runs"}
    found = _run(command, data / path, [], folder, places)
    first, used = found["error"], ""
    guess = "--guess-columns" if command not in ("ope", "recommend") else ""
    for kind in ("guessed", "suggested", "named"):
        more = {"guessed": guess, "suggested": _with_suggested(guess, found["error"]), "named": flags}[kind]
        if found["error"] and more:
            found, used = _run(command, data / path, shlex.split(more), folder, places), more
    return {"log": name, "file": path, "command": command, "alone": first,
            "flags": "" if found["error"] else used, **found}


def _with_suggested(flags: str, error: str) -> str:
    """The flags with a map of words that an error suggests; empty if it suggests none."""
    suggested = re.search(r"--reward-map( [^ =]+=\d+)+", error)
    return f"{flags} {suggested[0]}" if flags and suggested else ""


def _run(command: str, path: Path, flags: Sequence[str], folder: Path, places: Mapping[str, str]) -> dict[str, Any]:
    """What a command says, and what it costs, in a process of its own. ``places`` shortens paths in messages."""
    positional, named = [str(path)], ["--log", str(path)]
    own = {"recommend": ["--run", str(folder / "pretrain")], "ope": positional, "fit": positional}.get(command, named)
    runs = ["--log-dir", str(folder), "--name", command]
    place = {"fidelity": ["--out", str(folder)], "fit": ["--out", str(folder / command)], "train": runs,
             "pretrain": runs}.get(command, [])
    found = measured([command, *own, *shlex.split(_COMMANDS[command]), *flags, *place])
    error = found.error
    for long, short in places.items():
        error = error.replace(long, short)
    read = (re.search(r"([\d,]+) (?:rows? )?(?:read|rounds)", line) for line in found.lines)
    rows = next((said[1] for said in read if said), "")
    return {"error": error, "rows": rows, "seconds": found.seconds, "megabytes": found.megabytes}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows: Sequence[Row] = source["data"]["rows"]
    works = sum(not row["error"] for row in rows)
    short = "; ".join(f"`{command} {words}`" for command, words in _COMMANDS.items() if words)
    lines = [made_line(source["made"]),
             "Each command on each log, first with the file's name alone; where that is refused, with "
             "`--guess-columns`; then also with what the next refusal names; and last with all columns named: "
             f"{works} of {len(rows)} run. Trainings are short: {short}. Seconds are CPU time without the imports, "
             "memory is the process's highest, about 400 MB of it the libraries. `recommend` takes the run of "
             "`pretrain`.",
             table(["log", "command", "rows", "seconds", "MB", "with the file's name alone", "flags"],
                   [_line(row) for row in rows])]
    return "\n\n".join(lines) + "\n"


def _line(row: Row) -> list[str]:
    flags = row["flags"] or (f"refused: {row['error']}" if row["error"] and row["error"] != row["alone"] else "")
    return [row["log"], row["command"], row["rows"], f"{row['seconds']:.1f}", f"{row['megabytes']:,}",
            row["alone"] or "runs", flags]


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reading_logs:study"))
