"""Settings of ``interplay fit``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from interplay.envs.checking import Positive
from interplay.experiments.common.flags import Seed, when
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.table_settings import LOGGED


@dataclass(frozen=True)
class FitSettings(LogSettings):
    """Fit a market to the training part of a log by maximum likelihood, and write it as a preset.

    Every command takes it as --preset FOLDER. People are drawn from those of the training part. What they take, how
    they respond, how much and in which sessions is fitted, and reported beside simpler models on the held-out part, by
    default users whose rows were not seen.
    """

    log: Annotated[Path | None, tyro.conf.Positional] = None
    """Table, folder or data set, as in train."""
    split: Literal["random", "time", "global-time", "last", "own", "users"] = when(LOGGED, "users")
    """How the held-out part is chosen, as in train; users = all pairs of some users."""
    seed: Seed = 0
    """Seed of the split and of all that is drawn while fitting."""
    gap: Positive = 1800.0
    """Seconds without a row after which a user's next session begins."""
    step: Positive | None = None
    """Seconds that a step of the market takes, for a log that keeps a clock: absences last as long in the market as in
    the log, and sessions are cut off where no user has a row for longer than the gap. By default a step is a row of the
    user, and an absence takes two."""
    out: Path = Path("fitted")
    """Folder for the preset and its report."""
