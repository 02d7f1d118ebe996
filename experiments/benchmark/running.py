"""Running many trainings in a folder: those that are missing, with a line as each ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from interplay.envs.types import InterplayError
from interplay.experiments.benchmark.cluster import played_on
from interplay.experiments.benchmark.jobs import RUNS, finished, played
from interplay.experiments.common.folders import owned
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Stopped, number_of, stoppable


class News(NamedTuple):
    """How far the runs are.

    Attributes:
        line: says it.
        done: runs that have ended, of those that were missing.
        total: runs that were missing.
        failed: whether the last one failed.
    """

    line: str
    done: int
    total: int
    failed: bool = False


Notify = Callable[[News], None]


@contextmanager
def continuable(out: Path) -> Iterator[None]:
    """SIGINT and SIGTERM stop the runs, which are saved, and say how to go on.

    Raises:
        Stopped: by a signal; what is under way is saved.
    """
    try:
        with stoppable():
            yield
    except KeyboardInterrupt as stop:
        raise Stopped(number_of(stop),
                      f"stopped; the same call or command continues the runs in {out / RUNS}") from stop


@contextmanager
def own_folder(out: Path) -> Iterator[None]:
    """Make the folder, before anything is played, and keep other processes out of it.

    Raises:
        InterplayError: it cannot be written, or another process uses it.
    """
    runs = out / RUNS
    try:
        runs.mkdir(parents=True, exist_ok=True)
        (runs / ".writable").touch()
        (runs / ".writable").unlink()
    except OSError as error:
        raise InterplayError(f"out={str(out)!r} cannot be written ({error.strerror or error}): choose another with "
                             "--out") from error
    with owned(out):
        yield


def run_missing(jobs: Sequence[TrainSettings], workers: int, keep: bool, notify: Notify,
                cluster: str | None = None, stack: bool = True) -> dict[str, str]:
    """Play the jobs that are not finished, a line for each; why some failed, by name.

    Args:
        jobs: what to train.
        workers: processes at a time.
        keep: whether finished runs keep their checkpoints.
        notify: is called as runs end.
        cluster: address of a Ray cluster that plays them; None = processes of this machine.
        stack: whether these train seeds as one.
    """
    missing = [job for job in jobs if not finished(job)]
    notify(News(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them finished before", 0, len(missing)))
    problems = {}
    started = time.monotonic()
    playing = played(missing, workers, keep, stack) if cluster is None else played_on(cluster, missing, keep)
    with closing(playing) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            left = (time.monotonic() - started) / done * (len(missing) - done) / 60.0
            line = (f"[{done}/{len(missing)}] {outcome.name}: {outcome.problem or outcome.score}; about {left:.0f} min "
                    "left")
            notify(News(line, done, len(missing), outcome.problem is not None))
            if outcome.problem is not None:
                problems[outcome.name] = outcome.problem
    return problems
