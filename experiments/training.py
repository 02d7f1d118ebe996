"""The training command: play, learn, log, save, evaluate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from interplay.envs.threads import set_num_threads
from interplay.experiments.evaluation import Report, report
from interplay.experiments.folders import check_name, new_folder, owned
from interplay.experiments.run import CHECKPOINT, RESULTS, Run
from interplay.experiments.saving import write_sealed
from interplay.experiments.settings import OPTION_OF, TrainSettings
from interplay.experiments.stopping import Pace, interruption, resumable
from interplay.experiments.tables import report_table
from interplay.experiments.tracking import Tracker


def train(settings: TrainSettings) -> Path:
    """Train, evaluate, print the table and write ``results.json``.

    Returns:
        The run's folder.

    Raises:
        InterplayError: the settings are wrong, training diverged, or a file cannot be written.
        Stopped: by a signal; the run is saved, and the message says how to resume it.
    """
    torch.set_num_threads(settings.threads)
    set_num_threads(settings.threads)
    with _opened(settings) as run, resumable("train", run.folder):
        if run.game.summary:
            print("\n".join([run.game.summary, *run.notes]))
        print(f"run: {run.folder}")
        with closing(Tracker(run)) as tracker:
            _play(run, tracker)
            found = report(run.game.held_out, run.cast, run.game.training.eval_worlds, run.settings.seed)
            tracker.report(run, found)
        write_sealed(run.folder / RESULTS, results(run, found))  # since benchmarks take it for the end of the run
    print(report_table(run, found))
    return run.folder


def _play(run: Run, tracker: Tracker) -> None:
    """Train to the end, or until a signal; either way the run is saved."""
    def save() -> None:
        tracker.flush()
        run.save()

    horizon, worlds = run.game.market.config.horizon, run.game.training.num_worlds
    total = run.game.training.episodes * horizon * worlds
    metrics: dict[str, Tensor] = {}
    with interruption() as stop, tqdm(total=total, initial=run.env_steps, unit="step", mininterval=0.5) as bar:
        pace = Pace(stop)
        while not run.finished:
            metrics = run.step() or metrics
            bar.update(worlds)
            if run.episode_ended:
                score = tracker.episode(run, metrics)
                bar.set_postfix_str(f"user return {score:.1f}")
                run.next_episode()
            pace.between(save)
        pace.now(save)


@contextmanager
def _opened(settings: TrainSettings) -> Iterator[Run]:
    """A new run, or the one to resume, which no other process writes to meanwhile."""
    if settings.resume is not None:
        with owned(settings.resume) if settings.resume.is_dir() else nullcontext():
            device = None if settings.device == "auto" else settings.device
            run = Run.resumed(settings.resume, device, settings.allow_code)
            settings.check_resumes(run.settings, settings.resume)
            yield run
        return
    if settings.name is not None:
        check_name(settings.name)
    run = Run.start(settings, settings.log_dir)  # first, so that wrong settings leave no folder behind
    with new_folder(settings.log_dir, settings.name, _default_name(run), CHECKPOINT) as run.folder, owned(run.folder):
        run.write_config()
        run.save()  # what cannot be written fails now, and what diverges later leaves something finite
        yield run


def _default_name(run: Run) -> str:
    settings = run.settings
    players = [str(settings.users), str(settings.items), *([str(settings.platform)] if run.cast.has_platform else [])]
    return "-".join([run.game.name, *players, f"s{settings.seed}", time.strftime("%Y%m%d-%H%M%S")])


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
