"""Printing that works with any encoding of the terminal or of the file behind it."""

from __future__ import annotations

import io
import sys


def print_anything(encoding: str | None = None) -> None:
    """Let standard output and error escape characters that their encoding lacks.

    Args:
        encoding: to write in; None = that of the terminal.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
