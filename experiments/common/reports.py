"""Committed evidence: a report is a function of the rows that stand beside it, so it can be made again and checked.

A folder of evidence holds ``report.json`` (what made it, and its rows or the name of the file that holds them) and
``report.md``, which is never edited by hand. Notes by hand stand in ``NOTES.md``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.envs.types import InterplayError

REPORT, SOURCE = "report.md", "report.json"

Renderer = Callable[[Path, Mapping[str, Any]], str]
"""A function of the folder and of what its ``report.json`` holds, which gives the text of ``report.md``."""


def made_by(command: str) -> dict[str, Any]:
    """The command and the versions that a report states."""
    return {"command": command, "python": platform.python_version(), "torch": torch.__version__.split("+")[0],
            "numpy": np.__version__, "cores": os.cpu_count(), "machine": platform.machine()}


def made_line(made: Mapping[str, Any]) -> str:
    """The first sentence of a report."""
    return (f"Made by `{made['command']}` with Python {made['python']}, torch {made['torch']} and numpy "
            f"{made['numpy']} on {made['cores']} cores ({made['machine']}).")


def publish(folder: Path | None, renderer: Renderer, made: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Write ``report.json`` and the ``report.md`` that follows from it; gives the text.

    Args:
        folder: where to; it is made if need be. None = nothing is written.
        renderer: a function at the top level of a module of this package.
        made: what ``made_by`` gave.
        data: what the renderer reads, ready for JSON.

    Raises:
        InterplayError: the folder cannot be written.
    """
    if folder is None:
        return renderer(Path(), {"made": made, "data": data})
    source = {"renderer": f"{renderer.__module__}:{renderer.__qualname__}", "made": dict(made), "data": dict(data)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SOURCE).write_text(json.dumps(source, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        text = rendered(folder)
        (folder / REPORT).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InterplayError(f"{str(folder)!r} cannot be written ({error.strerror or error}): choose another with "
                             "--out") from error
    return text


def known_rows(folder: Path | None) -> list[Mapping[str, Any]]:
    """The rows of a report that a study has begun to write, which it can go on from; none where there is no report."""
    if folder is None or not (folder / SOURCE).is_file():
        return []
    rows: list[Mapping[str, Any]] = json.loads((folder / SOURCE).read_text(encoding="utf-8"))["data"]["rows"]
    return rows


def rendered(folder: Path) -> str:
    """What ``report.md`` has to say, from the rows in ``folder``.

    Raises:
        InterplayError: ``report.json`` names a function outside this package.
    """
    source: dict[str, Any] = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
    module, _, name = source["renderer"].partition(":")
    if not module.startswith("interplay.experiments."):
        raise InterplayError(f"{str(folder / SOURCE)!r} names the renderer {source['renderer']!r}: only functions of "
                             "interplay.experiments are called; make the report again")
    render: Renderer = getattr(importlib.import_module(module), name)
    return render(folder, source)
