"""A run: its agents, its worlds, how far it has come; how it is saved and how it goes on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from interplay.agents.parts.captured import Captured
from interplay.agents.parts.ranks import ALONE, Ranks
from interplay.agents.parts.replay import memories_left_out
from interplay.envs.discovery import code_digest, trusting
from interplay.envs.messages import shortened
from interplay.envs.presets.folders import found_anywhere
from interplay.envs.types import InterplayError
from interplay.experiments.common.finite import check_state
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.saving import (
    CONFIG,
    RESULTS,
    digest_of_file,
    load_checkpoint,
    save_checkpoint,
    write_text,
)
from interplay.experiments.common.serialising import to_json
from interplay.experiments.common.settings import Device, TrainSettings, find_device
from interplay.experiments.loop.make_players import make_players
from interplay.experiments.loop.play import EpisodeStats, Snapshot, iterate, look
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.resolved import RunConfig, note_changes
from interplay.experiments.loop.task import Task, make_task, with_agents

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
_COLUMNS = ("env_steps", "wall_seconds", "episode", "user_return", "item_return", "mean_boost")

__all__ = ["BEST", "CHECKPOINT", "CONFIG", "RESULTS", "Run", "make_players"]


@dataclass
class Run:
    """Training under way. Between two calls of ``step`` it can be saved and goes on bit for bit.

    Attributes:
        settings: what the user asked for.
        folder: where everything is written.
        task: markets and recommended training.
        players: the agent of each side.
        now: the worlds between two steps.
        stats: sums of the episode under way.
        episode: finished episodes.
        time: steps taken in the episode under way.
        wall_seconds: time spent training, over all resumptions.
        notes: lines on what players started from.
        curve: rows of curve.csv, one for each finished episode: figures by column.
        metrics: of the learners, the last value of each name; not all learn at each step.
        captured: graphs of iterations; None = there are none.
        seeds: of several runs that are played as one; () = it is one run, with the seed of its settings.
        refresh: is called before the run is saved, and brings up to date what it holds if it is played with others.
        episodes: episodes after which the run is finished. More or fewer than planned, it changes no schedule: rates of
            learning and exploring are a function of the planned episodes, and stay at their last value after those.
        ranks: which of several processes this one is, if several train the run: each plays a part of the worlds.
        processes: how many processes wrote the checkpoint that it started from.
        forgot: whether it goes on from a checkpoint without the replay of its agents.
    """

    settings: TrainSettings
    folder: Path
    task: Task
    players: Players
    now: Snapshot
    stats: EpisodeStats
    episode: int = 0
    time: int = 0
    wall_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    curve: list[dict[str, float]] = field(default_factory=list)
    metrics: dict[str, Tensor] = field(default_factory=dict)
    episodes: int = 0
    captured: Captured | None = None
    seeds: tuple[int, ...] = ()
    refresh: Callable[[], None] = lambda: None
    ranks: Ranks = ALONE
    processes: int = 1
    forgot: bool = False
    _numbers: Tensor | None = None
    _warned: str = ""

    def __post_init__(self) -> None:
        self.episodes = self.episodes or self.task.training.episodes

    @classmethod
    def start(cls, settings: TrainSettings, folder: Path, ranks: Ranks = ALONE) -> Self:
        """A run at its beginning."""
        device = find_device(settings.device)
        settings = replace(settings, preset=found_anywhere(settings.preset))
        settings = with_agents(replace(
            settings, sizes_of=settings.sizes_of or ("cuda" if device.type == "cuda" else "cpu")))
        task = make_task(settings, device)
        players = make_players(settings, task)
        named = (settings.preset if settings.log is None else "", settings.users, settings.items, settings.platform,
                 *settings.mechanism)
        settings = replace(settings, code=tuple(code_digest(name) for name in named if name and ":" in name))
        notes = () if task.pretrained is None else tuple(players.warm_start(task.pretrained.pretrained()))
        for player in players.each():
            player.join(ranks)
        now = _first_snapshot(settings.seed, task, players, _worlds(task, 0, ranks))
        run = cls(settings, folder, task, players, now, EpisodeStats.empty(now.state), notes=notes, ranks=ranks,
                  processes=ranks.size)
        run.capture()
        return run

    @classmethod
    def load(cls, folder: Path, device: Device | None = None, allow_code: bool = False,
             checkpoint: str = CHECKPOINT) -> Self:
        """The run that was saved in ``folder``.

        Args:
            folder: that train wrote.
            device: where to go on; by default where it was.
            allow_code: whether what the folder names as ``module:Name`` may be imported.
            checkpoint: name of the file; ``BEST`` for the best of those that were evaluated during training.

        Raises:
            InterplayError: there is none, it cannot be read, names code, or its market has changed.
        """
        if checkpoint != CHECKPOINT and not (folder / checkpoint).is_file():
            raise InterplayError(f"{str(folder)!r} has no {checkpoint}: train it with Evaluate(every=5, best=True)")
        if (folder / CONFIG).is_file() and not (folder / CHECKPOINT).is_file():
            raise InterplayError(f"{str(folder)!r} has no {CHECKPOINT}: it was stopped before its first, or benchmark "
                                 f"did not keep it; start it again with: interplay train --resume {folder}")
        return cls.resumed(folder, device, allow_code, checkpoint)

    @classmethod
    def resumed(cls, folder: Path, device: Device | None = None, allow_code: bool = False,
                checkpoint: str = CHECKPOINT, ranks: Ranks = ALONE) -> Self:
        """The same, but at its beginning where it has no checkpoint yet. Several processes begin the episode again."""
        if not (folder / CONFIG).is_file():
            raise InterplayError(f"{str(folder)!r} is not a run: it has no {CONFIG}; give a folder that train wrote")
        made = TrainSettings.read(folder)
        with trusting(allow_code):
            run = cls.start(made if device is None else replace(made, device=device), folder, ranks)
        if run.settings.code != made.code:
            warnings.warn(f"code has changed since {str(folder)!r} was made: {', '.join(run.settings.code)}, was "
                          f"{', '.join(made.code)}", InterplayWarning, stacklevel=3)
        note_changes(folder, RunConfig.of(run.task, run.players).values())
        if (folder / checkpoint).is_file():
            run._restore(folder / checkpoint)
        return run

    @property
    def finished(self) -> bool:
        """Whether all episodes have been played."""
        return self.episode >= self.episodes

    @property
    def curve_columns(self) -> list[str]:
        """Columns of all rows of the curve, in the order in which they appeared."""
        return list(dict.fromkeys([*_COLUMNS, *(name for row in self.curve for name in row)]))

    @property
    def env_steps(self) -> int:
        """Steps of single worlds so far."""
        return (self.episode * self.task.market.config.horizon + self.time) * self.task.training.num_worlds

    @property
    def agent_steps(self) -> int:
        """Steps of single agents so far."""
        config = self.task.market.config
        return self.env_steps * (config.num_users + config.num_items)

    def step(self) -> dict[str, Tensor]:
        """One training iteration; gives the learners' metrics."""
        started = time.perf_counter()
        metrics = self._do("step", self._iterate)
        self.metrics |= metrics
        self.time += 1
        self.wall_seconds += time.perf_counter() - started
        return metrics

    def capture(self) -> None:
        """Do iterations by graphs from now on, if the settings ask for it."""
        device, wanted = self.task.market.device, self.settings.capture
        if wanted == "off" or (wanted == "auto" and device.type != "cuda") or self.ranks.size > 1 or self.task.folds:
            return

        def put(worlds: tuple[Snapshot, EpisodeStats]) -> None:
            self.now, self.stats = worlds

        self._numbers = torch.arange(self.task.training.num_worlds, device=device)
        self.captured = Captured(self.players.each(), device, lambda: (self.now, self.stats), put)

    def _do(self, kind: str, work: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        if self.captured is None:
            return work()
        metrics = self.captured.do(kind, work)
        if self.captured.note != self._warned:
            self._warned = self.captured.note
            warnings.warn(shortened(f"training goes on without graphs: {self._warned}"), InterplayWarning, stacklevel=2)
        return metrics

    def _iterate(self) -> dict[str, Tensor]:
        after, step, metrics = iterate(self.task.market_of(self.episode), self.players, self.now)
        self.stats = self.stats.add(self.task.market, self.now.state, step)
        self.now = after
        return metrics

    @property
    def episode_ended(self) -> bool:
        """Whether the episode under way has reached its horizon."""
        return self.time >= self.task.market.config.horizon

    def next_episode(self) -> None:
        """Begin the next episode, in worlds that have not been played."""
        self.episode, self.time = self.episode + 1, 0
        if self._numbers is not None:
            first = self.episode * len(self._numbers)
            torch.arange(first, first + len(self._numbers), out=self._numbers)
        self._do("reset", self._begin)

    def _begin(self) -> dict[str, Tensor]:
        """The first snapshot of the episode."""
        population = self.now.state.population
        worlds = _worlds(self.task, self.episode, self.ranks) if self._numbers is None else self._numbers
        self.now = _first_snapshot(self.seeds or self.settings.seed, self.task, self.players, worlds, self.episode)
        self.stats = EpisodeStats.empty(self.now.state)
        if self.captured is not None:  # in memory there is room for what follows from it
            self.now.state.population.derive_as(population)
        return {}

    def write_config(self) -> None:
        """Write the settings, which ``load`` reads, and all numbers that follow from them."""
        write_text(self.folder / CONFIG, to_json(self.settings, RunConfig.of(self.task, self.players).values()))

    def save(self, name: str = CHECKPOINT) -> None:
        """Write the checkpoint, to a file of this name; the old one stays until the new one is whole.

        Of several processes, which have all learnt the same, the first writes it. A finished run, which seldom goes on,
        is saved without the replay, by far the largest part of it.

        Raises:
            InterplayError: what the agents have learnt is not finite; the old checkpoint stays.
            OSError: it cannot be written.
        """
        if not self.ranks.first:
            return
        self.refresh()
        lean = name != CHECKPOINT or (self.finished and not self.settings.keep_replay)
        with memories_left_out(lean) as left_out:
            agents = self.players.state_dict()
        check_state(agents, f"after {self.env_steps} steps")
        save_checkpoint(self.folder / name, {
            "episode": self.episode, "time": self.time, "episodes": self.episodes, "wall_seconds": self.wall_seconds,
            "state": self.now.state.state_dict(), "slots": self.now.slots, "stats": self.stats.state_dict(),
            "agents": agents, "curve": self.curve, "metrics": self.metrics, "processes": self.ranks.size,
            "forgot": bool(left_out) or (lean and self.forgot)}, self._made_by())

    def _made_by(self) -> dict[str, str]:
        return {CONFIG: digest_of_file(self.folder / CONFIG), "market": self.task.fingerprint}

    def _restore(self, path: Path) -> None:
        saved = load_checkpoint(path, self._made_by(), self.task.market.device)
        try:
            self.players.load_state_dict(saved["agents"])
            state = self.now.state.loaded(saved["state"])
            self.now = look(self.task.market_of(saved["episode"]), self.players, state, slots=saved["slots"])
            self.stats = self.stats.loaded(saved["stats"])
            self.episode, self.time, self.wall_seconds = saved["episode"], saved["time"], saved["wall_seconds"]
            self.curve, self.episodes = [dict(row) for row in saved["curve"]], saved["episodes"]
            self.metrics = saved.get("metrics", {})  # older versions kept none
            self.forgot, self.processes = saved["forgot"], saved["processes"]
            if self.ranks.size > 1:  # only the first process's worlds are in the checkpoint
                self.time = 0
                self._begin()
            self.capture()
        except Exception as error:  # agents may be code from outside
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:100]
            raise InterplayError(f"{str(path)!r} does not fit the agents as they are now ({reason}): restore the "
                                 "version that wrote it, or start a new run") from error


def _worlds(task: Task, episode: int, ranks: Ranks) -> range:
    """Numbers of the worlds that this process plays in an episode."""
    count = task.training.num_worlds
    part = ranks.part(count)
    return range(episode * count + part.start, episode * count + part.stop)


def _first_snapshot(seed: int | tuple[int, ...], task: Task, players: Players, worlds: range | Tensor,
                    episode: int = 0) -> Snapshot:
    """These worlds at the start of an episode."""
    market = task.market_of(episode)
    return look(market, players, market.reset(worlds, seed), explore=True)
