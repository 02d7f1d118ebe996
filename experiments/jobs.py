"""Trainings in processes of their own: side by side, told of as they end, stopped by Ctrl-C, resumed from there."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import shutil
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from interplay.envs.types import InterplayError
from interplay.experiments.game import recommended
from interplay.experiments.run import CHECKPOINT, CONFIG, RESULTS
from interplay.experiments.serialising import as_values
from interplay.experiments.settings import TrainSettings
from interplay.experiments.training import train

STOPPED = "stopped"

_MACHINE = ("log_dir", "device", "threads", "code")  # what does not change a run's figures


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        name: of the run's folder.
        problem: why it failed, ``STOPPED`` after Ctrl-C, or None.
        score: the figure by which the market compares agents, with its name.
    """

    name: str
    problem: str | None
    score: str = ""


def folder_of(job: TrainSettings) -> Path:
    """Where the job's run is or will be."""
    assert job.name is not None, "jobs are named"
    return job.log_dir / job.name


def finished(job: TrainSettings) -> bool:
    """Whether the run is there.

    Raises:
        InterplayError: a run of the same name is there that was made with other settings.
    """
    folder = folder_of(job)
    if not (folder / CONFIG).is_file():
        return False
    done = (folder / RESULTS).is_file()
    made = _plain(TrainSettings.from_json((folder / CONFIG).read_text(), folder / CONFIG))
    wanted = _plain(job)
    if done:  # the market may recommend something else by now
        now = json.loads(json.dumps(asdict(replace(recommended(job), episodes=wanted["episodes"]))))
        made |= _of_players(job, json.loads((folder / RESULTS).read_text())["training"])
        wanted |= _of_players(job, now)
    for name, value in wanted.items():
        if name not in _MACHINE and made.get(name) != value:
            raise InterplayError(f"{str(folder)!r} was made with {name}={made.get(name)!r}, not {value!r}: choose "
                                 "another --out, or delete that folder")
    return done


def _of_players(job: TrainSettings, training: dict[str, Any]) -> dict[str, Any]:
    """The training without options that a market recommends to agents who don't play."""
    players = (job.users, job.items, job.platform)
    return training | {"options": {name: given for name, given in training["options"].items() if name in players}}


def _plain(settings: TrainSettings) -> dict[str, Any]:
    return as_values(settings)


def played(jobs: Sequence[TrainSettings], workers: int, keep: bool) -> Generator[Outcome]:
    """Play the jobs in ``workers`` processes; tell of each as it ends. Whoever closes it early stops them all.

    Args:
        jobs: what to train.
        workers: processes.
        keep: whether finished runs keep their checkpoints.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ready, initargs=(list(sys.path), stop))
    try:
        with _deaf():
            pending = {pool.submit(_play, job, keep): job for job in jobs}
        for future in as_completed(pending):
            yield _outcome(future, pending[future])
    finally:
        stop.set()  # a job that waits in a process already cannot be cancelled
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Without Ctrl-C. Processes that start in here stay deaf, but while they train: then they save and stop."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: whoever runs us there handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _outcome(future: Future[Outcome], job: TrainSettings) -> Outcome:
    try:
        return future.result()
    except BrokenExecutor:
        return Outcome(folder_of(job).name, "a process died (of memory, perhaps) and with it what was not finished")


_stop: Event | None = None


def _ready(path: list[str], stop: Event) -> None:
    """What a process needs before its first job: where the user's own agents are found, and when to stop."""
    global _stop
    sys.path[:], _stop = path, stop


def _play(job: TrainSettings, keep: bool) -> Outcome:
    """One training; goes on from a checkpoint if there is one, and keeps its own on request."""
    folder = folder_of(job)
    if _stop is not None and _stop.is_set():
        return Outcome(folder.name, STOPPED)
    if folder.is_dir() and not (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder)  # stopped before anything was saved
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            train(TrainSettings(resume=folder, device="cpu", allow_code=True) if folder.is_dir() else job)
    except KeyboardInterrupt:
        pass  # it is saved
    except (Exception, SystemExit) as error:  # whatever an agent of the user's does wrong, the others go on
        return Outcome(folder.name, f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]}")
    if not (folder / RESULTS).is_file():
        if _stop is not None:
            _stop.set()  # here too: this process may take its next job before the first one hears of Ctrl-C
        return Outcome(folder.name, STOPPED)
    if not keep:
        (folder / CHECKPOINT).unlink()
    return Outcome(folder.name, None, _score(json.loads((folder / RESULTS).read_text())))


def _score(result: dict[str, Any]) -> str:
    measure: str = result["training"]["measure"]
    return f"{measure.replace('_', ' ')} {result['evaluation'][measure]['mean']:.6g}"
