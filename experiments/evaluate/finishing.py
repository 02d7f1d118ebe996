"""The end of a training: the final evaluation, its table and ``results.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from interplay.experiments.common.saving import RESULTS, write_sealed
from interplay.experiments.common.settings import OPTION_OF
from interplay.experiments.evaluate.evaluation import Report, report
from interplay.experiments.evaluate.tables import report_table
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import Tracker


def finish(run: Run, tracker: Tracker) -> None:
    """Evaluate the run on held-out worlds, write what was found, and print it."""
    found = report(run.game.held_out, run.cast, run.game.training.eval_worlds, run.settings.seed)
    score = found.score
    figures = {"user_return": score.user_return.mean, "item_return": score.item_return.mean,
               "welfare": score.welfare.mean}
    if found.normalised_score is not None:
        figures["normalised_score"] = found.normalised_score
    tracker.evaluated(run, {str(side): name for side, name in score.names().items()}, figures)
    write_sealed(run.folder / RESULTS, results(run, found))  # since benchmarks take it for the end of the run
    print(report_table(run, found))


def results(run: Run, found: Report) -> dict[str, Any]:
    """What ``results.json`` holds."""
    name, user_return = found.reference
    known = {} if found.oracle is None else {k: v for k, v in asdict(found.oracle).items() if v is not None}
    return {
        "preset": run.game.name,
        **{name: getattr(run.settings, name) for side, option in OPTION_OF.items() for name in (side, option)},
        **({"rewards": run.game.rewards} if run.game.rewards else {}),
        "seed": run.settings.seed, "device": run.game.market.device.type,
        "env_steps": run.env_steps, "agent_steps": run.agent_steps, "wall_seconds": round(run.wall_seconds, 3),
        "evaluation": found.score.as_dict(),
        "baselines": [score.as_dict() for score in found.baselines],
        "oracle": {"name": name, "user_return": user_return, "random": found.random,
                   "exact": found.oracle is not None} | known,
        "normalised_score": found.normalised_score,
        "best_response_gap": found.best_response_gap,
        "training": asdict(run.game.training),
        "options": {label: asdict(options) for label, options in run.cast.options().items()},
    }
