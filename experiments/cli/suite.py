"""``interplay suite``."""

from __future__ import annotations

from interplay.experiments.cli.benchmark import print_news
from interplay.experiments.common.workers import safe_path_in_processes
from interplay.experiments.suite.command import SuiteSettings, play_suite
from interplay.experiments.suite.definition import SUITE
from interplay.experiments.suite.rows import score_table


def command(settings: SuiteSettings) -> int:
    """Train one agent on a frozen list of markets with frozen budgets and seeds; print one number and a table."""
    with safe_path_in_processes():
        found = play_suite(settings, print_news)
    if found.problems:
        print("\n".join(["no score: these runs failed", *found.problems]))
        return 1
    if found.row is None:
        print("the agent runs in all of these markets; without --quick they make a score")
        return 0
    print(f"{SUITE.version}: {found.row.score(SUITE).text(3)}\n\n{score_table([found.row], SUITE)}\n")
    print(f"row: {found.path}; docs/leaderboard.md says how to add it to the leaderboard")
    return 0
