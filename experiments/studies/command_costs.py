"""What a command says and costs, run in a process of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from interplay.experiments.cli.main import main


class Measured(NamedTuple):
    """What a command said, and what it cost in a process of its own.

    Attributes:
        lines: of its output and its errors.
        seconds: CPU time, without imports.
        megabytes: the process's highest memory, libraries included.
    """

    lines: list[str]
    seconds: float
    megabytes: int

    @property
    def error(self) -> str:
        """The first line that says what was wrong; empty if nothing was."""
        return next((line.removeprefix("error: ") for line in self.lines if line.startswith("error: ")), "")


def measured(words: Sequence[str]) -> Measured:
    """Run a command of ``interplay`` in a fork of this process."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = os.fork()
        if process == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                main(words)
            except Exception as error:
                print(f"error: {type(error).__name__}: {error}")  # a fault of the program, which the table shows
            sys.stdout.flush()
            os._exit(0)
        _, _, used = os.wait4(process, 0)
        said.seek(0)
        lines = said.read().replace("\r", "\n").splitlines()
    return Measured(lines, round(used.ru_utime + used.ru_stime, 1), used.ru_maxrss // 1024)
