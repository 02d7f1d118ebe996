"""Whether a run that was saved and loaded on the device goes on bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.bits import compared
from interplay.experiments.studies.gpu.settings import Capture, Training

_AGENTS = ("pqn", "dqn", "q-learning", "ippo", "shared-critic")
_WITH: tuple[Capture, ...] = ("off", "on")


def cases(bench: Bench) -> Iterator[Case]:
    """Each agent on kale, without and with graphs, and one on town."""
    kale = [(Training("kale", agent), capture) for agent in _AGENTS for capture in _WITH]
    for training, capture in bench.sized((*kale, (Training("town", "dqn"), "off")), kale[:2]):
        yield Case({**training.row, "capture": capture}, partial(_resumed, bench, training, capture))


def _resumed(bench: Bench, training: Training, capture: Capture) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(training.settings(bench, capture), Path(folder))
        run.write_config()
        _play(bench, run)
        run.save()
        other = Run.load(Path(folder), run.settings.device)
    for each in (run, other):
        _play(bench, each)
    return compared(run, other)


def _play(bench: Bench, run: Run) -> None:
    repeated(lambda: advance(run), bench.sized(60, 6))
