"""Time of many seeds trained as one, beside the time of one: processor time on a CPU, wall time on a GPU.

Run as ``python -m interplay.experiments.studies.many_seeds --device cuda``. Medians of three parts of one run
each, which take turns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro

from interplay.experiments.common.settings import Device, TrainSettings, find_device
from interplay.experiments.common.tables import table
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.together import Together
from interplay.experiments.loop.training import advance

_PARTS = 3


@dataclass(frozen=True)
class SeedsSettings:
    """Time training iterations of one seed and of several."""

    device: Device = "cpu"
    """Where everything runs."""
    presets: tuple[str, ...] = ("kale", "town")
    """Markets."""
    agents: tuple[str, ...] = ("q-learning", "dqn", "pqn", "ippo")
    """Agents of the users; the market recommends that of the items."""
    seeds: int = 10
    """Seeds that are trained as one."""
    steps: int = 50
    """Iterations of each part: a multiple of the rollouts' lengths."""


def study(settings: SeedsSettings) -> str:
    """The table, one row for each market and agent."""
    rows = []
    for preset in settings.presets:
        for agent in settings.agents:
            one, several = _times(settings, preset, agent)
            rows.append([preset, agent, f"{one:.2f}", f"{several:.2f}", f"{several / one:.2f}"])
    return table(["market", "users", "one [ms]", f"{settings.seeds} seeds [ms]", "ratio"], rows)


def _times(settings: SeedsSettings, preset: str, agent: str) -> tuple[float, float]:
    """Milliseconds for an iteration of one seed, and of all."""
    base = TrainSettings(preset=preset, users=agent, device=settings.device, seeds=settings.seeds)
    started = [Run.start(each, Path()) for each in base.of_seeds()]
    groups = [Together([Run.start(base, Path())]), Together(started)]
    for group in groups:
        _play(group, 2 * settings.steps)  # until memories are ready and graphs are recorded
    parts = [[_time(group, settings) for group in groups] for _ in range(_PARTS)]
    one, several = (median(column) for column in zip(*parts, strict=True))
    return one, several


def _time(group: Together, settings: SeedsSettings) -> float:
    clock = time.perf_counter if find_device(settings.device).type == "cuda" else time.process_time
    before = clock()
    _play(group, settings.steps)
    return (clock() - before) / settings.steps * 1e3


def _play(group: Together, steps: int) -> None:
    for _ in range(steps):
        advance(group)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    with working_threads(1):
        print(study(tyro.cli(SeedsSettings)))
