"""Part "kills": benchmarks whose parent or worker is killed, and the same command again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

from interplay.experiments.studies.faults.kills import PART, SIGNALS, ending_problems
from interplay.experiments.studies.faults.processes import Command
from interplay.experiments.studies.faults.rows import Row, judged
from interplay.experiments.studies.faults.same import differences

_ARGUMENTS = ("benchmark", "--presets", "contest", "kale", "--agents", "q-learning", "linucb", "--seeds", "1",
              "--scale", "0.05", "--workers", "2")
_KEPT = ("scores.csv", "curves.csv")
_EACH = 2  # kills of one benchmark


class _Kill(NamedTuple):
    """A signal, the process that gets it, and how many seconds after which event."""

    phase: str
    delay: float
    signal: int
    receiver: str

    def __str__(self) -> str:
        return f"{signal.Signals(self.signal).name} to the {self.receiver}, {self.delay:.1f} s after {self.phase}"


_PHASES: dict[str, Callable[[Path], bool]] = {
    "the start": lambda out: True,
    "the first episode": lambda out: any(_lines(curve) > 1 for curve in out.glob("runs/*/curve.csv")),
    "the first checkpoint": lambda out: any(out.glob("runs/*/checkpoint.pt")),
    "the first finished run": lambda out: any(out.glob("runs/*/results.json"))}


def benchmark_kills(count: int, draws: Random, place: Path, workers: int) -> list[Row]:
    """Kill benchmarks and repeat their command; arguments as for ``train_kills``."""
    whole = place / "whole"
    end = Command([*_ARGUMENTS, "--out", str(whole)]).ended()
    if end.status != 0:
        raise RuntimeError(f"a benchmark fails without a kill: {end.error[-300:]}")
    chains = [[_drawn(draws) for _ in range(_EACH)] for _ in range(count // _EACH)]
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda given: _chain(given[1], place / f"out{given[0]}", whole), enumerate(chains))
        return [row for rows in found for row in rows]


def _drawn(draws: Random) -> _Kill:
    phase = draws.choice(list(_PHASES))
    delay = draws.uniform(0.0, 5.0) if phase == "the start" else draws.uniform(0.0, 1.0)
    number = draws.choice(SIGNALS)
    receiver = draws.choice(["parent", "group"]) if number != signal.SIGKILL else draws.choice(["parent", "worker"])
    return _Kill(phase, delay, number, receiver)


def _chain(kills: list[_Kill], out: Path, whole: Path) -> list[Row]:
    rows = [(f"benchmark: {kill}", _killed(kill, out)) for kill in kills]
    end = Command([*_ARGUMENTS, "--out", str(out)]).ended()
    if end.status != 0:
        rows[-1][1].append(f"not continued: status {end.status}, {end.error.strip()[-200:]}")
    rows[-1][1].extend(differences(whole, out, *_KEPT)[:3])
    return [judged(PART, case, problems) for case, problems in rows]


def _killed(kill: _Kill, out: Path) -> list[str]:
    command = Command([*_ARGUMENTS, "--out", str(out)])
    command.wait_for_handlers()
    while command.process.poll() is None and not _PHASES[kill.phase](out):
        time.sleep(0.02)
    time.sleep(kill.delay)
    if kill.receiver == "worker":
        return _worker_killed(command, out)
    command.send(kill.signal, group=kill.receiver == "group")
    return ending_problems(kill.signal, command.ended(), may_be_over=True)


def _worker_killed(command: Command, out: Path) -> list[str]:
    """The youngest process is a worker, once there is one; its job alone may fail."""
    workers = command.workers()
    if workers:
        os.kill(max(workers), signal.SIGKILL)
    end = command.ended()
    problems = [] if end.status in (0, 1) else [f"status {end.status}, not 0 or 1"]
    failed = len(list(out.glob("runs/*/error.txt")))
    if failed > 1:
        problems.append(f"{failed} jobs failed with one worker")
    if "Traceback" in end.error:
        problems.append(f"traceback: {end.error.strip().splitlines()[-1]}")
    return problems + ([f"{end.left} processes left behind"] if end.left else [])


def _lines(path: Path) -> int:
    try:
        return len(path.read_text(encoding="utf-8").splitlines())
    except OSError:
        return 0
