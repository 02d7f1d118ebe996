"""Wall time of training until the policy earns a score: learners here, and the same algorithms in single-file style.

Each trains in turn on one thread, with as many seeds as are asked for. Training pauses regularly for an evaluation
without exploration in held-out worlds; only training counts as time. A policy may touch a score and lose
it: it is held from the first of three evaluations in a row that are not below it, or of those that are not until
the training is over.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from interplay.envs.checking import Count, Positive
from interplay.envs.recommend_v0 import RecommendVectorEnv
from interplay.experiments.cli.main import main
from interplay.experiments.common.flags import Many
from interplay.experiments.common.options import make_options, parse_pairs, split_agent
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import HELD_OUT_SEED, evaluate
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.command_lines import reported
from interplay.experiments.studies.speed.single import SINGLES

_WORLDS = 256  # that a policy is evaluated in
_HELD = 3


@dataclass(frozen=True)
class Reached:
    """How one learner did with one seed.

    Attributes:
        name: the agent, or one of ``SINGLES``, with its options.
        seed: of its training.
        touched: seconds of training until the first evaluation that is not below the score; None if none was.
        held: until the first of three such evaluations in a row, or of those at the end.
        trained: seconds of training in all.
        steps: of single worlds, in all.
        scores: user return in each evaluation.
    """

    name: str
    seed: int
    touched: float | None
    held: float | None
    trained: float
    steps: int
    scores: tuple[float, ...]


class Learner:
    """An agent as ``train`` trains it.

    Args:
        settings: of the training.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._run = Run.start(settings, Path(tempfile.gettempdir()))

    def train(self) -> None:
        """One iteration, unless the training is over."""
        if not self.over:
            advance(self._run)

    @property
    def steps(self) -> int:
        """Steps of single worlds so far."""
        return self._run.env_steps

    @property
    def over(self) -> bool:
        """Whether the training is over."""
        return self._run.finished

    def score(self) -> float:
        """User return, exploration off."""
        return evaluate(self._run.task.market, self._run.players, _WORLDS).user_return.mean


class Single:
    """A learner in single-file style, which never stops.

    Args:
        kind: one of ``SINGLES``.
        preset: the market.
        seed: of its training.
        pairs: its options, as ``NAME=VALUE``.
    """

    over = False

    def __init__(self, kind: str, preset: str, seed: int, pairs: tuple[str, ...]) -> None:
        learner = SINGLES[kind]
        options = make_options(learner.Options, parse_pairs(pairs, kind), f"learner {kind!r}")
        self._agent, self._preset = learner(preset, seed, options), preset

    def train(self) -> None:
        """One step of the environment, and an update."""
        self._agent.play()

    @property
    def steps(self) -> int:
        """Steps of its world."""
        return self._agent.count

    def score(self) -> float:
        """User return, exploration off, of a recommender that serves the only user."""
        env = RecommendVectorEnv(_WORLDS, self._preset)
        seen, info = env.reset(seed=HELD_OUT_SEED)
        total = np.zeros(_WORLDS)
        for _ in range(env.market.config.horizon):
            seen, reward, _, _, info = env.step(self._agent.best(seen, info["action_mask"]))
            total += reward
        return float(total.mean())


@dataclass(frozen=True)
class Race:
    """Measure how long learners train until they hold a score."""

    preset: Annotated[str, tyro.conf.Positional] = "kale"
    """Market."""
    wanted: Annotated[float, tyro.conf.Positional] = 37.26
    """User return; of kale, 95 % of the optimum."""
    learners: tuple[str, ...] = ("dqn", "pqn", *SINGLES)
    """Agents, or learners in single files (a wrong name lists them), with options as NAME,OPTION=VALUE."""
    seeds: Many = 5
    """Seeds of each, from 0."""
    seconds: Positive = 200.0
    """Longest training."""
    pause: Positive = 0.5
    """Seconds of training between two evaluations."""
    num_worlds: Many | None = None
    """Worlds that agents train in; by default what the preset recommends."""
    episodes: Count | None = None
    """Episodes of agents' training; by default what the preset recommends."""
    out: Path = Path("bench")
    """Folder of the report."""

    def run(self, name: str, seed: int) -> Reached:
        """Train one until it holds the score, or its time is up.

        Args:
            name: an agent, or one of ``SINGLES``, with options as ``NAME,OPTION=VALUE``.
            seed: of its training.
        """
        learner, times, scores = self._learner(name, seed), [0.0], list[float]()
        while times[-1] < self.seconds and not learner.over and first_row(scores, self.wanted) is None:
            trained, started = 0.0, time.perf_counter()
            while trained < self.pause and not learner.over:
                for _ in range(10):
                    learner.train()
                trained = time.perf_counter() - started
            times.append(times[-1] + trained)
            scores.append(learner.score())
        touched = next((n for n, score in enumerate(scores) if score >= self.wanted), None)
        held = first_row(scores, self.wanted)
        if held is None and learner.over:
            held = last_row(scores, self.wanted)
        return Reached(name, seed, None if touched is None else times[1 + touched],
                       None if held is None else times[1 + held], times[-1], learner.steps, tuple(scores))

    def _learner(self, name: str, seed: int) -> Learner | Single:
        kind, pairs = split_agent(name)
        if kind in SINGLES:
            return Single(kind, self.preset, seed, pairs)
        return Learner(TrainSettings(preset=self.preset, users=name, device="cpu", threads=1, seed=seed,
                                     num_worlds=self.num_worlds, episodes=self.episodes))


def first_row(scores: Sequence[float], wanted: float) -> int | None:
    """Where the first three evaluations in a row begin that are not below the score."""
    good = [score >= wanted for score in scores]
    return next((start for start in range(len(good) - _HELD + 1) if all(good[start:start + _HELD])), None)


def last_row(scores: Sequence[float], wanted: float) -> int | None:
    """Where those at the end begin that are not below the score."""
    start = len(scores)
    while start > 0 and scores[start - 1] >= wanted:
        start -= 1
    return start if start < len(scores) else None


def race_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report, from what each learner reached with each seed."""
    data = source["data"]
    found = [Reached(**{**one, "scores": tuple(one["scores"])}) for one in data["reached"]]
    by_name: dict[str, list[Reached]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    held = {name: _median(some) for name, some in by_name.items()}
    rows = [[name, _seconds([one.touched for one in some]), _seconds([one.held for one in some]),
             f"{median(one.steps for one in some):,.0f}", f"{median(one.scores[-1] for one in some):.2f}",
             _times(name, held)] for name, some in by_name.items()]
    seeds = len({one.seed for one in found})
    return (f"{made_line(source['made'])} On one thread. Seconds of training until the policy earned a user return of "
            f"{data['wanted']} on {data['preset']} without exploration, in {_WORLDS} held-out worlds; "
            f"evaluations are not counted. It is held from the first of {_HELD} evaluations in a row that are not "
            f"below it, or of those that are not until the training is over. Medians of {seeds} seeds, and from the "
            "least to the most.\n\n"
            + table(["learner", "touched", "held", "steps of single worlds", "last score",
                     "its algorithm in a single file took to hold"], rows) + "\n")


def _median(some: Sequence[Reached]) -> float:
    return median(math.inf if one.held is None else one.held for one in some)


def _seconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return f"by {len(known)} of {len(values)} seeds" + (f", from {min(known):.1f} s" if known else "")
    return f"{median(known):.1f} s ({min(known):.1f} to {max(known):.1f})"


def _times(name: str, held: Mapping[str, float]) -> str:
    """How many times as long as ``name`` its algorithm took in a single file, with the faster of its options there."""
    single = "single-" + split_agent(name)[0]
    fastest = min((time for other, time in held.items() if split_agent(other)[0] == single), default=math.inf)
    return "" if math.inf in (held[name], fastest) else f"{fastest / held[name]:.1f} times as long"


def race(settings: Race) -> str:
    """Train all learners, and write ``report.md`` and ``report.json``; gives the report's text."""
    torch.set_num_threads(1)
    found = []
    for seed, name in product(range(settings.seeds), settings.learners):
        found.append(settings.run(name, seed))
        print(f"seed {seed}, {name}: touched {_seconds([found[-1].touched])}, held {_seconds([found[-1].held])}",
              flush=True)
    data = {"preset": settings.preset, "wanted": settings.wanted, "reached": [asdict(one) for one in found]}
    return reported(settings.out, race_text, __name__, data)


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.speed.to_score:race"))
