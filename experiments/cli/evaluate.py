"""``interplay evaluate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from interplay.envs.checking import Count, check_value
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Many
from interplay.experiments.common.progress import progress
from interplay.experiments.common.settings import Device
from interplay.experiments.common.threads import working_threads
from interplay.experiments.evaluate.evaluation import evaluate, report
from interplay.experiments.evaluate.export import Recorder, check_export
from interplay.experiments.evaluate.planning import Planned
from interplay.experiments.evaluate.tables import report_table
from interplay.experiments.loop.run import Run


@working_threads(1)
def command(run: Annotated[Path, tyro.conf.Positional], eval_worlds: int | None = None,
            device: Device = "auto", export: Path | None = None,
            explore: bool = False, allow_code: bool = False, plan: Literal["users", "items", "platform"] | None = None,
            rollouts: int = 16) -> None:
    """Load a run's checkpoint and repeat its evaluation.

    Args:
        run: folder that train wrote.
        eval_worlds: held-out worlds; by default as many as the run used.
        device: where to evaluate.
        export: file NAME.market.parquet to write every step to: what users saw, were offered, took and got, and the
            propensities of slates. It can be read as a log, and by ope.
        explore: write steps of agents that explore, as they did at the end of training, which is what off-policy
            evaluation needs of a platform; the evaluation is without.
        allow_code: import the code that the run's folder names as module:Name. Allow it only if you trust both.
        plan: side whose agents improve on their policy by rollouts in copies of the world. What they earn is a lower
            bound of the best that the side could earn. It takes rollouts * actions * horizon times as long, with up to
            8 agents also times the agents.
        rollouts: copies of each world in which they try each action; 1 is enough where nothing is left to chance.
    """
    check_value("eval_worlds", eval_worlds, Many | None)
    check_value("rollouts", rollouts, Count)
    _check_export(export, explore)
    loaded = Run.load(run, device, allow_code)
    if eval_worlds is not None:
        loaded.task = loaded.task._replace(training=replace(loaded.task.training, eval_worlds=eval_worlds))
    market, worlds = loaded.task.held_out, loaded.task.training.eval_worlds
    recorder = None if export is None else Recorder(market)
    found = report(market, loaded.players, worlds, loaded.settings.seed, None if explore else recorder)
    print(report_table(loaded, found))
    if plan is not None:
        print(f"lower bound by planning: {evaluate(market, Planned(loaded.players, plan, rollouts), worlds)}")
    if recorder is not None and export is not None:
        if explore:
            with progress("export", market.config.horizon):
                evaluate(market, loaded.players, worlds, recorder, explore=True)
        recorder.write(export)
        print(f"wrote {export}")


def _check_export(export: Path | None, explore: bool) -> None:
    if export is not None:
        check_export(export)
    elif explore:
        raise InterplayError("--explore says which steps --export writes: name a file with it, as in --export "
                             "run.market.parquet")
