"""The trainings of a benchmark: which are finished, what each process does, and what came of it."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from interplay.envs.types import InterplayError
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.serialising import as_values
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import Ended, without_bars, worked
from interplay.experiments.evaluate.finishing import train_and_evaluate_all
from interplay.experiments.evaluate.spreading import divided, needs_main
from interplay.experiments.loop.run import CHECKPOINT, CONFIG, RESULTS
from interplay.experiments.loop.task import training_of
from interplay.experiments.loop.together import may_stack

RUNS = "runs"
ERROR = "error.txt"
_FEW = 2  # seeds that train as fast one after another

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


Group = tuple[TrainSettings, ...]
"""Jobs of one process, which differ in their seeds alone."""


def grouped(jobs: Sequence[TrainSettings], workers: int) -> list[Group]:
    """The jobs as processes do them: where there are more than workers, those whose agents can be stacked as one."""
    alike: dict[TrainSettings, list[TrainSettings]] = {}
    for job in jobs:
        alike.setdefault(replace(job, seed=0, name=None), []).append(job)
    count = -(-workers // max(1, len(alike)))  # processes that seeds of one kind can have
    found: list[Group] = []
    for same in alike.values():
        together = len(jobs) > workers and len(same) > _FEW * count and may_stack(same[0])
        places = divided(len(same), count if together else len(same))
        found += [tuple(same[place] for place in part) for part in places]
    return found


def played(jobs: Sequence[TrainSettings], workers: int, keep: bool, stack: bool = True) -> Generator[Outcome]:
    """Play the jobs, each in a process of its own or with others; the outcome of each as it ends.

    What a process of several jobs does not finish is played again, each job on its own, so that it costs no other.
    Closing the generator early stops them all.

    Args:
        jobs: what to train.
        workers: processes at a time.
        keep: whether finished runs keep their checkpoints.
        stack: whether jobs that differ in their seeds alone train as one, where there are more jobs than workers.
    """
    again: list[Group] = []
    groups = grouped(jobs, workers) if stack else [(job,) for job in jobs]
    for each in (groups, again):
        ends = worked(partial(play, keep=keep), each, workers, _output_of, any(map(needs_main, jobs)))
        try:
            for end in ends:
                outcomes = _outcomes(end)
                failures = [job for job, outcome in zip(end.job, outcomes, strict=True) if outcome.problem is not None]
                again += [(job,) for job in failures if len(end.job) > 1]
                yield from (outcome for outcome in outcomes if outcome.problem is None or len(end.job) == 1)
        finally:
            ends.close()
            for group in each:
                _output_of(group).unlink(missing_ok=True)


def _output_of(group: Group) -> Path:
    """The file that takes what the group's process writes."""
    folder = folder_of(group[0])
    return folder.with_name(folder.name + ".log")


def _outcomes(end: Ended[Group, list[Outcome]]) -> list[Outcome]:
    """The outcome of each job; what a failed one wrote, with the traceback, is kept in its run's folder."""
    outcomes = end.result or [Outcome(folder_of(job).name, f"its process died ({end.death})") for job in end.job]
    return [outcome if outcome.problem is None else failed(job, outcome.problem, end.said())
            for job, outcome in zip(end.job, outcomes, strict=True)]


def failed(job: TrainSettings, problem: str, output: str) -> Outcome:
    """The outcome of a job that failed; what it printed is kept in the run's folder."""
    folder = folder_of(job)
    try:
        folder.mkdir(exist_ok=True)
        (folder / ERROR).write_text(f"{without_bars(output)}{problem}\n", encoding="utf-8")
    except OSError:  # a full disk must not stop the other jobs
        return Outcome(folder.name, problem)
    return Outcome(folder.name, f"{problem} (see {RUNS}/{folder.name}/{ERROR})")


def play(group: Group, keep: bool) -> list[Outcome]:
    """Train; continues from checkpoints where there are some, and keeps its own on request."""
    problem = None
    try:
        train_and_evaluate_all([_begun(job) for job in group], [[]] * len(group))
    except (Exception, SystemExit) as error:  # an agent's error stops its own jobs only, the others continue
        traceback.print_exc()
        problem = f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]}"
    return [_ended(folder_of(job), problem, keep) for job in group]


def _begun(job: TrainSettings) -> TrainSettings:
    """The settings that begin the job, or continue it."""
    folder = folder_of(job)
    if folder.is_dir() and not (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder)  # stopped before anything was saved
    (folder / ERROR).unlink(missing_ok=True)
    return TrainSettings(resume=folder, device="cpu", allow_code=True) if folder.is_dir() else job


def _ended(folder: Path, problem: str | None, keep: bool) -> Outcome:
    """What became of a job, of which others may have had the problem."""
    if problem is not None and not (folder / RESULTS).is_file():
        return Outcome(folder.name, problem)
    if not keep:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Outcome(folder.name, None, _score(read_sealed(folder / RESULTS)))


def _score(result: dict[str, Any]) -> str:
    measure: str = result["training"]["measure"]
    return f"{measure.replace('_', ' ')} {result['evaluation'][measure]['mean']:.6g}"
