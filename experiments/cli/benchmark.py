"""``interplay benchmark``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from interplay.experiments.benchmark.command import BenchmarkSettings, benchmark
from interplay.experiments.benchmark.running import News


def command(settings: BenchmarkSettings) -> int:
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""
    with safe_path_in_processes():
        found = benchmark(settings, print_news)
    print(found.report)
    return 1 if found.problems else 0


def print_news(news: News) -> None:
    """Print how far the runs are."""
    print(news.line, file=sys.stderr if news.failed else sys.stdout, flush=True)


@contextmanager
def safe_path_in_processes() -> Iterator[None]:
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
