"""Results as text: aligned in a terminal, and readable as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns. What Markdown would read as its own or as HTML is escaped."""
    header, rows = _escaped(header), [_escaped(row) for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)])


def _escaped(cells: Sequence[str]) -> list[str]:
    return [" ".join(cell.splitlines()).replace("|", "\\|").replace("<", "&lt;") for cell in cells]


def formula_safe(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would read it as a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
