"""The training loop: play, learn, save, and call what watches it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

from torch import Tensor

from interplay.envs.checking import check_fields
from interplay.experiments.common.folders import check_name, new_folder, owned
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Pace, interruption, resumable
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.callbacks import Callback
from interplay.experiments.loop.run import CHECKPOINT, Run
from interplay.experiments.loop.tracking import Curve, TensorBoard, episode_figures


def train(settings: TrainSettings, callbacks: Sequence[Callback] = ()) -> Run:
    """Train to the end.

    Args:
        settings: of a new run, or of the run to resume.
        callbacks: are called in this order, before those that write TensorBoard's events and curve.csv.

    Returns:
        The finished run.

    Raises:
        InterplayError: the settings are wrong, training diverged, or a file cannot be written.
        Stopped: by a signal; the run is saved, and the message says how to resume it.
    """
    check_fields(settings)
    with working_threads(settings.threads), _opened(settings) as run, resumable("train", run.folder):
        _extend(run, settings.more_episodes)
        with _begun(run, [*callbacks, TensorBoard(), Curve()]) as watching:
            _play(run, watching)
            for callback in watching:
                callback.finished(run)
    return run


@contextmanager
def _begun(run: Run, callbacks: Sequence[Callback]) -> Iterator[Sequence[Callback]]:
    """Begin callbacks, and close them also after an error."""
    with ExitStack() as closing:
        for callback in callbacks:
            closing.callback(callback.close)
            callback.begin(run)
        yield callbacks


def _play(run: Run, callbacks: Sequence[Callback]) -> None:
    """Train to the end, or until a signal; either way the run is saved."""
    def save() -> None:
        for callback in callbacks:
            callback.saving(run)
        run.save()

    metrics: dict[str, Tensor] = {}
    with interruption() as stop:
        pace = Pace(stop)
        while not run.finished:
            metrics = run.step() or metrics
            for callback in callbacks:
                callback.stepped(run)
            if run.episode_ended:
                figures = episode_figures(run, metrics)
                for callback in callbacks:
                    callback.episode_ended(run, figures)
                run.next_episode()
            pace.between(save)
        pace.now(save)


def _extend(run: Run, episodes: int) -> None:
    """Let the run play more episodes. It is saved at once, so that a resume after a crash plays them too."""
    if episodes > 0:
        run.episodes += episodes
        run.save()


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
