"""How fast agents train: transitions a second by preset, agent and number of worlds, eager and with graphs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row
from interplay.experiments.studies.gpu.playing import CAPTURED, EAGER
from interplay.experiments.studies.gpu.settings import Capture, Training, capture_row, warmed_up

CPU_THREADS = 2
CAPTURE: dict[str, Capture] = {EAGER: "off", CAPTURED: "on"}
"""The setting of a run by the way to run it."""

OWN = (*(Training("kale", agent) for agent in ("pqn", "dqn", "ippo", "shared-critic", "q-learning")),
       *(Training("town", agent) for agent in ("pqn", "dqn", "ippo")),
       Training("contest"), Training("viability"), Training("feed"))
"""At the sizes that presets recommend."""
LARGE = (*(Training("kale", "pqn", worlds) for worlds in (1 << 12, 1 << 16, 1 << 19)),
         *(Training("town", "pqn", worlds) for worlds in (1 << 8, 1 << 10, 1 << 12)))
_TINY = (Training("kale", "pqn", 4), Training("kale", "dqn", 4))


def cases(bench: Bench) -> Iterator[Case]:
    """On the device, eager and with graphs."""
    for training in bench.sized((*OWN, *LARGE), _TINY):
        for mode, capture in CAPTURE.items():
            yield Case({**training.row, "mode": mode}, partial(_measure, bench, training, capture))


def cases_on_cpu(bench: Bench) -> Iterator[Case]:
    """The same on this machine's CPU, at the sizes that presets recommend, with one thread and with two."""
    for training in bench.sized(OWN, _TINY):
        for threads in range(1, 1 + CPU_THREADS):
            what = {**training.row, "mode": EAGER, "threads": threads}
            yield Case(what, partial(_on_threads, bench, training, threads))


def _on_threads(bench: Bench, training: Training, threads: int) -> Row:
    with working_threads(threads):
        return _measure(bench, training, "off")


def _measure(bench: Bench, training: Training, capture: Capture) -> Row:
    run = training.start(bench, capture)
    started = time.perf_counter()
    warmed_up(bench, run)
    warm_up, before, updates = time.perf_counter() - started, run.env_steps, 0

    def step() -> None:
        nonlocal updates
        updates += bool(advance(run))

    seconds, total = bench.seconds_of(step), run.agent_steps / run.env_steps
    steps = run.task.training.num_worlds / seconds
    return {"num_worlds": run.task.training.num_worlds, "ms": 1e3 * seconds, "transitions_per_s": steps,
            "agent_steps_per_s": steps * total, "learns": updates > 0, "warm_up_s": warm_up,
            "iterations": (run.env_steps - before) // run.task.training.num_worlds, **capture_row(run),
            **bench.memory()}
