"""Part "kills": trainings that are killed and resumed have to come to what an uninterrupted one comes to."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

from interplay.experiments.studies.faults.processes import Command, Ended, forked
from interplay.experiments.studies.faults.rows import Row, judged, one_line
from interplay.experiments.studies.faults.same import differences
from interplay.experiments.studies.faults.subjects import RESULTS, Subject
from interplay.experiments.studies.faults.trips import Trip

PART = "kills"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

_LATE = {"train": "evaluate", "pretrain": "judge"}
_PHASES = {"train": ("start", "play", "play", "evaluate", "write", "replace"),
           "pretrain": ("start", "learn", "learn", "judge", "write", "replace")}


class Kill(NamedTuple):
    """A signal and when it is sent: at a step of the command, or some seconds after its start."""

    phase: str
    share: float
    signal: int

    def __str__(self) -> str:
        where = f"{self.share:.1f} s after the start" if self.phase == "start" else f"{self.phase} at {self.share:.0%}"
        return f"{signal.Signals(self.signal).name} {where}"


def train_kills(subjects: Sequence[Subject], count: int, draws: Random, place: Path, workers: int,
                each: int = 2) -> list[Row]:
    """Kill runs and resume them.

    Args:
        subjects: what to kill, in turn.
        count: kills.
        draws: when each falls.
        place: folder for the runs.
        workers: runs at a time.
        each: kills of one run, 1 or 2.
    """
    with ThreadPoolExecutor(workers) as pool:
        counts = dict(zip(subjects, pool.map(lambda subject: _whole(subject, place), subjects), strict=True))
        chosen = [subjects[number % len(subjects)] for number in range(count // each)]
        kills = [_drawn(subject, draws)[:each] for subject in chosen]
        folders = [place / f"run{number}" for number in range(len(chosen))]
        found = pool.map(_chain, folders, chosen, kills, [counts[subject] for subject in chosen])
        return [row for rows in found for row in rows]


def _drawn(subject: Subject, draws: Random) -> list[Kill]:
    """Kills of a run; once its training may be over, only those that come after that or at the start."""
    first = draws.choice(_PHASES[subject.command])
    late = first not in ("start", "play", "learn")
    second = draws.choice(("start", _LATE[subject.command]) if late else _PHASES[subject.command])
    return [Kill(phase, draws.uniform(0.0, 5.0) if phase == "start" else draws.random(), draws.choice(SIGNALS))
            for phase in (first, second)]


def _whole(subject: Subject, place: Path) -> dict[str, int]:
    """Run it without a kill; gives how often each kind of step was taken."""
    folder = _whole_of(subject, place)
    counts = folder.with_suffix(".counts")
    end = forked(subject.fresh(folder), folder.with_suffix(".out"), counts=counts)
    if end.status != 0:
        raise RuntimeError(f"{subject.name} fails without a kill: {one_line(end.error)}")
    found: dict[str, int] = json.loads(counts.read_text(encoding="utf-8"))
    return found


def _whole_of(subject: Subject, place: Path) -> Path:
    return place / f"whole {subject.name}"


def _chain(folder: Path, subject: Subject, kills: Sequence[Kill], counts: dict[str, int]) -> list[Row]:
    """Kill one run several times, then let it end. What its end shows is a problem of the last kill."""
    rows = []
    for kill in kills:
        problems = _killed(subject, kill, folder, counts) if not (folder / RESULTS).is_file() else []
        rows.append((f"{subject.name}: {kill}", problems))
    if not (folder / RESULTS).is_file():
        end = forked(subject.resumed(folder), folder.with_suffix(".out"))
        if end.status != 0:
            rows[-1][1].append(f"not resumed: status {end.status}, {end.error.strip()[-200:]}")
    rows[-1][1].extend(differences(_whole_of(subject, folder.parent), folder, *subject.kept)[:3])
    return [judged(PART, case, problems) for case, problems in rows]


def _killed(subject: Subject, kill: Kill, folder: Path, counts: dict[str, int]) -> list[str]:
    """Continue the run until the kill; what is wrong with how it ended."""
    arguments = subject.resumed(folder)
    if kill.phase == "start":
        command = Command(arguments)
        command.wait_for_handlers()
        time.sleep(kill.share)
        command.send(kill.signal, group=False)
        return ending_problems(kill.signal, command.ended(), may_be_over=True)
    step = 1 + int(kill.share * _certain(kill.phase, counts, fresh="--resume" not in arguments))
    trip = Trip(kill.phase, step, kill.signal)
    return ending_problems(kill.signal, forked(arguments, folder.with_suffix(".out"), trip))


def _certain(phase: str, counts: dict[str, int], fresh: bool) -> int:
    """Steps that there are at least; a resumed run may have taken some of them before."""
    if phase in ("play", "learn"):
        return int(counts[phase] * (0.5 if fresh else 0.4))
    if phase in ("write", "replace"):  # a slower run has more of them, since it is saved by the clock
        return min(1, counts[phase] - 1) if fresh else 0
    return counts[phase] - 1 if fresh or phase in _LATE.values() else 0


def ending_problems(number: int, end: Ended, may_be_over: bool = False) -> list[str]:
    """What is wrong with the end of a command that was sent a signal.

    A short command may be over some seconds after its start.
    """
    expected = -number if number == signal.SIGKILL else 128 + number
    allowed = {expected, *((0,) if may_be_over else ())}
    problems = [] if end.status in allowed else [f"status {end.status}, not {expected}"]
    if "Traceback" in end.error:
        problems.append(f"traceback: {end.error.strip().splitlines()[-1]}")
    if end.left:
        problems.append(f"{end.left} processes left behind")
    return problems
