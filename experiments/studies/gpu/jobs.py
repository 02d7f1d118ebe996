"""Sections in processes: which run side by side, and what happens to one that dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from interplay.experiments.common.workers import usable_cores
from interplay.experiments.studies.gpu.child import LOST
from interplay.experiments.studies.gpu.rows import read_rows, write_row
from interplay.experiments.studies.gpu.sections import SECTIONS, Lane
from interplay.experiments.studies.gpu.training import CPU_THREADS

_MANY_CORES = 8  # from which on checks run side by side, and the CPU is timed beside the GPU
_LONGEST = 345  # seconds of everything


class Job(NamedTuple):
    """A section, or one of several parts of it."""

    section: str
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Runner:
    """Runs sections.

    Attributes:
        device: ``cuda`` or ``cpu``.
        quick: tiny sizes.
        seconds: of one measurement.
        out: folder of the rows.
        end: the moment after which nothing more is measured.
    """

    device: str
    quick: bool
    seconds: float
    out: Path
    end: float

    @classmethod
    def starting(cls, device: str, quick: bool, seconds: float, out: Path) -> Runner:
        """A runner whose time begins now."""
        return cls(device, quick, seconds, out, time.time() + _LONGEST)

    def run(self, names: Sequence[str]) -> None:
        """Run the sections: checks side by side, then the device's timings in turn, and beside them the CPU's.

        Where there are few cores, or no GPU, everything runs in turn.
        """
        side_by_side = self.device == "cuda" and usable_cores() >= _MANY_CORES
        with ThreadPoolExecutor(usable_cores() - 2 if side_by_side else 1) as pool:
            list(pool.map(self._job, self._jobs("checks", names, side_by_side)))
        with ThreadPoolExecutor(2 if side_by_side else 1) as pool:
            list(pool.map(self._in_turn, [self._jobs(lane, names, False) for lane in ("device", "cpu")]))

    def _jobs(self, lane: Lane, names: Sequence[str], in_parts: bool) -> list[Job]:
        chosen = [(name, section) for name, section in SECTIONS.items() if section.lane == lane and name in names]
        return [Job(name, part, section.parts if in_parts else 1) for name, section in chosen
                for part in range(section.parts if in_parts else 1)]

    def _in_turn(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._job(job)

    def _job(self, job: Job) -> None:
        """Run its cases. After one that ends the process, another process goes on."""
        until, first = min(self.end, time.time() + SECTIONS[job.section].seconds), 0
        while True:
            done = subprocess.run(self._command(job, until, first), stderr=subprocess.PIPE, encoding="utf-8",
                                  errors="replace", env=_environment(job), check=False)
            first = self._next(job, first)
            if done.returncode == 0:
                return
            if done.returncode != LOST:
                said = done.stderr.strip().splitlines()[-12:]
                write_row(self.out, {"section": job.section, "case": first, "trace": said,
                                     "error": f"its process ended with status {done.returncode}"})
                first += 1
            if time.time() > until:
                return

    def _next(self, job: Job, first: int) -> int:
        """Number of the first case that has no row."""
        done: list[int] = [row["case"] for row in read_rows(self.out) if row["section"] == job.section
                           and row["case"] % job.parts == job.part]
        return max([first, *(number + 1 for number in done)])

    def _command(self, job: Job, until: float, first: int) -> list[str]:
        device = "cpu" if SECTIONS[job.section].lane == "cpu" else self.device
        numbers = {"seconds": self.seconds, "part": job.part, "parts": job.parts, "first": first, "until": until}
        return [sys.executable, "-m", "interplay.experiments.studies.gpu.child", job.section, "--device", device,
                "--out", str(self.out), *(["--quick"] if self.quick else []),
                *(word for name, value in numbers.items() for word in (f"--{name}", str(value)))]


def _environment(job: Job) -> dict[str, str]:
    """Of a process: two threads that sleep while they wait, and no GPU where the CPU is measured."""
    threads = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(CPU_THREADS)}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if SECTIONS[job.section].lane == "cpu" else {}
    return {**os.environ, **threads, **hidden}
