"""Settings of the command ``interplay pretrain``, which are also what its runs are read back by."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from interplay.envs.checking import Count
from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Many, when
from interplay.experiments.common.log_settings import LikedSettings
from interplay.experiments.common.saving import CONFIG, RESULTS
from interplay.experiments.representation.recipe import RANKING, Recipe

MODEL = "model.pt"
TRAINING = "training.pt"
"""The training under way; gone once the results are there."""


@dataclass(frozen=True)
class PretrainSettings(LikedSettings, Recipe):
    """Train two towers on a log: what users take, or how they respond. Baselines are fitted on the same split."""

    k: Count = when(RANKING, 10)
    """Length of the lists that rankings are judged by."""
    seeds: Many = 1
    """Repeats with other seeds, and so other random splits, from --seed on; summed up in report.md."""
    folds: bool = False
    """One run for each of the data set's official folds (--split own), summed up in report.md."""
    baselines: bool = True
    """Whether to fit popularity, item-kNN, EASE and ALS, or biases and ALS for responses, on the same split."""
    log_dir: Path = Path("runs")
    """Folder in which the run's own folder is made."""
    name: str | None = None
    """Name of the run's own folder; by default the log, the encoder, the seed and the time."""
    resume: Path | None = None
    """Folder of a stopped run, or of all those of --seeds or --folds, to go on with. All other settings come from
    there."""
    typed: Annotated[str, tyro.conf.Suppress] = ""
    """What was typed to begin the run, for its report."""

    def recipe(self) -> Recipe:
        """The model's part of the settings."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})

    def learnt(self, log: InteractionLog) -> InteractionLog:
        """The rows of a part of the log that the task is about: all responses, or the liked ones."""
        return log if self.task == "responses" else self.liked(log)

    @property
    def inner(self) -> Literal["random", "last"]:
        """How the training part is split again: by users' last rows if the held-out part was, else at random."""
        return "last" if self.split == "last" else "random"

    def check(self) -> None:
        """Check the numbers, as ``Recipe.check`` does.

        Raises:
            InterplayError: one of them is out of range, or they do not go together.
        """
        super().check()
        if self.log is None:
            raise InterplayError("pretrain needs a log: give one with --log")
        if self.task == "ranking" and self.implicit_above is not None and self.scale_rewards != "none":
            raise InterplayError(f"scale_rewards={self.scale_rewards!r} with implicit_above={self.implicit_above:g}: "
                                 "rankings use only whether a pair is above it, so that the scale has no effect: "
                                 "leave one out")
        if self.folds and (self.split != "own" or self.seeds > 1):
            raise InterplayError(f"folds=True, split={self.split!r}, seeds={self.seeds}: folds are splits of the data "
                                 "set's own, each run once: take them with --split own and without --seeds")

    def resumed(self) -> PretrainSettings:
        """The settings of the run to resume.

        Raises:
            InterplayError: the folder is not a run that can be resumed, or has other settings than these.
        """
        assert self.resume is not None, "the caller checks"
        if not (self.resume / CONFIG).is_file():
            raise InterplayError(f"{str(self.resume)!r} is not a run of pretrain: it has no {CONFIG}; give a folder "
                                 "that pretrain wrote")
        if (self.resume / RESULTS).is_file():
            raise InterplayError(f"{str(self.resume)!r} is finished: start a new run, without --resume")
        made = self.read(self.resume)
        self.check_resumes(made, self.resume)
        return replace(made, resume=self.resume)
