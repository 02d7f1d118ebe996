"""``interplay benchmark``."""

from __future__ import annotations

import sys

from interplay.experiments.benchmark.command import BenchmarkSettings, benchmark
from interplay.experiments.benchmark.running import News
from interplay.experiments.common.workers import safe_path_in_processes


def command(settings: BenchmarkSettings) -> int:
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""
    with safe_path_in_processes():
        found = benchmark(settings, print_news)
    print(found.report)
    return 1 if found.problems else 0


def print_news(news: News) -> None:
    """Print how far the runs are."""
    print(news.line, file=sys.stderr if news.failed else sys.stdout, flush=True)
