"""Wall time of training until the policy earns a score: learners here, and DQN in single-file style.

``python -m interplay.experiments.bench.to_score kale 37.26`` trains each in turn on one thread. Every few seconds
training stops for an evaluation without exploration in worlds that nobody trains in; only training counts as time.
A policy may touch a score and lose it at once: it is held if three evaluations in a row are not below it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from interplay.envs.recommend_v0 import RecommendVectorEnv
from interplay.experiments.bench.single import SingleWorldDQN
from interplay.experiments.evaluation import HELD_OUT_SEED, evaluate
from interplay.experiments.run import Run
from interplay.experiments.settings import TrainSettings
from interplay.experiments.tables import table

SINGLE = "single-dqn"
_WORLDS = 256  # that a policy is evaluated in
_HELD = 3


@dataclass(frozen=True)
class Reached:
    """How one learner did.

    Attributes:
        name: the agent, or ``single-dqn``.
        touched: seconds of training until the first evaluation that is not below the score; None if none was.
        held: until the first of three such evaluations in a row.
        trained: seconds of training in all.
        steps: of single worlds, in all.
        scores: user return in each evaluation.
    """

    name: str
    touched: float | None
    held: float | None
    trained: float
    steps: int
    scores: tuple[float, ...]


class Learner:
    """An agent as ``train`` trains it.

    Args:
        name: of the agent, who plays the users.
        preset: the market.
    """

    def __init__(self, name: str, preset: str) -> None:
        self._run = Run.start(TrainSettings(preset=preset, users=name, device="cpu", threads=1),
                              Path(tempfile.gettempdir()))

    def train(self) -> None:
        """One iteration."""
        self._run.step()
        if self._run.episode_ended:
            self._run.next_episode()

    @property
    def steps(self) -> int:
        """Steps of single worlds so far."""
        return self._run.env_steps

    @property
    def over(self) -> bool:
        """Whether the recommended training is over."""
        return self._run.finished

    def score(self) -> float:
        """User return, exploration off."""
        return evaluate(self._run.game.market, self._run.cast, _WORLDS).user_return.mean


class Single:
    """DQN in single-file style, which never stops.

    Args:
        preset: the market.
    """

    over = False

    def __init__(self, preset: str) -> None:
        self._agent, self._preset = SingleWorldDQN(preset), preset

    def train(self) -> None:
        """One step of the environment, and an update."""
        self._agent.play()

    @property
    def steps(self) -> int:
        """Steps of its world."""
        return self._agent.count

    def score(self) -> float:
        """User return, exploration off, of a recommender who serves the only user."""
        env = RecommendVectorEnv(_WORLDS, self._preset)
        seen, info = env.reset(seed=HELD_OUT_SEED)
        total = np.zeros(_WORLDS)
        for _ in range(env.market.config.horizon):
            seen, reward, _, _, info = env.step(self._agent.best(seen, info["action_mask"]))
            total += reward
        return float(total.mean())


def race(preset: str, wanted: float, seconds: float, pause: float, names: tuple[str, ...] = ("dqn", "pqn")
         ) -> Iterator[Reached]:
    """Train each in turn until it earns ``wanted``.

    Args:
        preset: the market.
        wanted: user return.
        seconds: the most that anybody trains.
        pause: seconds of training between two evaluations.
        names: the agents here that run.
    """
    makers: dict[str, Callable[[], Learner | Single]] = {
        **{name: lambda name=name: Learner(name, preset) for name in names},  # type: ignore[misc]
        SINGLE: lambda: Single(preset)}
    for name, make in makers.items():
        learner, times, scores = make(), [0.0], list[float]()
        while times[-1] < seconds and not learner.over and _first(scores, wanted, _HELD) is None:
            trained, started = 0.0, time.perf_counter()
            while trained < pause and not learner.over:
                for _ in range(10):
                    learner.train()
                trained = time.perf_counter() - started
            times.append(times[-1] + trained)
            scores.append(learner.score())
        touched, held = (_first(scores, wanted, row) for row in (1, _HELD))
        yield Reached(name, None if touched is None else times[1 + touched], None if held is None else times[1 + held],
                      times[-1], learner.steps, tuple(scores))


def _first(scores: Sequence[float], wanted: float, row: int) -> int | None:
    """Where the first ``row`` evaluations in a row begin that are not below the score."""
    good = [score >= wanted for score in scores]
    return next((start for start in range(len(good) - row + 1) if all(good[start:start + row])), None)


def text(found: Sequence[Reached], preset: str, wanted: float, command: str) -> str:
    """The report."""
    base = next((one for one in found if one.name == SINGLE), None)
    rows = [[one.name, _seconds(one.touched, one), _seconds(one.held, one), f"{one.steps:,}",
             f"{min(one.scores[-_HELD:]):.2f} to {max(one.scores[-_HELD:]):.2f}", _times(one, base)] for one in found]
    return (f"Made by `{command}` with torch {torch.__version__.split('+')[0]} on one thread of {os.cpu_count()} cores."
            f" Seconds of training until the policy earned a user return of {wanted} on {preset} without exploration, "
            f"in {_WORLDS} worlds that nobody trained in; evaluations are not counted. It is held if {_HELD} "
            "evaluations in a row are not below it.\n\n"
            + table(["learner", "touched", "held", "steps of single worlds", f"last {_HELD} scores",
                     "single-file took to hold"], rows) + "\n")


def _seconds(value: float | None, one: Reached) -> str:
    return f"not in {one.trained:,.0f} s" if value is None else f"{value:,.0f} s"


def _times(one: Reached, base: Reached | None) -> str:
    """How many times as long the single file took, at least."""
    if base is None or one.held is None or one is base:
        return ""
    if base.held is None:
        return f"over {base.trained / one.held:.1f} times as long"
    return f"{base.held / one.held:.1f} times as long"


def main() -> None:
    """Race, print and write the report."""
    parser = argparse.ArgumentParser(prog="to_score", description=__doc__.partition("\n")[0])
    parser.add_argument("preset", nargs="?", default="kale")
    parser.add_argument("wanted", nargs="?", type=float, default=37.26,
                        help="user return; of kale, 95 %% of the optimum")
    parser.add_argument("--seconds", type=float, default=600.0, help="the most that anybody trains")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds of training between two evaluations")
    parser.add_argument("--out", type=Path, default=Path("bench"), help="folder of to_score.md and to_score.json")
    options = parser.parse_args()
    if min(options.seconds, options.pause) <= 0.0:
        parser.error(f"seconds={options.seconds}, pause={options.pause}: give numbers above 0")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    for one in race(options.preset, options.wanted, options.seconds, options.pause):
        print(f"{one.name}: touched {_seconds(one.touched, one)}, held {_seconds(one.held, one)}", flush=True)
        found.append(one)
    command = (f"python -m interplay.experiments.bench.to_score {options.preset} {options.wanted} --seconds "
               f"{options.seconds:g} --pause {options.pause:g}")
    (options.out / "to_score.json").write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    (options.out / "to_score.md").write_text(text(found, options.preset, options.wanted, command))
    print(text(found, options.preset, options.wanted, command))


if __name__ == "__main__":
    main()
