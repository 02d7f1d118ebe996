"""The trainings of a benchmark as tasks of Ray, on one machine or many: a task that dies fails only its own run.

A task trains in a temporary folder and sends the run's files back, so that machines need not share a disk. They need
the same version of interplay, and what a run reads, such as a log, under the same path.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError
from interplay.experiments.benchmark.jobs import Outcome, failed, folder_of, play
from interplay.experiments.common.settings import TrainSettings


class _Sent(NamedTuple):
    """What a task sends back: the outcome, what the training printed, and its files by path in the run's folder."""

    outcome: Outcome
    output: str
    files: Mapping[str, bytes]


def played_on(address: str, jobs: Sequence[TrainSettings], keep: bool) -> Generator[Outcome]:
    """Play the jobs on a cluster; the outcome of each as it ends. Closing it early stops them all.

    Args:
        address: of the cluster, as ``ray.init`` takes it: ray://HOST:10001, HOST:6379 or auto.
        jobs: what to train, each on one core.
        keep: whether finished runs keep their checkpoints.

    Raises:
        InterplayError: Ray is not installed, or there is no such cluster.
    """
    if not jobs:
        return
    ray = _connected(address)
    task = ray.remote(num_cpus=1, max_retries=0)(_work)
    running = {task.remote(job, keep): job for job in jobs}
    try:
        while running:
            (ended,), _ = ray.wait(list(running))
            job = running.pop(ended)
            try:
                yield _received(job, ray.get(ended))
            except ray.exceptions.RayError as error:  # its process or its machine died, or it could not start
                yield failed(job, f"its task failed ({type(error).__name__})", str(error))
    finally:
        for ended in running:
            ray.cancel(ended, force=True)
        ray.shutdown()


def _connected(address: str) -> Any:
    """Ray, connected to a cluster whose tasks find the same modules."""
    try:
        import ray
    except ImportError as error:
        raise InterplayError("--cluster needs Ray: pip install 'interplay[cluster]'") from error
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR",
                 runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}})
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = shortened((str(error).splitlines() or [type(error).__name__])[0], 100)
        raise InterplayError(f"--cluster {address}: no cluster answers ({reason}); give the address that ray start "
                             "printed") from error
    return ray


def _work(job: TrainSettings, keep: bool) -> _Sent:
    """What a task does."""
    with tempfile.TemporaryDirectory() as place, io.StringIO() as said, redirect_stdout(said), redirect_stderr(said):
        job = replace(job, log_dir=Path(place))
        (outcome,), folder = play((job,), keep), folder_of(job)
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return _Sent(outcome, said.getvalue(), files)


def _received(job: TrainSettings, sent: _Sent) -> Outcome:
    """Write what a task sent; gives its outcome."""
    if sent.outcome.problem is not None:
        return failed(job, sent.outcome.problem, sent.output)
    for name, content in sent.files.items():
        path = folder_of(job) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return sent.outcome
