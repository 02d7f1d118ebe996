"""What is trained: presets, agents and numbers of worlds, as settings of a run."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from interplay.agents import Player, find_agent
from interplay.envs.presets import find_preset
from interplay.envs.types import Side
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Row, repeated

SOON = {"warm_up": 20, "batch_size": 8, "hidden": 8, "rollout_length": 4, "num_minibatches": 1, "num_clusters": 5,
        "num_kinds": 4, "fit_steps": 4}
"""Options with which agents learn from their first steps on."""

Capture = Literal["auto", "on", "off"]


class Training(NamedTuple):
    """Something to train.

    Attributes:
        preset: the market.
        agent: on the side that the preset compares; None = the one that it recommends.
        worlds: side by side; None = as many as it recommends.
        episodes: of the plan, by which rates of learning and exploring fall; None = as many as it recommends.
    """

    preset: str
    agent: str | None = None
    worlds: int | None = None
    episodes: int | None = None

    @property
    def row(self) -> Row:
        """Columns that name it."""
        return {"preset": self.preset, "agent": self.agent or "default", "worlds": self.worlds or "own"}

    def settings(self, bench: Bench, capture: Capture, **more: Any) -> TrainSettings:
        """The settings of a run on the bench's device."""
        given: dict[str, Any] = {"capture": capture, **more}
        if self.agent is not None:
            given[side_of(self.preset, self.agent)] = self.agent
        return TrainSettings(preset=self.preset, device="cuda" if bench.on_gpu else "cpu", num_worlds=self.worlds,
                             episodes=self.episodes, **given)

    def start(self, bench: Bench, capture: Capture, **more: Any) -> Run:
        """A run at its beginning."""
        return Run.start(self.settings(bench, capture, **more), Path(tempfile.gettempdir()))


def side_of(preset: str, agent: str) -> Side:
    """The side that the preset compares, or the first that the agent can play."""
    side, plays = find_preset(preset).training.side, find_agent(agent).plays
    return side if side in plays else plays[0]


def soon(agent: str) -> tuple[str, ...]:
    """Those of ``SOON`` that the agent has, as options of a command line."""
    return tuple(f"{name}={value}" for name, value in soon_of(find_agent(agent)).items())


def soon_of(kind: type[Player]) -> dict[str, int]:
    """Those of ``SOON`` that the agent has."""
    return {f.name: SOON[f.name] for f in fields(kind.Options) if f.name in SOON}


def warmed_up(bench: Bench, run: Run) -> None:
    """Train until learners learn and graphs, if there are any, are recorded: that of a reset is at the second one."""
    iterations = 40 if run.captured is None else 2 * run.task.market.config.horizon + 20
    repeated(lambda: advance(run), bench.sized(iterations, 3))
    bench.wait()


def capture_row(run: Run) -> Row:
    """Whether the run replays graphs, and if not, why."""
    if run.captured is None:
        return {"captured": False, "note": "it was not asked to", "graphs": 0}
    return {"captured": not run.captured.note, "note": run.captured.note, "graphs": run.captured.num_graphs}
