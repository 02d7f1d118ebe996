"""Rows as reports look them up, and numbers as they show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interplay.experiments.studies.gpu.bench import Row


class Found:
    """The rows of a run.

    Args:
        rows: in the order in which they were written.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def measured(self, section: str) -> list[Row]:
        """Rows of a section that hold figures, in the order of its cases."""
        found = [row for row in self._rows if row["section"] == section and not {"error", "skipped"} & row.keys()]
        return sorted(found, key=lambda row: int(row["case"]))

    def one(self, section: str, **columns: Any) -> Row | None:
        """The first row that has these values; None where there is none."""
        return next(iter(self.all(section, **columns)), None)

    def all(self, section: str, **columns: Any) -> list[Row]:
        """The rows that have these values."""
        return [row for row in self.measured(section)
                if all(row.get(name) == value for name, value in columns.items())]

    def lost(self) -> list[Row]:
        """Rows of what failed or was skipped."""
        return [row for row in self._rows if {"error", "skipped"} & row.keys()]


def number(row: Row | None, name: str, unit: float = 1.0) -> str:
    """A figure to three digits, in this unit; empty where there is none."""
    value = None if row is None else row.get(name)
    if value is None:
        return ""
    value = value / unit
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def yes(value: bool) -> str:
    """In a word."""
    return "yes" if value else "NO"
