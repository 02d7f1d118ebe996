"""Whether training with graphs has the same bits as training without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

from interplay.envs import kernels
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.bits import compared
from interplay.experiments.studies.gpu.settings import Training, capture_row
from interplay.experiments.studies.gpu.training import OWN

_TINY = (Training("kale", "pqn", 2), Training("kale", "dqn", 2))


def cases(bench: Bench) -> Iterator[Case]:
    """All that is timed, through two resets."""
    for training in bench.sized(OWN, _TINY):
        yield Case(training.row, partial(_both, bench, training))


def _both(bench: Bench, training: Training) -> Row:
    with_graphs, without = training.start(bench, "on"), training.start(bench, "off")
    with nullcontext() if bench.on_gpu else kernels.switched_off():  # as graphs do on a CPU
        for run in (with_graphs, without):
            repeated(partial(advance, run), bench.sized(2 * run.task.market.config.horizon + 20, 24))
    return {**compared(with_graphs, without), **capture_row(with_graphs)}
