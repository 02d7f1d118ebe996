"""Many runs and what they show: markets x agents x seeds, resumable, in parallel over the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch

from interplay.agents import agents, find_agent
from interplay.envs.checking import Bounds, Index
from interplay.envs.presets import find_preset
from interplay.envs.presets.folders import is_preset
from interplay.envs.types import SIDES, InterplayError, Side
from interplay.experiments.benchmark.jobs import RUNS, folder_of
from interplay.experiments.benchmark.report import write_report
from interplay.experiments.benchmark.running import Notify, continuable, own_folder, run_missing
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.flags import Many, Need, Threads, check_flags, when
from interplay.experiments.common.folders import fitting_name
from interplay.experiments.common.options import make_options, parse_pairs, split_agent
from interplay.experiments.common.settings import NO_LOG, LoggedMarketSettings, Pairs, TrainSettings
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.loop.players import PLACKETT_LUCE, check_plays
from interplay.experiments.loop.task import make_task, name_of, recommended, with_agents
from interplay.experiments.representation.pretrained import run_for

_LOCAL = Need(lambda s: s.cluster is None, "a cluster decides how much runs at a time: leave it out")
_SEEDS = 5  # where no preset recommends a number

_QUICK: dict[str, Any] = {"presets": ("kale", "viability", "contest"), "agents": ("q-learning", "dqn"), "seeds": 3,
                          "scale": 0.2}


@dataclass(frozen=True)
class BenchmarkSettings(LoggedMarketSettings):
    """Train agents on markets with many seeds; write a report, scores, learning curves and a picture."""

    presets: tuple[str, ...] = when(NO_LOG, ("kale", "kale-null", "kale-partial", "viability", "contest", "town",
                                               "feed"))
    """Markets to play, in place of one made of a log. Each names the compared side and the agent of the other."""
    agents: tuple[str, ...] = ()
    """Agents to compare, by name or as module:Class, either with ,OPTION=VALUE behind it; by default those that each
    market recommends."""
    others: str | None = None
    """Agent of the side that is not compared; by default the one that each market recommends."""
    seeds: Many | None = None
    """Seeds of each pair of a market and an agent, counted from 0; by default as many as each market recommends."""
    scale: Annotated[float, Bounds(0, 10, above=True)] = 1.0
    """Part of the episodes that each market recommends."""
    market: Pairs = field(default_factory=tuple)
    """NAME=VALUE, changes a number of every market (see interplay.envs.config). May be repeated."""
    mechanism: Pairs = field(default_factory=tuple)
    """Mechanism to add to every market: a name, or module:Class for one of your own. May be repeated."""
    workers: Threads | None = when(_LOCAL, None)
    """Processes at a time, each with one thread; by default one for each core that may be used."""
    stack: bool = when(_LOCAL, True)
    """Where there are more runs than processes, those that differ in their seeds alone train as one in a process, where
    their agents can be stacked. With --no-stack each run has the same bits, however many processes there are."""
    cluster: str | None = None
    """Address of a Ray cluster that trains all runs, one on each core: ray://HOST:10001, HOST:6379 or auto."""
    quick: bool = False
    """A small version for a first look: few markets, agents and seeds, a fifth of the episodes, where not given."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of finished runs, which are large, so that evaluate can load them."""
    eval_every: Index = 0
    """Episodes between evaluations during training, of which learning curves are drawn; 0 = none: then curves are of
    agents that explore."""
    out: Path = Path("benchmark")
    """Folder of the report; the runs are kept in it too, and those that are finished are not repeated."""

    def checked(self) -> BenchmarkSettings:
        """The settings with every default in place.

        Raises:
            InterplayError: a number is out of range, or there is no such market, agent or log.
        """
        check_flags(self)
        unset = BenchmarkSettings()
        quick = {name: value for name, value in _QUICK.items() if getattr(self, name) == getattr(unset, name)}
        chosen = replace(self, **quick) if self.quick else self
        workers = chosen.workers if chosen.workers is not None else usable_cores()
        if chosen.others is not None:
            called(chosen.others)
        return replace(chosen, agents=_distinct(chosen.agents, "agents", called),
                       presets=_distinct(chosen.presets, "presets", lambda name: find_preset(name).name),
                       workers=workers)


def called(agent: str) -> str:
    """How a report names the agent, whose options are checked on the way."""
    name, pairs = split_agent(agent)
    kind = find_agent(name)
    make_options(kind.Options, parse_pairs(pairs, f"agent {agent!r}"), f"agent {name!r}")
    return ",".join([kind.name, *pairs])


def _distinct(names: Sequence[str], label: str, own: Callable[[str], str]) -> tuple[str, ...]:
    """Each once; figures are kept by the name that an agent or preset gives itself."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(own(name), name)
        if other != name:
            raise InterplayError(f"{label} {other!r} and {name!r} are both called {own(name)!r}: give one another name")
    return tuple(known.values())


class Found(NamedTuple):
    """What a benchmark has found.

    Attributes:
        report: the text of ``report.md``.
        problems: why runs failed, by name.
    """

    report: str
    problems: dict[str, str]


def benchmark(settings: BenchmarkSettings, notify: Notify = lambda news: None) -> Found:
    """Run what is missing, then write the report.

    Args:
        settings: what to run.
        notify: is called as runs end.

    Raises:
        InterplayError: wrong settings, or a folder that cannot be used.
        Stopped: by a signal; what is under way is saved.
    """
    with continuable(settings.out):
        command, settings = command_line("benchmark", settings), settings.checked()
        jobs = planned(settings)
        with own_folder(settings.out):
            assert settings.workers is not None, "checked"
            problems = run_missing(jobs, settings.workers, settings.keep_checkpoints, notify, settings.cluster,
                                   settings.stack)
            names = [folder_of(job).name for job in jobs]
            return Found(write_report(settings.out, names, problems, command, settings.scale), problems)


def planned(settings: BenchmarkSettings) -> list[TrainSettings]:
    """The trainings of a benchmark, whose settings have been ``checked``: markets x agents x seeds."""
    jobs = [job for market in _markets(settings) for job in _jobs(settings, market)]
    for job in jobs:
        _check_players(job)
    return jobs


def _check_players(job: TrainSettings) -> None:
    """Check that there are such agents, and that each plays its side, before any process is started."""
    sides: tuple[Side, ...] = (*SIDES, "platform")
    for side in sides:
        name = getattr(job, side)
        if name != PLACKETT_LUCE:
            check_plays(find_agent(split_agent(name)[0]), side, name)


def _markets(settings: BenchmarkSettings) -> Iterator[TrainSettings]:
    """Settings of each market, which is built once, so that what is wrong with it is said once."""
    logged = {f.name: getattr(settings, f.name) for f in fields(LoggedMarketSettings)}
    whole = TrainSettings(**logged, market=settings.market, mechanism=settings.mechanism, device="cpu",
                          eval_every=settings.eval_every, log_dir=settings.out / RUNS)
    markets = [replace(whole, preset=preset) for preset in settings.presets]
    if settings.log is not None:
        markets = [whole] if settings.encoder is None else [replace(whole, encoder=None), whole]
    for market in markets:
        make_task(market, torch.device("cpu"))
        yield market


def _jobs(settings: BenchmarkSettings, base: TrainSettings) -> Iterator[TrainSettings]:
    """A training for each agent and seed."""
    training = recommended(base)
    preset = find_preset(base.preset) if base.log is None else None
    label = name_of(base) if preset is None else preset.name if is_preset(base.preset) else base.preset
    every = tuple(name for name, kind in agents().items() if kind.learns and training.side in kind.plays)
    for agent in settings.agents or (preset.benchmark_agents if preset is not None else ()) or every:
        for seed in range(settings.seeds or (preset.seeds if preset is not None else _SEEDS)):
            if base.encoder is not None:
                run_for(base.encoder, seed)  # before anything is played
            named = base.played_by(training.side, agent)
            if settings.others is not None:
                named = named.played_by("items" if training.side == "users" else "users", settings.others)
            yield with_agents(replace(named, seed=seed, name=fitting_name(f"{label}-{agent}", f"-s{seed}"),
                                      episodes=max(1, round(settings.scale * training.episodes))))
