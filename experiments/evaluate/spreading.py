"""Several seeds in several processes, each of which trains a part of them, as one where they can be stacked."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from interplay.envs.checking import check_fields
from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError
from interplay.experiments.common.finite import DivergedError, diverged
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.notes import InterplayWarning, printed_notes
from interplay.experiments.common.progress import tqdm
from interplay.experiments.common.settings import TrainSettings, find_device
from interplay.experiments.common.stopping import resumable, stoppable
from interplay.experiments.common.threads import working_threads
from interplay.experiments.common.workers import Ended, send, usable_cores, worked
from interplay.experiments.evaluate.evaluation import Report
from interplay.experiments.evaluate.finishing import check_loggers, train_and_evaluate_all
from interplay.experiments.loop.progress import often, returns
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import Callbacks, open_run


class _Part(NamedTuple):
    """What a process trains.

    Attributes:
        settings: of its runs, which have folders.
        callbacks: watch each of them.
    """

    settings: tuple[TrainSettings, ...]
    callbacks: Callbacks


class _Moved(NamedTuple):
    """News of a part: steps of worlds since the last, and what to show beside them."""

    steps: int
    shown: str


class _Outcome(NamedTuple):
    """What became of a part: the reports of its runs, or why there are none."""

    reports: list[Report]
    error: InterplayError | None = None


def num_processes(settings: TrainSettings) -> int:
    """How many processes train the seeds: as many as were asked for, or one for each core, at most one a seed.

    One alone for what other processes cannot find or would share: what the main program defines, and a GPU.
    """
    if settings.workers is not None:
        return min(settings.workers, settings.seeds)
    if find_device(settings.device).type != "cpu" or needs_main(settings):
        return 1
    return max(1, min(usable_cores() // settings.threads, settings.seeds))


def needs_main(settings: TrainSettings) -> bool:
    """Whether the main program defines the preset, a mechanism or one of the agents."""
    return any(name.startswith("__main__:") for name in settings.named)


def train_spread(several: Sequence[TrainSettings], count: int, callbacks: Callbacks = (), *,
                 begin: Callable[[Run], object] = lambda run: None, shown: bool = False) -> list[tuple[Run, Report]]:
    """What ``train_and_evaluate_all`` does, in ``count`` processes. Runs are equal to those of one up to rounding.

    Args:
        several: settings that differ in their seeds alone.
        count: processes.
        callbacks: watch each run, as copies in its process.
        begin: is called here with each run before it is trained.
        shown: whether a progress bar is shown.

    Raises:
        InterplayError: as ``train_all`` does, or a process died; all other processes have trained their part.
        Stopped: by a signal; all runs are saved, and the message says how to resume them.
    """
    check_loggers(several)
    with stoppable(), working_threads(several[0].threads):
        folders, steps = zip(*(_made(settings, begin) for settings in several), strict=True)
        given = [TrainSettings(resume=folder, allow_code=True, threads=settings.threads, device=settings.device)
                 for folder, settings in zip(folders, several, strict=True)]
        parts = [_Part(tuple(given[place] for place in places), tuple(callbacks))
                 for places in divided(len(given), count)]
        with resumable("train", *folders, flags=several[0].code_flag), _Bar(sum(steps), shown) as bar:
            outcomes = _played(parts, count, any(map(needs_main, several)), bar.move)
    _check([outcomes[part.settings].error for part in parts], len(several))
    reports = [report for part in parts for report in outcomes[part.settings].reports]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterplayWarning)  # of what the processes have noted
        return [(Run.load(folder, allow_code=True), report) for folder, report in zip(folders, reports, strict=True)]


def divided(number: int, count: int) -> list[range]:
    """So many places in ``count`` parts of about the same length."""
    return [range(part * number // count, (part + 1) * number // count) for part in range(count)]


def _made(settings: TrainSettings, begin: Callable[[Run], object]) -> tuple[Path, int]:
    """The folder of a run, which is new, and how many steps of worlds are left to play."""
    check_fields(settings)
    with open_run(settings) as run:
        begin(run)
        whole = run.episodes * run.task.market.config.horizon * run.task.training.num_worlds
        return run.folder, whole - run.env_steps


def _played(parts: Sequence[_Part], count: int, main: bool, hear: Callable[[Any], None]) -> dict[Any, _Outcome]:
    """What became of each part, by its settings."""
    ends, outcomes = worked(_train, parts, count, _output_of, main, hear), {}
    try:
        for end in ends:
            outcomes[end.job.settings] = _outcome(end)
    finally:
        ends.close()
        for part in parts:
            if part.settings not in outcomes:  # it was stopped
                _output_of(part).unlink(missing_ok=True)
    return outcomes


def _train(part: _Part) -> _Outcome:
    """What a process does."""
    watching = [[*part.callbacks, _Ahead()] for _ in part.settings]
    with printed_notes():
        try:
            return _Outcome([report for _, report in train_and_evaluate_all(part.settings, watching)])
        except InterplayError as error:
            return _Outcome([], error)


def _outcome(end: Ended[_Part, _Outcome]) -> _Outcome:
    """What became of a part; prints what its process has printed."""
    said, first = end.said(), end.job.settings[0].resume
    if end.result is None:
        last = (said.splitlines() or [""])[-1]
        return _Outcome([], InterplayError(
            f"the process of {len(end.job.settings)} seeds died ({end.death}; {shortened(last, 80)}; all that it said "
            f"is in {end.output}): go on with: interplay train --resume {first}"))
    end.output.unlink(missing_ok=True)
    print(said, end="", file=sys.stderr)
    return end.result


def _output_of(part: _Part) -> Path:
    """The file that takes what a process prints."""
    folder = part.settings[0].resume
    assert folder is not None, "it was made"
    return folder.with_name(folder.name + ".log")


def _check(errors: Sequence[InterplayError | None], count: int) -> None:
    """Raise what ended a part: the first error, unless all are of seeds that diverged."""
    found = [error for error in errors if error is not None]
    others = [error for error in found if not isinstance(error, DivergedError)]
    if others:
        raise others[0]
    if found:
        raise diverged({seed: why for error in found for seed, why in error.found.items()}, count)  # type: ignore


class _Ahead(Callback[Run]):
    """Sends the parent how far a run has come since it last did."""

    def __init__(self) -> None:
        self._steps, self._next, self._shown = 0, 0.0, ""

    def stepped(self, run: Run) -> None:
        """Send it, twice a second."""
        self._steps += run.task.training.num_worlds
        if time.monotonic() > self._next or run.episode_ended:
            send(_Moved(self._steps, self._shown))
            self._steps, self._next = 0, time.monotonic() + 0.5

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Note the return."""
        self._shown = returns(figures)


class _Bar:
    """A bar over the steps of all runs."""

    def __init__(self, total: int, shown: bool) -> None:
        self._bar = tqdm(total=total, unit="step", mininterval=often(), smoothing=0.0, disable=not shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def move(self, news: _Moved) -> None:
        """Move it."""
        self._bar.set_postfix_str(news.shown, refresh=False)
        self._bar.update(news.steps)
