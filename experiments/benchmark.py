"""Many runs and what they show: markets x agents x seeds, resumable, in parallel over the cores."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from interplay.agents import agents, find_agent
from interplay.envs.data import read_log
from interplay.envs.types import InterplayError
from interplay.experiments.game import recommended, with_agents
from interplay.experiments.report import write_report
from interplay.experiments.run import CHECKPOINT, CONFIG, RESULTS
from interplay.experiments.settings import TrainSettings
from interplay.experiments.training import train

RUNS = "runs"

_QUICK: dict[str, Any] = {"presets": ("kale", "viability", "contest"), "agents": ("q-learning", "dqn"), "seeds": 3,
                          "scale": 0.2}


@dataclass(frozen=True)
class BenchmarkSettings:
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""

    presets: tuple[str, ...] = ("kale", "kale-null", "kale-partial", "viability", "contest", "town")
    """Markets to play. Each says which side is compared and who plays the other."""
    log: Path | None = None
    """A log to play instead of presets."""
    agents: tuple[str, ...] = ()
    """Agents to compare, by name or as module:Class; by default every learner of the package."""
    seeds: int = 5
    """Seeds 0, 1, ... of each pair."""
    scale: float = 1.0
    """Part of the episodes that each market recommends."""
    workers: int | None = None
    """Processes, each with one thread; by default one for each core."""
    quick: bool = False
    """A small version for a first look: few markets, agents and seeds, a fifth of the episodes."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of finished runs, which are large, so that evaluate can load them."""
    out: Path = Path("benchmark")
    """Folder of the report; the runs are kept in it too, and those that are finished are not repeated."""

    def checked(self) -> BenchmarkSettings:
        """The settings with every default in place.

        Raises:
            InterplayError: a number is out of range, there is no such agent, or the log cannot be read.
        """
        chosen = replace(self, **_QUICK) if self.quick else self
        names = chosen.agents or tuple(name for name, kind in agents().items() if kind.learns)
        for name in names:
            find_agent(name)
        if chosen.log is not None:
            read_log(chosen.log)  # once, so that what is wrong with it is said once
        workers = chosen.workers if chosen.workers is not None else os.cpu_count() or 1
        for field, value in (("seeds", chosen.seeds), ("workers", workers)):
            if value < 1:
                raise InterplayError(f"{field}={value} must be at least 1")
        if not 0.0 < chosen.scale <= 10.0:
            raise InterplayError(f"scale={chosen.scale} must lie above 0 and at most at 10")
        return replace(chosen, agents=names, workers=workers)


_STOPPED = "stopped"


class Outcome(NamedTuple):
    """What became of a job: why it failed, ``"stopped"`` after Ctrl-C, or None."""

    name: str
    problem: str | None


def benchmark(settings: BenchmarkSettings) -> int:
    """Run what is missing, then write the report.

    Returns:
        The exit status: 1 if a run failed, 130 if Ctrl-C stopped it.

    Raises:
        InterplayError: wrong settings, or a folder that cannot be used.
    """
    settings = settings.checked()
    runs = _usable(settings.out)
    jobs = list(_jobs(settings, runs))
    missing = [job for job in jobs if not _finished(job)]
    print(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them finished before", flush=True)
    problems = {}
    for outcome in _played(missing, settings.workers or 1, settings.keep_checkpoints):
        if outcome.problem == _STOPPED:
            print(f"stopped; the same command goes on. Its runs are in {runs}")
            return 130
        if outcome.problem is not None:
            problems[outcome.name] = outcome.problem
    write_report(settings.out, [job.name or "" for job in jobs], problems, _command())
    return 1 if problems else 0


def _usable(out: Path) -> Path:
    """The folder of the runs, made before anything is played."""
    runs = out / RUNS
    try:
        runs.mkdir(parents=True, exist_ok=True)
        (runs / ".writable").touch()
        (runs / ".writable").unlink()
    except OSError as error:
        raise InterplayError(f"out={str(out)!r} cannot be written ({error.strerror or error}): choose another with "
                             "--out") from error
    return runs


def _jobs(settings: BenchmarkSettings, runs: Path) -> Iterator[TrainSettings]:
    """A training for each market, agent and seed."""
    for market in ("",) if settings.log is not None else settings.presets:
        base = TrainSettings(preset=market or "town", log=settings.log, device="cpu", log_dir=runs)
        training = recommended(base)
        label = settings.log.resolve().stem if settings.log is not None else market
        for agent in settings.agents:
            for seed in range(settings.seeds):
                named = replace(base, users=agent) if training.side == "users" else replace(base, items=agent)
                yield with_agents(replace(named, seed=seed, name=f"{label}-{agent}-s{seed}".replace(":", "."),
                                          episodes=max(1, round(settings.scale * training.episodes))))


def _finished(job: TrainSettings) -> bool:
    """Whether the run is there.

    Raises:
        InterplayError: a run of the same name is there that was made with other settings.
    """
    folder = job.log_dir / (job.name or "")
    if not (folder / CONFIG).is_file():
        return False
    made, wanted = json.loads((folder / CONFIG).read_text()), json.loads(job.to_json())
    for name, value in wanted.items():
        if name not in ("log_dir", "device", "threads") and made[name] != value:
            raise InterplayError(f"{str(folder)!r} was made with {name}={made[name]!r}, not {value!r}: choose another "
                                 "--out, or delete that folder")
    return (folder / RESULTS).is_file()


def _played(jobs: list[TrainSettings], workers: int, keep: bool) -> Iterator[Outcome]:
    """Play the jobs; tell of each as it ends."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    started, done = time.monotonic(), 0
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_ready, initargs=(list(sys.path),)) as pool:
        pending: set[Future[Outcome]] = {pool.submit(_play, job, keep) for job in jobs}
        while pending:
            try:
                ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:  # the workers were told too, and save
                pool.shutdown(cancel_futures=True)
                yield Outcome("", _STOPPED)
                return
            for future in ended:
                done += 1
                left = (time.monotonic() - started) / done * (len(jobs) - done)
                outcome = future.result()
                said = f"{outcome.name}: {outcome.problem or 'done'}; about {left / 60:.0f} min left"
                print(f"[{done}/{len(jobs)}] {said}", file=sys.stderr if outcome.problem else sys.stdout, flush=True)
                yield outcome


def _ready(path: list[str]) -> None:
    """What a worker needs before its first job: where the user's own agents are found, and nothing printed."""
    sys.path[:] = path
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _play(job: TrainSettings, keep: bool) -> Outcome:
    """One training in a process of its own; goes on from a checkpoint if there is one, and keeps its own on request."""
    folder = job.log_dir / (job.name or "")
    if folder.is_dir() and not (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder)  # stopped before anything was saved
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            train(TrainSettings(resume=folder, device="cpu") if folder.is_dir() else job)
    except Exception as error:  # whatever an agent of the user's does wrong, the others go on
        return Outcome(folder.name, f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]}")
    if not (folder / RESULTS).is_file():
        return Outcome(folder.name, _STOPPED)
    if not keep:
        (folder / CHECKPOINT).unlink()
    return Outcome(folder.name, None)


def _command() -> str:
    """What was typed, for the report."""
    words = sys.argv[2:] if sys.argv[1:2] == ["benchmark"] else sys.argv[1:]
    return " ".join(["python scripts/benchmark.py", *words])


