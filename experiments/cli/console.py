"""Tables and lines for people: with colour in a terminal, plain elsewhere, and never wider than the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 100  # where there is no terminal and COLUMNS does not say


def console() -> Console:
    """A console on standard output as it is now."""
    found = Console(highlight=False, markup=False, emoji=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = _FILE_WIDTH
    return found


def say(text: str, style: str = "") -> None:
    """Print a text, broken between words."""
    _print(Text(text, style))


def say_whole(text: str, style: str = "") -> None:
    """Print a line that is copied, such as a command: it is never broken."""
    console().print(Text(text, style), soft_wrap=True)


def say_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = (),
              bold: Sequence[int] = (), title: str = "") -> None:
    """Print a table; cells that do not fit are broken between words.

    Args:
        header: of the columns; nothing but empty texts = none.
        rows: their cells; the first of a row is not broken.
        right: numbers of the columns that are aligned to the right.
        bold: numbers of the rows that stand out.
        title: a line before it.
    """
    if title:
        say(title, "bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(header))
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number in right else "left", overflow="fold", no_wrap=number == 0)
    for number, row in enumerate(rows):
        table.add_row(*(Text(cell) for cell in row), style="bold green" if number in bold else "")
    _print(table)


def _print(what: Text | Table) -> None:
    """Print without the spaces that fill lines up to their width."""
    screen = console()
    with screen.capture() as drawn:
        screen.print(what)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def counted(number: int, what: str) -> str:
    """``1 user``, ``4 items``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def either(fancy: str, plain: str) -> str:
    """``fancy`` where standard output can show it."""
    try:
        fancy.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain
    return fancy
