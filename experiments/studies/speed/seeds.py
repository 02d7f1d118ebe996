"""Time of many seeds beside the time of one: in one process, where they train as one, and in several.

Processes of a case train at the same time. All begin the timed iterations together, once their memories are full and
their kernels are compiled. Wall time counts where nothing else runs; seconds of the busiest process's CPU say nearly
the same where other programs do.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from interplay.envs.checking import Count
from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.flags import Many
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.settings import Device, TrainSettings
from interplay.experiments.common.tables import table
from interplay.experiments.common.threads import working_threads
from interplay.experiments.common.workers import usable_cores, worked
from interplay.experiments.evaluate.spreading import divided
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.together import Together, groups
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.command_lines import reported


@dataclass(frozen=True)
class SeedsSettings:
    """Time training iterations of one seed and of several."""

    presets: tuple[str, ...] = ("town",)
    """Markets."""
    agents: tuple[str, ...] = ("q-learning", "dqn", "pqn", "ippo")
    """Agents of the users; the market recommends that of the items."""
    seeds: Many = 10
    """Seeds that are trained at once."""
    workers: Count | None = None
    """Processes that share them; by default one for each core, and one alone on a GPU."""
    steps: Count = 50
    """Iterations of each round: a multiple of the rollouts' lengths."""
    rounds: Count = 3
    """Rounds, of which the fastest counts."""
    device: Device = "cpu"
    """Where everything runs."""
    out: Path | None = None
    """Folder of the report."""


class _Job(NamedTuple):
    """What a process times: its runs, as the one of this ``number`` among ``processes`` that meet in a folder."""

    runs: tuple[TrainSettings, ...]
    steps: int
    rounds: int
    meeting: Path
    number: int
    processes: int


class Time(NamedTuple):
    """Milliseconds of an iteration of all runs: of the clock, and of the CPU of the busiest process."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Row:
    """Times of one market and agent of the users.

    Attributes:
        preset, agent: which they are.
        one: of one seed.
        together: of all seeds in one process.
        shared: of all seeds in several processes; None where there is but one core.
    """

    preset: str
    agent: str
    one: Time
    together: Time
    shared: Time | None


def measured(settings: SeedsSettings, preset: str, agent: str) -> Row:
    """Time one seed, all in one process, and all in several."""
    base = TrainSettings(preset=preset, users=agent, device=settings.device, seeds=settings.seeds)
    runs = base.of_seeds() if settings.seeds > 1 else [base]
    workers = settings.workers or (usable_cores() if settings.device == "cpu" else 1)
    one, together = (_time(settings, [each]) for each in (runs[:1], runs))
    shared = [tuple(runs[place] for place in part) for part in divided(len(runs), min(workers, len(runs)))]
    return Row(preset, agent, one, together, _time(settings, shared) if workers > 1 else None)


def _time(settings: SeedsSettings, parts: Sequence[Sequence[TrainSettings]]) -> Time:
    """Time the runs, each part in a process."""
    with tempfile.TemporaryDirectory() as place:
        jobs = [_Job(tuple(part), settings.steps, settings.rounds, Path(place), number, len(parts))
                for number, part in enumerate(parts)]
        times = []
        for end in worked(_timed, jobs, len(jobs), lambda job: job.meeting / f"{job.number}.log"):
            if end.result is None:
                raise InterplayError(f"a process died ({end.death}; {end.said()[-120:]}): leave out what it trained")
            times.append(end.result)
    return Time(*(max(column) for column in zip(*times, strict=True)))


def _timed(job: _Job) -> Time:
    """What a process does: the fastest of its rounds."""
    with working_threads(1):
        parts = [Together(group) for group in groups([Run.start(each, Path()) for each in job.runs])]
        for _ in range(2 * job.steps):  # until memories are ready and graphs are recorded
            _advance(parts)
        _meet(job)
        times = [_round(parts, job.steps) for _ in range(job.rounds)]
        while not _all_are(job, "done"):  # what others measure, they measure beside this
            _advance(parts)
    return Time(*(min(column) for column in zip(*times, strict=True)))


def _round(parts: Sequence[Together], steps: int) -> Time:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        _advance(parts)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Time(*(1e3 * seconds / steps for seconds in (time.perf_counter() - wall, time.process_time() - cpu)))


def _advance(parts: Sequence[Together]) -> None:
    """One iteration of all runs; of those that are not played as one, one after another."""
    for part in parts:
        advance(part)


def _meet(job: _Job) -> None:
    """Wait until all processes are here."""
    while not _all_are(job, "here"):
        time.sleep(0.001)


def _all_are(job: _Job, state: str) -> bool:
    """Whether all processes have come so far, as this one has."""
    (job.meeting / f"{job.number}.{state}").touch()
    return len(list(job.meeting.glob(f"*.{state}"))) == job.processes


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from the times."""
    data = source["data"]
    rows = [Row(row["preset"], row["agent"], Time(*row["one"]), Time(*row["together"]),
                None if row["shared"] is None else Time(*row["shared"])) for row in data["rows"]]
    columns = ["market", "users", "one, ms", f"{data['seeds']} in one process, ms", "times one", "CPU times one",
               f"in {data['workers']} processes, ms", "times one", "CPU of the busiest, times one"]
    return (f"{made_line(source['made'])} An iteration of training of one seed, and of {data['seeds']} seeds: the "
            f"fastest of {data['rounds']} rounds of {data['steps']} iterations, without evaluations. One thread a "
            "process.\n\n"
            + table(columns, [_line(row) for row in rows]) + "\n")


def _line(row: Row) -> list[str]:
    def beside(found: Time | None) -> list[str]:
        return ["", "", ""] if found is None else [f"{found.wall:.2f}", f"{found.wall / row.one.wall:.2f}",
                                                   f"{found.cpu / row.one.cpu:.2f}"]

    return [row.preset, row.agent, f"{row.one.wall:.2f}", *beside(row.together), *beside(row.shared)]


def study(settings: SeedsSettings) -> str:
    """Measure all, and write ``report.md`` and ``report.json``; gives the report's text."""
    workers = settings.workers or (usable_cores() if settings.device == "cpu" else 1)
    settings = replace(settings, workers=workers)
    rows = [asdict(measured(settings, preset, agent)) for preset in settings.presets for agent in settings.agents]
    return reported(settings.out, text, __name__, {
        "seeds": settings.seeds, "workers": workers, "steps": settings.steps, "rounds": settings.rounds, "rows": rows})


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.speed.seeds:study"))
