"""Time to a score on the device and on the CPU of the same machine, in worlds that no training has seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache, partial

from interplay.envs.presets import find_preset
from interplay.experiments.common.threads import working_threads
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row
from interplay.experiments.studies.gpu.settings import Training, capture_row
from interplay.experiments.studies.gpu.training import CPU_THREADS
from interplay.experiments.studies.speed.to_score import first_row, last_row

_SHARE = 0.95  # of the optimum
_WORLDS = 256  # that a policy is evaluated in

# Of the plans that were tried on a CPU these need the fewest iterations: on a GPU all iterations take about as long.
_ON_DEVICE = (*(Training("kale", agent, 1024, 20) for agent in ("pqn", "dqn", "ippo", "shared-critic")),
              Training("kale", "pqn", 4096, 20), *(Training("town", agent, 64, 40) for agent in ("pqn", "dqn", "ippo")))
_OWN = (*(Training("kale", agent) for agent in ("pqn", "dqn", "ippo", "shared-critic")),
        *(Training("town", agent) for agent in ("pqn", "dqn", "ippo")))
_TINY = (Training("kale", "pqn", 16, 2),)


def cases(bench: Bench) -> Iterator[Case]:
    """On the device, in many worlds."""
    for training in bench.sized(_ON_DEVICE, _TINY):
        yield Case(training.row, partial(_race, bench, training, 4.0))


def cases_on_cpu(bench: Bench) -> Iterator[Case]:
    """On the CPU, at the sizes that presets recommend."""
    for training in bench.sized(_OWN, _TINY):
        yield Case(training.row, partial(_on_threads, bench, training))


def _on_threads(bench: Bench, training: Training) -> Row:
    with working_threads(CPU_THREADS):
        return {"threads": CPU_THREADS, **_race(bench, training, 25.0)}


def _race(bench: Bench, training: Training, longest: float) -> Row:
    """Train, and evaluate without exploration now and then. Only training counts as time."""
    wanted = _wanted(training.preset)
    longest = bench.sized(longest if wanted is not None else 6.0, 0.2)
    pause = bench.sized(0.15 if wanted is not None else longest / 2, 0.1)
    run = training.start(bench, "auto")
    seconds, curve = 0.0, list[tuple[float, float]]()
    while seconds < longest and not run.finished and _held(curve, wanted, False) is None:
        seconds += _trained(bench, run, pause)
        score = evaluate(run.task.held_out, run.players.copied(), _WORLDS)
        curve.append((round(seconds, 3), score.user_return.mean))
    touched = next((at for at, score in curve if wanted is not None and score >= wanted), None)
    return {"wanted": wanted, "touched": touched, "held": _held(curve, wanted, run.finished), "trained_s": seconds,
            "transitions": run.env_steps, "num_worlds": run.task.training.num_worlds, "last": curve[-1][1],
            "finished": run.finished, "curve": curve, **capture_row(run)}


@cache
def _wanted(preset: str) -> float | None:
    """The score to reach; None where no optimum is known."""
    oracle = solve(find_preset(preset).market())
    return None if oracle is None else _SHARE * oracle.user_return


def _trained(bench: Bench, run: Run, pause: float) -> float:
    """Train for so many seconds, or to the end; gives the seconds."""
    started = time.perf_counter()
    while (seconds := time.perf_counter() - started) < pause and not run.finished:
        for _ in range(10):  # which divides the iterations of an episode
            advance(run)
        bench.wait()
    return seconds


def _held(curve: list[tuple[float, float]], wanted: float | None, finished: bool) -> float | None:
    """Seconds until the score was held."""
    if wanted is None:
        return None
    scores = [score for _, score in curve]
    held = first_row(scores, wanted)
    if held is None and finished:
        held = last_row(scores, wanted)
    return None if held is None else curve[held][0]
