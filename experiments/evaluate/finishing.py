"""The end of a training: the final evaluation and ``results.json``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.agents.parts.ranks import ALONE, Ranks
from interplay.envs.messages import shortened
from interplay.envs.pictures.frame import paint
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.saving import RESULTS, write_sealed
from interplay.experiments.common.settings import OPTION_OF, TrainSettings
from interplay.experiments.evaluate.during import Evaluate
from interplay.experiments.evaluate.evaluation import Report, report
from interplay.experiments.evaluate.events import log_final
from interplay.experiments.evaluate.recording import Recording
from interplay.experiments.evaluate.weights_and_biases import WeightsAndBiases, check_wandb
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import Callbacks, train_all


def train_and_evaluate(settings: TrainSettings, callbacks: Callbacks = ()) -> tuple[Run, Report]:
    """Train, evaluate on held-out worlds, and write what was found; see ``train``."""
    return train_and_evaluate_all([settings], [callbacks])[0]


def train_and_evaluate_all(several: Sequence[TrainSettings],
                           callbacks: Sequence[Callbacks],
                           ranks: Ranks = ALONE) -> list[tuple[Run, Report]]:
    """The same of runs that differ in their seeds alone; see ``train_all``. Of several processes, the first does it."""
    check_loggers(several)
    loggers = [WeightsAndBiases() for _ in several]
    finals = [FinalEvaluation(logger) for logger in loggers]
    runs = train_all(several, [[Evaluate(every=None), *own, logger, final]
                               for own, logger, final in zip(callbacks, loggers, finals, strict=True)], ranks)
    return [(run, final.found) for run, final in zip(runs, finals, strict=True)]


def check_loggers(several: Sequence[TrainSettings]) -> None:
    """Check that what the runs log to is there, before a folder is made."""
    if any(settings.logger == "wandb" for settings in several):
        check_wandb()


class FinalEvaluation(Callback[Run]):
    """Evaluates a finished run on held-out worlds beside baselines, and writes what was found.

    Args:
        logger: gets what was found, too, if it is active.

    Attributes:
        report: what was found; None before the run is finished.
    """

    report: Report | None = None

    def __init__(self, logger: WeightsAndBiases) -> None:
        self._logger = logger

    @property
    def found(self) -> Report:
        """The report of a finished run."""
        assert self.report is not None, "the run is finished"
        return self.report

    def finished(self, run: Run) -> None:
        """Evaluate, and write results.json."""
        market = run.task.held_out
        recording = Recording(market, run.players, most=1)
        self.report = found = report(market, run.players, run.task.training.eval_worlds, run.settings.seed, recording)
        log_final(run, found, _picture(run, recording), [self._logger] if self._logger.active else [])
        write_sealed(run.folder / RESULTS, results(run, found))  # since benchmarks take it for the end of the run


def _picture(run: Run, recording: Recording) -> NDArray[np.uint8] | None:
    """The market at its end; None if a mechanism from outside cannot draw."""
    try:
        return paint(recording.scenes[-1], run.task.held_out.config)
    except Exception as error:
        warnings.warn(shortened(f"no picture of the market: {type(error).__name__}: {error}"), InterplayWarning,
                      stacklevel=2)
        return None


def results(run: Run, found: Report) -> dict[str, Any]:
    """What ``results.json`` holds."""
    name, user_return = found.reference
    known = {} if found.oracle is None else {k: v for k, v in asdict(found.oracle).items() if v is not None}
    return {
        "preset": run.task.name,
        **{name: getattr(run.settings, name) for side, option in OPTION_OF.items() for name in (side, option)},
        **({"rewards": run.task.rewards} if run.task.rewards else {}),
        "seed": run.settings.seed, "device": run.task.market.device.type,
        "env_steps": run.env_steps, "agent_steps": run.agent_steps, "wall_seconds": round(run.wall_seconds, 3),
        "evaluation": found.score.as_dict(),
        "baselines": [score.as_dict() for score in found.baselines],
        "oracle": {"name": name, "user_return": user_return, "random": found.random,
                   "exact": found.oracle is not None} | known,
        "normalised_score": found.normalised_score,
        "best_response_gap": found.best_response_gap,
        "training": asdict(run.task.training),
        "options": {label: asdict(options) for label, options in run.players.options().items()},
    }
