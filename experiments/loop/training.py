"""The training loop: play, learn, log, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from interplay.envs.threads import set_num_threads
from interplay.experiments.common.folders import check_name, new_folder, owned
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Pace, interruption, resumable
from interplay.experiments.loop.run import CHECKPOINT, Run
from interplay.experiments.loop.tracking import Tracker

End = Callable[[Run, Tracker], None]
"""What to do with a run that is finished, before its folder is given free."""


def train(settings: TrainSettings, end: End | None = None) -> Path:
    """Train, and then do with the run what ``end`` says.

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
            if end is not None:
                end(run, tracker)
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
