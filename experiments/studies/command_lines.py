"""Command lines of studies, which are made from a shell alone."""

from __future__ import annotations

import shlex
import sys


def typed(command: str) -> str:
    """What was typed, for reports that say what made them.

    Args:
        command: one of ``scripts/``, or a module that ``python -m`` runs.
    """
    words = sys.argv[2:] if sys.argv[1:2] == [command] else sys.argv[1:]
    program = ["-m", command] if "." in command else [f"scripts/{command}.py"]
    return shlex.join(["python", *program, *words])
