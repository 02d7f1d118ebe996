"""The training command: play, learn, log, save, evaluate."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from interplay.envs.types import InterplayError
from interplay.experiments.evaluation import Report, report
from interplay.experiments.run import CONFIG, RESULTS, Run
from interplay.experiments.saving import interruption, whole
from interplay.experiments.settings import OPTION_OF, TrainSettings
from interplay.experiments.tables import report_table
from interplay.experiments.tracking import Tracker

_SAVE_EVERY = 120.0  # seconds between checkpoints, so that even a power cut loses little


def train(settings: TrainSettings) -> Path:
    """Train, evaluate, print the table and write ``results.json``.

    Returns:
        The run's folder.

    Raises:
        InterplayError: whatever is wrong with the settings.
    """
    torch.set_num_threads(max(1, settings.threads))
    run = _resumed(settings) if settings.resume is not None else _started(settings)
    if run.game.summary:
        print("\n".join([run.game.summary, *run.notes]))
    print(f"run: {run.folder}")
    tracker = Tracker(run)
    try:
        if not _play(run, tracker):
            print(f"stopped at step {run.env_steps}; go on with: interplay train --resume {run.folder}")
            return run.folder
        found = report(run.game.held_out, run.cast, run.game.training.eval_worlds, run.settings.seed)
        tracker.report(run, found)
    finally:
        tracker.close()
    with whole(run.folder / RESULTS) as partial:  # since benchmarks take it for the end of the run
        partial.write_text(json.dumps(results(run, found), indent=2) + "\n")
    print(report_table(run, found))
    return run.folder


def _play(run: Run, tracker: Tracker) -> bool:
    """Train to the end, or until Ctrl-C; either way the run is saved. True at the end."""
    horizon, worlds = run.game.market.config.horizon, run.game.training.num_worlds
    total = run.game.training.episodes * horizon * worlds
    metrics: dict[str, Tensor] = {}
    saved = time.monotonic()
    with interruption() as stop, tqdm(total=total, initial=run.env_steps, unit="step", mininterval=0.5) as bar:
        while not run.finished and not stop:
            metrics = run.step() or metrics
            bar.update(worlds)
            if run.episode_ended:
                score = tracker.episode(run, metrics)
                bar.set_postfix_str(f"user return {score:.1f}")
                run.next_episode()
            if time.monotonic() - saved > _SAVE_EVERY:
                run.save()
                saved = time.monotonic()
    run.save()
    return run.finished


def _started(settings: TrainSettings) -> Run:
    run = Run.start(settings, settings.log_dir)  # first, so that wrong settings leave no folder behind
    run.folder = _make_folder(run)
    (run.folder / CONFIG).write_text(run.settings.to_json() + "\n")
    return run


def _make_folder(run: Run) -> Path:
    """A new folder; a number is added where two runs start within a second."""
    settings, number = run.settings, 0
    players = [str(settings.users), str(settings.items), *([str(settings.platform)] if run.cast.has_platform else [])]
    name = "-".join([run.game.name, *players, f"s{settings.seed}", time.strftime("%Y%m%d-%H%M%S")])
    folder = settings.log_dir / (settings.name or name.replace(":", "."))
    while True:
        path = folder.with_name(f"{folder.name}-{number}") if number else folder
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            if not folder.parent.is_dir():
                raise InterplayError(_not_writable(folder.parent, "a file is in its place")) from None
            if settings.name is not None:
                raise InterplayError(f"name={settings.name!r} is taken in {str(folder.parent)!r}: choose another, or "
                                     f"go on with --resume {folder}") from None
            number += 1
        except OSError as error:
            raise InterplayError(_not_writable(folder.parent, error.strerror or str(error))) from error


def _not_writable(folder: Path, reason: str) -> str:
    return f"log_dir={str(folder)!r} cannot be written ({reason}): choose another with --log-dir"


def _resumed(settings: TrainSettings) -> Run:
    assert settings.resume is not None
    run = Run.load(settings.resume, None if settings.device == "auto" else settings.device)
    settings.check_resumes(run.settings, settings.resume)
    return run


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
