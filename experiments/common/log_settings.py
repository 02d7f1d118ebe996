"""Settings of a log, which all commands on logs have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from interplay.envs.checking import Index
from interplay.envs.data import InteractionLog, Preparation
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Need, changed, when
from interplay.experiments.common.saving import CONFIG, read_text
from interplay.experiments.common.serialising import from_json, to_json
from interplay.experiments.common.table_settings import LOGGED, TableSettings

_FREE = ("resume", "device", "threads", "allow_code", "more_episodes", "keep_replay")
"""What may differ when a run is resumed."""

_DOWNLOADED = Need(lambda s: s.log is not None and not s.log.exists(),
                   "only public data sets are looked for in it: name one with --log, or leave it out")
_SHARED_OUT = Need(lambda s: s.log is not None and s.split not in ("last", "own"),
                   "a log is split by it with --split random, time or global-time: leave it out")
_GRADED = Need(lambda s: s.log is not None and s.implicit_above is None,
               "it is about a log, and --implicit-above says the same: leave it out")
_OWN_SPLIT = Need(lambda s: s.log is not None and s.split == "own", "take it with --split own, or leave it out")
_UNNAMED = Need(lambda s: s.log is not None and s.named_columns(s.split_column) is None,
                "it is about a log whose columns are not named: leave it out, or leave out their names")


@dataclass(frozen=True)
class LogSettings(TableSettings):
    """Which log, what is done to it, and which part of it is held out."""

    log: Path | None = None
    """Log to take users, items and rewards from: a table (text, JSON lines or Parquet, packed or not), a folder of
    such parts, a data set's folder, or the name of a public data set such as movielens-1m, which is downloaded (a wrong
    name lists all)."""
    data_dir: Path | None = when(_DOWNLOADED, None)
    """Folder with public data sets, which are then not downloaded."""
    guess_columns: bool = when(_UNNAMED, False)
    """Take likely columns of a table, by their names and values, as interplay log shows them; a line says which."""
    split_column: str | None = when(_OWN_SPLIT, None)
    """Column of the log that says train or test, if it comes with a split of its own: --split own takes it."""
    reward_range: tuple[float, float] | None = when(LOGGED, None)
    """Worst and best possible reward, if the log does not have both: for a log that holds only clicks, give 0 1. By
    default the log's lowest and highest reward; of --reward-map, 0 if nothing is below it, and the highest."""
    user_features: Path | None = when(LOGGED, None)
    """Table of user features, one row for each user, with ids in the log's user column. Numbers are standardised, text
    becomes one column for each category. It replaces the features of a data set."""
    item_features: Path | None = when(LOGGED, None)
    """Table of item features, with ids in the log's item column."""
    held_out: float = when(_SHARED_OUT, 0.2)
    """Part of the log (with --split users, of its users) that only the evaluation sees."""
    split: Literal["random", "time", "global-time", "last", "own", "users"] = when(LOGGED, "random")
    """How the held-out part is chosen: at random, each user's newest pairs, the newest of all, each user's very last
    one, all pairs of some users, or as the data set or --split-column says."""
    duplicates: Literal["keep", "mean", "sum", "first", "last"] = when(LOGGED, "keep")
    """Rows of one pair: all kept, or one row in their place."""
    clip_rewards: tuple[float, float] | None = when(LOGGED, None)
    """Lowest and highest reward; rewards beyond are set to the nearer one."""
    implicit_above: float | None = when(LOGGED, None)
    """Rewards above this become 1, all others 0."""
    k_core: Index = when(LOGGED, 0)
    """Keep only users and items that have at least this many pairs with each other."""
    scale_rewards: Literal["none", "log", "range", "user"] = when(LOGGED, "none")
    """Rewards of the log as they are, their log(1 + reward), mapped to [0, 1], or less each user's training mean."""

    def preparation(self) -> Preparation:
        """What is done to the log before it is split.

        Raises:
            InterplayError: one of its numbers is out of range.
        """
        return Preparation(self.duplicates, self.clip_rewards, self.implicit_above, self.k_core, self.scale_rewards,
                           self.reward_range)

    def to_json(self) -> str:
        """The settings as text; paths become absolute, so that the run can be used from any folder."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, path: Path = Path(CONFIG)) -> Self:
        """The settings that ``to_json`` wrote into ``path``."""
        return from_json(cls, text, path)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The settings of the run in ``folder``."""
        return cls.from_json(read_text(folder / CONFIG), folder / CONFIG)

    def check_resumes(self, made: LogSettings, folder: Path, given: Collection[str] = ()) -> None:
        """Check that these settings agree with those of the run to resume in ``folder``.

        Args:
            made: the run's.
            folder: of the run.
            given: settings that were typed, which are compared even if they are the default.

        Raises:
            InterplayError: one of them differs.
        """
        for name in sorted({*given, *changed(self)} - {*_FREE}):
            value, old = getattr(self, name), getattr(made, name)
            if _whole(value) != _whole(old):
                raise InterplayError(f"--resume {folder}: the run has {name}={old!r}, not {value!r}; leave the flag "
                                     "out, or start a new run")


@dataclass(frozen=True)
class LikedSettings(LogSettings):
    """A log, and which of its pairs count as liked: in training, baselines, figures and lists alike."""

    liked_above: float | None = when(_GRADED, None)
    """Rewards above this count as liked, after the preparation of the log. By default all pairs count where items are
    ranked (a log of what users take), and rewards above the middle of the scale where responses are predicted."""

    def liked(self, log: InteractionLog) -> InteractionLog:
        """The rows that count as liked: those above ``liked_above``, those that ``implicit_above`` made 1, or all."""
        above = 0.5 if self.implicit_above is not None else self.liked_above
        return log if above is None else log.take(log.reward > np.float32(above), "not liked")

    def threshold(self, log: InteractionLog) -> float:
        """Above which a response is called liked."""
        return sum(log.reward_range) / 2.0 if self.liked_above is None else self.liked_above


def _whole(value: Any) -> Any:
    """Make an existing path absolute, as in config.json."""
    return value.resolve() if isinstance(value, Path) and value.exists() else value
