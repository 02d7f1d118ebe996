"""The training loop: play, learn, save, and call what watches it."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace

from torch import Tensor

from interplay.agents.parts.ranks import ALONE, LostProcessError, Ranks
from interplay.envs.checking import check_fields
from interplay.envs.types import InterplayError
from interplay.experiments.common.finite import diverged
from interplay.experiments.common.folders import check_name, new_folder, owned
from interplay.experiments.common.looping import Callback, train_watched
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import resumable
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.run import CHECKPOINT, Run
from interplay.experiments.loop.together import Together, groups
from interplay.experiments.loop.tracking import Curve, TensorBoard

Callbacks = Sequence[Callback[Run]]


def train(settings: TrainSettings, callbacks: Callbacks = ()) -> Run:
    """Train to the end; see ``train_all``."""
    return train_all([settings], [callbacks])[0]


def train_all(several: Sequence[TrainSettings], callbacks: Sequence[Callbacks], ranks: Ranks = ALONE) -> list[Run]:
    """Train runs to the end that differ in their seeds alone: as one, where their agents can be stacked.

    Args:
        several: settings of each new run, or of each run to resume.
        callbacks: of each run, which are called in this order, before those that write TensorBoard's events and
            curve.csv.
        ranks: which of several processes this one is, if several train the run. The first one writes files and has
            callbacks.

    Returns:
        The finished runs.

    Raises:
        InterplayError: the settings are wrong, or a file cannot be written.
        DivergedError: what a run has learnt is not finite; all others were trained to the end.
        Stopped: by a signal; the run is saved, and the message says how to resume it.
    """
    for settings in several:
        check_fields(settings)
    if ranks.size > 1 and len(several) > 1:
        raise InterplayError(f"{len(several)} seeds in {ranks.size} processes: train one seed at a time")
    with ExitStack() as opened:
        opened.enter_context(working_threads(several[0].threads))
        runs = [opened.enter_context(open_run(settings, ranks)) for settings in several]
        ranks.wait()  # so that all have read what the first one writes from now on
        opened.enter_context(_resumable(runs))
        for run, settings in zip(runs, several, strict=True):
            _extend(run, settings.more_episodes)
        watching = [(run, callback) for run, own in zip(runs, callbacks, strict=True) if ranks.first
                    for callback in (*own, TensorBoard(run.folder, lambda run: run.env_steps), Curve())]
        found: dict[int, str] = {}
        for group in map(Together, groups(runs)):
            with _reporting_losses(group.runs):
                train_watched(group, watching)
            found |= {run.settings.seed: str(error) for run, error in group.diverged}
    if found:
        raise diverged(found, len(runs))
    return runs


def advance(run: Run | Together) -> dict[str, Tensor]:
    """One iteration of training, and the next episode where one has ended; gives the metrics."""
    metrics = run.step()
    if run.episode_ended:
        run.next_episode()
    return metrics


def train_unwatched(run: Run) -> None:
    """Train to the end; nothing is written."""
    while not run.finished:
        advance(run)


def _extend(run: Run, episodes: int) -> None:
    """Let the run play more episodes. It is saved at once, so that a resume after a crash plays them too."""
    if episodes > 0:
        if run.forgot:
            warnings.warn(f"{str(run.folder)!r} was finished and saved without the agents' replay: they keep what they "
                          "have learnt, and learn on once their memory has filled up to the warm-up again; "
                          "--keep-replay at the start keeps it", InterplayWarning, stacklevel=2)
        run.episodes += episodes
        run.save()


def _resumable(runs: Sequence[Run]) -> AbstractContextManager[None]:
    """If a signal or a write error ends them, the message says how to resume them."""
    return resumable("train", *(run.folder for run in runs), launcher=runs[0].ranks.launcher,
                     flags=runs[0].settings.code_flag)


@contextmanager
def _reporting_losses(runs: Sequence[Run]) -> Iterator[None]:
    """Say how to go on where one of several processes was lost."""
    try:
        yield
    except LostProcessError as lost:
        # torchrun now stops those that are left, which would add a line.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        raise InterplayError(f"{lost}; go on from the last checkpoint with: {runs[0].ranks.launcher}interplay train "
                             f"--resume {runs[0].folder}{runs[0].settings.code_flag}") from lost


@contextmanager
def open_run(settings: TrainSettings, ranks: Ranks = ALONE) -> Iterator[Run]:
    """A new run, or the one to resume, which no other process writes to meanwhile."""
    if settings.resume is not None:
        with owned(settings.resume) if settings.resume.is_dir() and ranks.first else nullcontext():
            device = None if settings.device == "auto" else settings.device
            run = Run.resumed(settings.resume, device, settings.allow_code, ranks=ranks)
            settings.check_resumes(run.settings, settings.resume)
            if run.processes != ranks.size:
                raise InterplayError(f"{run.processes} processes have trained {str(settings.resume)!r}, not "
                                     f"{ranks.size}: go on with: {Ranks(0, run.processes).launcher}interplay train "
                                     f"--resume {settings.resume}")
            run.settings = replace(run.settings, keep_replay=run.settings.keep_replay or settings.keep_replay)
            yield run
        return
    if settings.name is not None:
        check_name(settings.name)
    run = Run.start(settings, settings.log_dir, ranks)  # first, so that wrong settings leave no folder behind
    if not ranks.first:
        yield run
        return
    with new_folder(settings.log_dir, settings.name, _default_name(run), CHECKPOINT) as run.folder, owned(run.folder):
        run.write_config()
        run.save()  # what cannot be written fails now, and what diverges later leaves something finite
        yield run


def _default_name(run: Run) -> str:
    settings = run.settings
    agents = [str(settings.users), str(settings.items), *([str(settings.platform)] if run.players.has_platform else [])]
    return "-".join([run.task.name, *agents, f"s{settings.seed}", time.strftime("%Y%m%d-%H%M%S")])
