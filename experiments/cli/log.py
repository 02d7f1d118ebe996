"""``interplay log``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from interplay.envs.data import find_log
from interplay.experiments.cli.console import say, say_table, say_whole
from interplay.experiments.common.log_report import report_on
from interplay.experiments.common.table_settings import TableSettings


@dataclass(frozen=True, kw_only=True)
class ShowLogSettings(TableSettings):
    """Which log to show."""

    log: Annotated[Path, tyro.conf.Positional]
    """Table, folder, or name of a public data set."""


def command(settings: ShowLogSettings) -> int:
    """Show what would be read from a log: columns, counts, times, warnings, and the flags that would help."""
    report = report_on(find_log(settings.log), settings)
    if report.columns:
        say_table(("column", "type", "different", "empty", "such as"), report.columns, right=(2, 3))
    for line in report.lines:
        say(line)
    for line in report.warnings:
        say(f"warning  {line}", "yellow")
    if report.problem:
        say(f"cannot be read with these settings: {report.problem}", "bold red")
    if report.flags:
        say_whole(f"suggested: {' '.join(report.flags)}", "bold")
    return 2 if report.problem else 0
