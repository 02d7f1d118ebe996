"""The trainings of a benchmark: which are finished, what each process does, and what came of it."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Generator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from interplay.envs.types import InterplayError
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.serialising import as_values
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import Ended, without_bars, worked
from interplay.experiments.evaluate.finishing import train_and_evaluate
from interplay.experiments.evaluate.spreading import needs_main
from interplay.experiments.loop.run import CHECKPOINT, CONFIG, RESULTS
from interplay.experiments.loop.task import training_of

RUNS = "runs"
ERROR = "error.txt"

_MACHINE = ("log_dir", "device", "threads", "capture", "code", "sizes_of", "logger", "keep_replay")
"""What does not change a run's figures."""


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        name: of the run's folder.
        problem: why it failed, and the file that says more; or None.
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
    made = as_values(TrainSettings.read(folder))
    wanted = as_values(job)
    if done:  # the market may recommend something else by now
        now = json.loads(json.dumps(asdict(training_of(job, torch.device("cpu")))))
        made |= _of_players(job, read_sealed(folder / RESULTS)["training"])
        wanted |= _of_players(job, now)
    for name, value in wanted.items():
        if name not in _MACHINE and made.get(name) != value:
            raise InterplayError(f"{str(folder)!r} was made with {name}={made.get(name)!r}, not {value!r}: choose "
                                 "another --out, or delete that folder")
    return done


def _of_players(job: TrainSettings, training: dict[str, Any]) -> dict[str, Any]:
    """The training without options that a market recommends to agents that do not play."""
    players = (job.users, job.items, job.platform)
    return training | {"options": {name: given for name, given in training["options"].items() if name in players}}


def played(jobs: Sequence[TrainSettings], workers: int, keep: bool) -> Generator[Outcome]:
    """Play the jobs, each in a process of its own; the outcome of each as it ends. Closing it early stops them all.

    Args:
        jobs: what to train.
        workers: processes at a time.
        keep: whether finished runs keep their checkpoints.
    """
    ends = worked(partial(play, keep=keep), jobs, workers, _output_of, any(map(needs_main, jobs)))
    try:
        for end in ends:
            yield _outcome(end)
    finally:
        ends.close()
        for job in jobs:
            _output_of(job).unlink(missing_ok=True)


def _output_of(job: TrainSettings) -> Path:
    """The file that takes what the job's process writes."""
    folder = folder_of(job)
    return folder.with_name(folder.name + ".log")


def _outcome(end: Ended[TrainSettings, Outcome]) -> Outcome:
    """The outcome; what a failed job wrote, with the traceback, is kept in the run's folder."""
    outcome = end.result or Outcome("", f"its process died ({end.death})")
    return outcome if outcome.problem is None else failed(end.job, outcome.problem, end.said())


def failed(job: TrainSettings, problem: str, output: str) -> Outcome:
    """The outcome of a job that failed; what it printed is kept in the run's folder."""
    folder = folder_of(job)
    try:
        folder.mkdir(exist_ok=True)
        (folder / ERROR).write_text(f"{without_bars(output)}{problem}\n", encoding="utf-8")
    except OSError:  # a full disk must not stop the other jobs
        return Outcome(folder.name, problem)
    return Outcome(folder.name, f"{problem} (see {RUNS}/{folder.name}/{ERROR})")


def play(job: TrainSettings, keep: bool) -> Outcome:
    """One training; continues from a checkpoint if there is one, and keeps its own on request."""
    folder = folder_of(job)
    if folder.is_dir() and not (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder)  # stopped before anything was saved
    (folder / ERROR).unlink(missing_ok=True)
    try:
        train_and_evaluate(TrainSettings(resume=folder, device="cpu", allow_code=True) if folder.is_dir() else job)
    except (Exception, SystemExit) as error:  # an agent's error stops its own job only, the other jobs continue
        traceback.print_exc()
        return Outcome(folder.name, f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]}")
    if not keep:
        (folder / CHECKPOINT).unlink()
    return Outcome(folder.name, None, _score(read_sealed(folder / RESULTS)))


def _score(result: dict[str, Any]) -> str:
    measure: str = result["training"]["measure"]
    return f"{measure.replace('_', ' ')} {result['evaluation'][measure]['mean']:.6g}"
