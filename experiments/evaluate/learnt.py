"""How much the learners of a run have learnt, and whether there are signs that it was too little."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from interplay.agents.parts.optimising import num_updates
from interplay.experiments.evaluate.evaluation import Report
from interplay.experiments.loop.run import Run

FEWEST_UPDATES = 500
"""Fewer updates of a network than this say nothing about it."""
_SHORTEST = 8  # episodes of the last quarter, to see a trend in
_SURE = 3.0  # standard errors of a slope
_WORTH = 0.05  # of the distance from random to the best that is known


def learnt(run: Run) -> Iterator[tuple[str, int, str]]:
    """For each learner its name, and how often it has learnt: of what, updates of a network or steps."""
    for player in run.players.each():
        if player.learns:
            updates = num_updates(player.state_dict())
            name = type(player).name
            yield (name, player.learned, "steps") if updates is None else (name, updates, "updates")


def warnings_of(run: Run, report: Report) -> list[str]:
    """Signs that the run was too short, in a sentence each."""
    found = [f"{name} learnt in {number:,} updates, which is very few" for name, number, what in learnt(run)
             if what == "updates" and number < FEWEST_UPDATES]
    returns = [row[_measure(run)] for row in run.curve]
    rise = late_rise(returns)
    if any(learnt(run)) and rise > _WORTH * _distance(run, report, returns):
        found.append(f"the {_measure(run).replace('_', ' ')} still rose by {rise:.3g} in the last quarter of the "
                     "training")
    return found


def late_rise(returns: list[float]) -> float:
    """By how much returns rose in their last quarter, where that is more than noise; else 0."""
    late = np.asarray(returns[-(len(returns) // 4):]) if len(returns) >= 4 * _SHORTEST else np.zeros(0)
    if late.size == 0 or not np.isfinite(late).all():
        return 0.0
    time = np.arange(late.size) - (late.size - 1) / 2
    slope = float(time @ late / (time @ time))
    left = late - late.mean() - slope * time
    error = float(np.sqrt(left @ left / (late.size - 2) / (time @ time)))
    return slope * late.size if slope > _SURE * error else 0.0


def _distance(run: Run, report: Report, returns: list[float]) -> float:
    """From random to the best that is known; where that is about users and the run about items, of its own returns."""
    _, best = report.reference
    return abs(best - report.random) if _measure(run) == "user_return" else max(returns) - min(returns)


def _measure(run: Run) -> str:
    return "item_return" if run.task.training.side == "items" else "user_return"
