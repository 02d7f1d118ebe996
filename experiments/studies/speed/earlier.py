"""How fast training is beside an earlier commit: both train in turn, each in a process of its own.

``git worktree add ../earlier COMMIT`` makes the checkout to compare with. Both use the same Python and its packages.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interplay.envs.checking import Count
from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.checkout import ROOT, git_hash
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_lines import reported

_CHILD = Path(__file__).with_name("iterations.py")


@dataclass(frozen=True)
class EarlierSettings:
    """Compare the speed of training with an earlier commit's."""

    against: Path
    """Folder of a checkout of the earlier commit."""
    presets: tuple[str, ...] = ("town",)
    """Markets, each with the agents and sizes that its own version recommends."""
    agents: tuple[str, ...] = ("dqn", "pqn")
    """Agents of the users."""
    num_worlds: Count = 16
    """Worlds side by side."""
    warm_up: Count = 120
    """Iterations before the first round, so that memories are ready."""
    steps: Count = 20
    """Iterations of each round: a multiple of the rollouts' lengths."""
    rounds: Count = 9
    """Rounds, in each of which both train."""
    out: Path | None = None
    """Folder of the report."""


@dataclass(frozen=True)
class Pair:
    """Seconds of one market and agent.

    Attributes:
        preset, agent: which they are.
        before, now: of one iteration in each round, of one thread's CPU and of the clock.
    """

    preset: str
    agent: str
    before: Sequence[tuple[float, float]]
    now: Sequence[tuple[float, float]]


class _Trainer:
    """A process that trains with the package of a checkout."""

    def __init__(self, checkout: Path, settings: Mapping[str, Any], warm_up: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, "-W", "ignore", _CHILD, json.dumps(settings), str(warm_up)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self._checkout = checkout
        self._line()

    def __enter__(self) -> _Trainer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def time(self, steps: int) -> tuple[float, float]:
        """Seconds of an iteration: CPU, clock."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        cpu, wall = map(float, self._line().split())
        return cpu / steps, wall / steps

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise InterplayError(f"training in {str(self._checkout)!r} failed, as it says above: give a checkout of a "
                                 "commit that has this market and agent")
        return line


def compared(settings: EarlierSettings, preset: str, agent: str) -> Pair:
    """Train both in turn."""
    given = {"preset": preset, "users": agent, "num_worlds": settings.num_worlds}
    with ExitStack() as opened:
        trainers = [opened.enter_context(_Trainer(checkout, given, settings.warm_up))
                    for checkout in (settings.against.resolve(), ROOT)]
        rounds = [[trainer.time(settings.steps) for trainer in trainers] for _ in range(settings.rounds)]
    before, now = zip(*rounds, strict=True)
    return Pair(preset, agent, before, now)


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from the seconds."""
    data = source["data"]
    columns = ["market", "users", "before, ms", "now, ms", "times as fast", "by the fastest rounds", "by the clock"]
    return (f"{made_line(source['made'])} Training in {data['num_worlds']} worlds beside commit {data['commit']}, each "
            f"with the sizes and agents that it recommends itself: CPU time of an iteration on one thread, medians of "
            f"{data['rounds']} rounds of {data['steps']} iterations in turn.\n\n"
            + table(columns, [_line(Pair(**pair)) for pair in data["pairs"]]) + "\n")


def _line(pair: Pair) -> list[str]:
    (before, before_wall), (now, now_wall) = (zip(*seconds, strict=True) for seconds in (pair.before, pair.now))
    middle = statistics.median
    return [pair.preset, pair.agent, f"{1e3 * middle(before):.2f}", f"{1e3 * middle(now):.2f}",
            *(f"{ratio:.2f}" for ratio in (middle(before) / middle(now), min(before) / min(now),
                                          middle(before_wall) / middle(now_wall)))]


def study(settings: EarlierSettings) -> str:
    """Measure all, and write ``report.md`` and ``report.json``; gives the report's text."""
    pairs = [compared(settings, preset, agent) for preset in settings.presets for agent in settings.agents]
    return reported(settings.out, text, __name__, {
        "commit": (git_hash(settings.against.resolve()) or "unknown")[:7], "num_worlds": settings.num_worlds,
        "rounds": settings.rounds, "steps": settings.steps, "pairs": [asdict(pair) for pair in pairs]})


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.speed.earlier:study"))
