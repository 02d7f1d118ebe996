"""Whether a run that was saved and loaded on the device goes on bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interplay.experiments.loop.run import Run
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.settings import Training, iterate

_AGENTS = ("pqn", "dqn", "q-learning", "ippo", "shared-critic")


def cases(bench: Bench) -> Iterator[Case]:
    """Each agent on kale, without and with graphs, and one on town."""
    for agent in _AGENTS:
        yield Case({"preset": "kale", "agent": agent, "capture": "off"},
                   partial(_resumed, bench, Training("kale", agent), "off"))
    for preset, agent in (("town", "dqn"), *bench.sized(tuple(("kale", agent) for agent in _AGENTS), ())):
        yield Case({"preset": preset, "agent": agent, "capture": "auto"},
                   partial(_resumed, bench, Training(preset, agent), "auto"))


def _resumed(bench: Bench, training: Training, capture: Any) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(training.settings(bench, capture), Path(folder))
        run.write_config()
        _play(bench, run)
        run.save()
        other = Run.load(Path(folder), run.settings.device)
    for each in (run, other):
        _play(bench, each)
    gaps = [_gap(one, two) for one, two in zip(_leaves(_all_of(run)), _leaves(_all_of(other)), strict=True)]
    return {"equal": not any(gaps), "tensors": len(gaps), "differ": sum(gap > 0.0 for gap in gaps),
            "largest": max(gaps)}


def _play(bench: Bench, run: Run) -> None:
    repeated(lambda: iterate(run), bench.sized(60, 6))


def _all_of(run: Run) -> dict[str, Any]:
    return {"agents": run.cast.state_dict(), "state": run.now.state.state_dict(), "tally": run.tally.state_dict()}


def _leaves(value: Any) -> Iterator[Tensor]:
    """Tensors inside of nested dicts and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


def _gap(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors; 0 where they are equal to the bit."""
    if one.numel() == 0 or torch.equal(one, other):
        return 0.0
    return float((one.double() - other.double()).nan_to_num(0.0).abs().max()) or 1e-300
