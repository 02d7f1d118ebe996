"""Time of many seeds that train as one beside the time of one seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.together import Together, groups
from interplay.experiments.loop.training import advance
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.settings import Training, capture_row

_SEEDS = 10
_FULL = (*(Training("kale", agent) for agent in ("pqn", "q-learning")),
         *(Training("town", agent) for agent in ("pqn", "dqn", "q-learning", "ippo")))
_TINY = (Training("kale", "pqn", 2),)


def cases(bench: Bench) -> Iterator[Case]:
    """Learners that seeds can be stacked of."""
    for training in bench.sized(_FULL, _TINY):
        yield Case(training.row, partial(_both, bench, training))


def _both(bench: Bench, training: Training) -> Row:
    seeds = bench.sized(_SEEDS, 3)
    runs = training.settings(bench, "on", seeds=seeds).of_seeds()
    (one, _), (all_of_them, row) = (_timed(bench, part) for part in (runs[:1], runs))
    return {"seeds": seeds, "ms_one": one, "ms": all_of_them, **row}


def _timed(bench: Bench, settings: Sequence[TrainSettings]) -> tuple[float, Row]:
    """Milliseconds of an iteration of these runs, and whether graphs did it."""
    (group,) = groups([Run.start(each, Path()) for each in settings])
    together = Together(group)
    repeated(lambda: advance(together), bench.sized(2 * group[0].task.market.config.horizon + 20, 3))
    return 1e3 * bench.seconds_of(lambda: advance(together)), capture_row(together.whole)
