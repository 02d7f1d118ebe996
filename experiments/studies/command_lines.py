"""Studies, which are made from a shell alone: what was typed, and reports that say so."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interplay.experiments.common.reports import Renderer, made_by, publish


def typed(command: str) -> str:
    """What was typed, for reports that say what made them.

    Args:
        command: one of ``scripts/``, or a module that ``python -m`` runs.
    """
    words = sys.argv[2:] if sys.argv[1:2] == [command] else sys.argv[1:]
    program = ["-m", command] if "." in command else [f"scripts/{command}.py"]
    return shlex.join(["python", *program, *words])


def reported(folder: Path | None, renderer: Renderer, command: str, data: Mapping[str, Any]) -> str:
    """Write and print the report of what was typed; gives its text. See ``publish`` and ``typed``."""
    report = publish(folder, renderer, made_by(typed(command)), data)
    print(report)
    return report
