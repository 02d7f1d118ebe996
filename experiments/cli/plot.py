"""``interplay plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from interplay.envs.types import InterplayError
from interplay.experiments.benchmark.plots import plot_folders


def command(folders: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path = Path()) -> None:
    """Draw summary.png and curves.png from what benchmarks found, one panel for each market.

    Args:
        folders: one or more that benchmark wrote.
        out: folder of the pictures.
    """
    if not folders:
        raise InterplayError("plot needs a folder that benchmark wrote, such as: plot benchmark")
    plot_folders(folders, out)
