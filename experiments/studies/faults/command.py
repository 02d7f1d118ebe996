"""The command of ``scripts/faults.py``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import torch

from interplay.envs.types import InterplayError
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.faults.calls import bad_calls
from interplay.experiments.studies.faults.disks import bad_disks
from interplay.experiments.studies.faults.files import damaged_files
from interplay.experiments.studies.faults.kills import train_kills
from interplay.experiments.studies.faults.kills_benchmark import benchmark_kills
from interplay.experiments.studies.faults.lines import bad_lines
from interplay.experiments.studies.faults.report import write_report
from interplay.experiments.studies.faults.rows import Row
from interplay.experiments.studies.faults.subjects import pretrained, trained, write_log

Part = Literal["kills", "files", "disks", "commands", "calls"]


@dataclass(frozen=True)
class FaultSettings:
    """Kill runs, damage their files, fill their disks, and give commands and the Python API bad values."""

    only: Part | None = None
    """One part alone; by default all."""
    quick: bool = False
    """A small part of the cases, for a first look."""
    seed: int = 0
    """Of the choice of cases and of the times of kills."""
    out: Path = Path("faults")
    """Folder of report.md and rows.csv."""


def faults(settings: FaultSettings) -> int:
    """Try all cases, a line for each that fails; then write the report.

    Returns:
        The exit status: 1 if a case failed.
    """
    if not Path("/proc/self/environ").exists():
        raise InterplayError("faults finds processes by /proc, which this system lacks: run it on Linux")
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        for part, tried in _parts(settings, Path(place)).items():
            started = time.monotonic()
            found = tried()
            rows += found
            for row in found:
                if row.failed:
                    print(f"{row.part}: {row.case}: {row.outcome}", flush=True)
            failed = sum(row.failed for row in found)
            print(f"{part}: {len(found)} cases, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    write_report(rows, typed("faults"), settings.out)
    return 1 if any(row.failed for row in rows) else 0


def _parts(settings: FaultSettings, place: Path) -> dict[str, Callable[[], list[Row]]]:
    """Each part with its numbers of cases: all of them, or the few of a quick run."""
    quick, workers = settings.quick, usable_cores()

    def draws(part: str) -> Random:
        return Random(f"{settings.seed} {part}")

    def folder(part: str) -> Path:
        (place / part).mkdir()
        return place / part

    def kills() -> list[Row]:
        here, drawn = folder("kills"), draws("kills")
        write_log(here / "log.csv")
        train, pretrain = trained(), pretrained(here / "log.csv")
        if quick:
            return train_kills([train[0], pretrain[0]], 2, drawn, here, workers, each=1)
        found = train_kills([*train, *pretrain], 76, drawn, here, workers)
        return found + benchmark_kills(24, drawn, folder("benchmarks"), workers)

    parts: dict[str, Callable[[], list[Row]]] = {
        "kills": kills, "files": lambda: (
            damaged_files(5, draws("files"), folder("files"), "train") if quick
            else damaged_files(40, draws("files"), folder("files"))),
        "disks": lambda: [] if quick else bad_disks(folder("disks")),
        "commands": lambda: bad_lines(40 if quick else 240, draws("commands"), folder("commands"), 0 if quick else 8),
        "calls": lambda: bad_calls(60 if quick else 165, draws("calls"), folder("calls"))}
    return parts if settings.only is None else {settings.only: parts[settings.only]}


