"""Settings of a training: one dataclass is the command line and the file in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from interplay.envs.behaviour.logged import WEIGHTED, TargetsOf
from interplay.envs.checking import Bounds, Count, Index
from interplay.envs.types import InterplayError, Side
from interplay.experiments.common.flags import Many, Need, Seed, Threads, check_flags, when
from interplay.experiments.common.log_settings import LikedSettings
from interplay.experiments.common.table_settings import LOGGED

Device = Literal["auto", "cpu", "cuda"]
Pairs = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]

Folds = Annotated[int, Bounds(2)]

OPTION_OF: dict[Side, str] = {"users": "user_option", "items": "item_option", "platform": "platform_option"}
"""The setting that holds the options of a side's agent."""

_WEIGHED = Need(lambda s: s.log is not None and s.targets in WEIGHTED,
                f"there are no weights to clip: choose --targets {' or '.join(WEIGHTED)}, or leave it out")
_PLAIN = Need(lambda s: s.log is not None and (s.encoder, s.missing, s.targets) == (None, "mask", "actual"),
              "parts of a log pay what it says of its own pairs: leave out --encoder, --missing and --targets")
_RESUMED = Need(lambda s: s.resume is not None, "code that the command itself names needs no permission: leave it out")
_EXTENDED = Need(lambda s: s.resume is not None, "name the run to train longer with --resume, or leave it out")
_SEVERAL = Need(lambda s: s.seeds > 1, "one seed trains in one process: ask for more with --seeds, or leave it out")
NO_LOG = Need(lambda s: s.log is None, "the market is made of the log: leave out one of the two")


@dataclass(frozen=True)
class LoggedMarketSettings(LikedSettings):
    """How a log becomes a market, and what is learnt there."""

    encoder: Path | None = when(LOGGED, None)
    """Folder that pretrain wrote from the same training part of the log, or that of its --seeds: the log's users and
    items get their vectors from its towers, and shared-critic starts from what fits of them. A benchmark plays the log
    twice, without and with them."""
    missing: Literal["mask", "impute", "zero"] = when(LOGGED, "mask")
    """Pairs that the log lacks: never offered, answered by a low-rank model of the training part, or answered 0."""
    targets: TargetsOf = when(LOGGED, "actual")
    """Rewards that learners of a log use: the market's responses (actual), only those of logged pairs (replay), a
    model's predictions for other pairs (imputed), logged ones weighted by inverse propensities (ips), or predictions
    that these correct (doubly-robust). Play and evaluation always use the market's responses."""
    clip_weights: float | None = when(_WEIGHED, None)
    """Highest inverse propensity of ips and doubly-robust; by default none is cut off."""
    cross_fit: Folds | None = when(_PLAIN, None)
    """Parts into which the training pairs of a log are divided: in each episode another part pays, and what agents see
    of users and items comes from the others. For logs with few pairs for each item, whose mean then nearly is what a
    pair pays in training, and much less of held-out pairs. By default all pairs pay, and features come from all."""


@dataclass(frozen=True)
class RunSettings:
    """Market, agents, length of training, and where the run is written."""

    preset: str = when(NO_LOG, "town")
    """Market to play, in place of one made of a log: a name, or module:attribute for one of your own."""
    users: str | None = None
    """Agent that plays the users: a name, or module:Class, either with ,OPTION=VALUE behind it; by default dqn, or what
    the preset recommends."""
    items: str | None = None
    """Agent that plays the items, given in the same way."""
    platform: str | None = None
    """Agent that fills the slates, given in the same way; plackett-luce, which most presets recommend, leaves it to the
    market."""
    seed: Seed = 0
    """Seed of the training worlds, of the agents and of the split of a log."""
    seeds: Many = 1
    """Seeds to train, from --seed on, each as a run of its own, in several processes. On a GPU, and from 3 seeds on a
    CPU, those of a process learn at once where the agents can be stacked."""
    workers: Threads | None = when(_SEVERAL, None)
    """Processes that share the seeds; by default one for each core that may be used, and one alone on a GPU."""
    episodes: Count | None = None
    """Episodes of training; by default what the preset recommends for the device."""
    num_worlds: Many | None = None
    """Worlds side by side; by default what the preset recommends for the device."""
    eval_worlds: Many | None = None
    """Held-out worlds of the final evaluation; by default what the preset recommends."""
    discount: float | None = None
    """Discount of learners; by default what the preset recommends."""
    eval_every: Index = 0
    """Episodes between evaluations during training, on held-out worlds without exploration; 0 = none, but
    for ten glances at few worlds that the command line takes."""
    device: Device = "auto"
    """Where everything runs."""
    capture: Literal["auto", "on", "off"] = "auto"
    """Whether iterations of training are recorded as graphs and replayed, with the same results: auto = on a GPU, where
    they become CUDA graphs. On a CPU, on is slow and only shows that an agent can be recorded."""
    threads: Threads = 1
    """Threads on the CPU. Small tensors gain nothing from more, and a busy machine makes two slower than one."""
    log_dir: Path = Path("runs")
    """Folder in which the run's own folder is made."""
    name: str | None = None
    """Name of the run's own folder; by default the market, the agents, the seed and the time."""
    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    """Where curves and pictures go: to TensorBoard's files in the run's folder, or to Weights & Biases as well, in the
    project interplay. WANDB_MODE=offline keeps them in the run's folder until wandb sync."""
    resume: Path | None = None
    """Folder of an interrupted run to resume. All other settings come from there."""
    allow_code: bool = when(_RESUMED, False)
    """Allow --resume to import the code that the run's folder names as module:Name. Allow it only if you trust both."""
    keep_replay: bool = False
    """Keep the agents' replay, tens of megabytes, in the last checkpoint, so that a finished run can train longer as if
    it had not ended. Without it the run keeps what it has learnt, and its memory fills again."""
    more_episodes: Index = when(_EXTENDED, 0)
    """Episodes to train in addition, at the last rates of learning and exploring, also where the run is finished."""
    code: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """What is named as module:Name, each with the checksum of its file."""
    sizes_of: Annotated[Literal["cpu", "cuda"] | None, tyro.conf.Suppress] = None
    """Kind of device whose recommended sizes the run has, wherever it goes on; None = of the one that it starts on."""


@dataclass(frozen=True)
class OptionSettings:
    """Numbers of the market and of the agents that differ from what the preset recommends."""

    market: Pairs = field(default_factory=tuple)
    """NAME=VALUE, changes a number of the market (see interplay.envs.config); MECHANISM.NAME=VALUE one of a mechanism.
    May be repeated."""
    mechanism: Pairs = field(default_factory=tuple)
    """Mechanism to add to the market: a name, or module:Class for one of your own. May be repeated."""
    user_option: Pairs = field(default_factory=tuple)
    """NAME=VALUE, sets a hyper-parameter of the users' agent. May be repeated."""
    item_option: Pairs = field(default_factory=tuple)
    """NAME=VALUE, sets a hyper-parameter of the items' agent. May be repeated."""
    platform_option: Pairs = field(default_factory=tuple)
    """NAME=VALUE, sets a hyper-parameter of the platform's agent. May be repeated."""


@dataclass(frozen=True)
class TrainSettings(OptionSettings, LoggedMarketSettings, RunSettings):
    """Train users, items and platforms with and against each other, then evaluate them on held-out worlds."""

    def check(self) -> None:
        """Check the numbers. Not done when they are set: the command line's parser would wrap the error in a box.

        Raises:
            InterplayError: one of them is out of range.
        """
        check_flags(self)
        if self.discount is not None and not 0.0 <= self.discount < 1.0:
            raise InterplayError(f"discount={self.discount} must be at least 0 and below 1")
        self.preparation()

    @property
    def named(self) -> list[str]:
        """The preset, mechanisms and agents, by name or as module:Class."""
        names = (self.preset, self.users, self.items, self.platform, *self.mechanism)
        return [name for name in names if name is not None]

    @property
    def code_flag(self) -> str:
        """What a command adds to the folder of such a run, so that it may import the user's own code."""
        return " --allow-code" if any(":" in name for name in self.named) else ""

    def of_seeds(self) -> list[TrainSettings]:
        """The settings of a run for each of the seeds."""
        if self.seeds == 1:
            return [self]
        return [replace(self, seed=seed, seeds=1, workers=None,
                        name=None if self.name is None else f"{self.name}-s{seed}")
                for seed in range(self.seed, self.seed + self.seeds)]

    def played_by(self, side: Side, agent: str) -> TrainSettings:
        """These settings with ``agent`` on ``side``."""
        players: dict[str, Any] = {side: agent}
        return replace(self, **players)


def find_device(name: str) -> torch.device:
    """``auto`` takes CUDA where there is one.

    Raises:
        InterplayError: CUDA was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InterplayError("device='cuda', but torch sees no CUDA device here: use --device cpu or --device auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
