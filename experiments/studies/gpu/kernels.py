"""Kernels of one step and of one training iteration, and how long the GPU works on them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.core import Size
from interplay.experiments.studies.gpu.playing import CAPTURED, EAGER, loop_of
from interplay.experiments.studies.gpu.settings import Capture, Training, capture_row, warmed_up
from interplay.experiments.studies.gpu.training import CAPTURE, OWN

_SIZES = (Size("kale", 1 << 12), Size("kale", 1 << 19), Size("town", 16), Size("town", 1 << 11))
_TINY = (Size("kale", 4),)


def cases_of_core(bench: Bench) -> Iterator[Case]:
    """A profile of each way to run a step, apart from all timings, which it would disturb."""
    for size in bench.sized(_SIZES, _TINY):
        for mode in (EAGER, CAPTURED):
            yield Case({**size.row, "mode": mode}, partial(_core, bench, size, mode))


def cases_of_training(bench: Bench) -> Iterator[Case]:
    """The same of training iterations."""
    for training in bench.sized((*OWN, Training("kale", "pqn", 1 << 16)), (Training("kale", "pqn", 4),)):
        for mode, capture in CAPTURE.items():
            yield Case({**training.row, "mode": mode}, partial(_train, bench, training, capture))


@torch.no_grad()
def _core(bench: Bench, size: Size, mode: str) -> Row:
    loop = loop_of(mode, size.market(bench), size.worlds)
    repeated(loop.replay, 3)
    return bench.kernels_of(loop.replay, 5)


def _train(bench: Bench, training: Training, capture: Capture) -> Row:
    """A mean over iterations, of which some learn and one may begin another episode."""
    run = training.start(bench, capture)
    warmed_up(bench, run)
    return {**bench.kernels_of(lambda: advance(run), bench.sized(50, 2)), **capture_row(run)}
