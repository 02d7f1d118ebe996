"""The outcome of a case, and the rules for refusals that all parts share."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LONGEST = 300
"""Characters of a message."""

_BOX = re.compile(r"╭─|[^\n]+\n *-{10,} *\n")
"""The parser's own message for what it cannot read, on a terminal or not."""


class Row(NamedTuple):
    """A case and its outcome.

    Attributes:
        part: kills, files, disks, commands or calls.
        case: what was done.
        outcome: "ok", "skipped: ..." or what went wrong.
    """

    part: str
    case: str
    outcome: str

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return self.outcome != "ok" and not self.skipped

    @property
    def skipped(self) -> bool:
        """Whether it could not be tried here."""
        return self.outcome.startswith("skipped: ")


def judged(part: str, case: str, problems: Sequence[str]) -> Row:
    """A row that names all problems, or is "ok"."""
    return Row(part, one_line(case), one_line("; ".join(problems)) or "ok")


def one_line(text: str) -> str:
    """The text without line breaks, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[:LONGEST - 4] + " ..."


def refusal_problems(status: int | None, error: str) -> list[str]:
    """What is wrong with how a command refused its input.

    Args:
        status: its exit status; None if it did not end in time.
        error: what it wrote to standard error.
    """
    if status is None:
        return ["accepted: still running at the time limit"]
    if "Traceback" in error:
        return ["traceback: " + error.strip().splitlines()[-1]]
    if status == 0:
        return ["accepted"]
    problems = [] if status == 2 else [f"status {status}, not 2"]
    return problems + ([] if _BOX.match(error.strip()) else message_problems(error.strip()))


def message_problems(message: str) -> list[str]:
    """What is wrong with a message: it must be one line of at most ``LONGEST`` characters."""
    lines = message.splitlines()
    if len(lines) != 1:
        return [f"{len(lines)} lines instead of one: {message}"]
    return [f"a line of {len(message)} characters: {message}"] if len(message) > LONGEST else []


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """As CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)


def read_rows(path: Path) -> list[Row]:
    """What ``write_rows`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**row) for row in csv.DictReader(file)]
