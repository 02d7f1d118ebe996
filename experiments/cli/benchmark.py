"""``interplay benchmark``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from interplay.experiments.benchmark.command import BenchmarkSettings, benchmark


def command(settings: BenchmarkSettings) -> int:
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""
    with _safe_path_in_processes():
        return benchmark(settings)


@contextmanager
def _safe_path_in_processes() -> Iterator[None]:
    """Python processes that start in here do not look for libraries in the current folder first."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:  # scripts that start later, such as those of peers, need their own folder
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
