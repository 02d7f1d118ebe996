"""Play a suite with one agent: its trainings, the number that they come to, and a row for the leaderboard."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import interplay
from interplay.agents import find_agent
from interplay.envs.config import by_dotted_name
from interplay.envs.discovery import code_digest
from interplay.envs.types import InterplayError
from interplay.experiments.benchmark.command import called
from interplay.experiments.benchmark.jobs import RUNS, folder_of
from interplay.experiments.benchmark.running import Notify, continuable, own_folder, run_missing
from interplay.experiments.common.flags import Threads, check_flags
from interplay.experiments.common.logs import logged_parts
from interplay.experiments.common.options import split_agent
from interplay.experiments.common.reports import made_by
from interplay.experiments.common.saving import RESULTS, read_sealed
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.loop.task import with_agents
from interplay.experiments.suite.definition import SUITE, SuiteMarket, attribute_of
from interplay.experiments.suite.freezing import measured
from interplay.experiments.suite.rows import Played, SuiteRow

_TOLERANCE = 1e-3  # of a reference: another processor changes last bits of responses, and so, rarely, a draw
_ML_100K = (943, 1682, 100_000)
_BUDGET = ("num_worlds", "episodes", "eval_worlds", "discount")
_QUICK: dict[str, Any] = {"num_worlds": 2, "episodes": 1, "eval_worlds": 2}


@dataclass(frozen=True)
class SuiteSettings:
    """Train one agent on a frozen list of markets with frozen budgets and seeds; print one number and a table."""

    agent: str
    """Agent to judge: a name, or module:Class for one of your own, either with ,OPTION=VALUE behind it. It has the same
    options in all markets."""
    ml_100k: Path | None = None
    """Folder of MovieLens-100K, which is then played too. It does not count in the number."""
    workers: Threads | None = None
    """Processes at a time, each with one thread; by default one for each core that may be used."""
    quick: bool = False
    """Play one short training in each market, to see that the agent runs: no score, and no row."""
    out: Path = Path("suite")
    """Folder of the row; the runs are kept in it too, and those that are finished are not repeated."""


class Judged(NamedTuple):
    """What a suite has found.

    Attributes:
        row: of the leaderboard; None where runs failed, and for a quick look.
        path: of the row's file.
        problems: why runs failed, by name.
    """

    row: SuiteRow | None
    path: Path
    problems: dict[str, str]


def play_suite(settings: SuiteSettings, notify: Notify = lambda news: None) -> Judged:
    """Play what is missing, then write the row.

    Args:
        settings: the agent, and where to write.
        notify: is called as runs end.

    Raises:
        InterplayError: wrong settings, a folder that cannot be used, or a market that has changed.
        Stopped: by a signal; what is under way is saved.
    """
    with continuable(settings.out):
        check_flags(settings)
        name = called(settings.agent)
        jobs = {market.name: list(_jobs(settings, market, name)) for market in _playable(settings)}
        with own_folder(settings.out):
            if not settings.quick:
                check_unchanged(SUITE.markets[market] for market in jobs)
            every = [job for several in jobs.values() for job in several]
            problems = run_missing(every, settings.workers or usable_cores(), False, notify)
            path = settings.out / f"{_as_file(name)}.json"
            if problems or settings.quick:
                return Judged(None, path, problems)
            row = _row(settings, name, {market: list(map(folder_of, several)) for market, several in jobs.items()})
            row.write(path)
            return Judged(row, path, problems)


def _playable(settings: SuiteSettings) -> list[SuiteMarket]:
    """The markets that the agent can play."""
    kind = find_agent(split_agent(settings.agent)[0])
    found = [market for market in SUITE.markets.values()
             if market.training.side in kind.plays and (market.preset is not None or settings.ml_100k is not None)]
    if not any(market.preset for market in found):
        sides = sorted({market.training.side for market in SUITE.markets.values() if market.preset})
        raise InterplayError(f"{settings.agent!r} plays {' or '.join(kind.plays)}, which no market of {SUITE.version} "
                             f"compares: name an agent that plays {' or '.join(sides)}")
    return found


def _jobs(settings: SuiteSettings, market: SuiteMarket, name: str) -> Iterator[TrainSettings]:
    """A training for each seed."""
    training = market.training
    base = TrainSettings(device="cpu", log_dir=settings.out / RUNS)
    if market.preset is not None:
        base = replace(base, preset=attribute_of(market))
    else:
        given: dict[str, Any] = {name: getattr(training, name) for name in _BUDGET}
        pairs = tuple(f"{name}={value!r}" for name, value in by_dotted_name(market.config).items())
        base = replace(base, log=settings.ml_100k, market=pairs, items=training.others, **given, **market.log)
        _check_ml_100k(base)
    for seed in range(1 if settings.quick else SUITE.seeds):
        job = replace(base.played_by(training.side, settings.agent), seed=seed,
                      name=f"{market.name}-{_as_file(name)}-{'quick' if settings.quick else f's{seed}'}",
                      **(_QUICK if settings.quick else {}))
        yield with_agents(job)


def _check_ml_100k(settings: TrainSettings) -> None:
    log = logged_parts(settings, seed=0).whole
    found = (log.num_users, log.num_items, len(log))
    if found != _ML_100K:
        raise InterplayError(f"ml_100k={str(settings.log)!r} has {found[0]:,} users, {found[1]:,} items and "
                             f"{found[2]:,} rows, so it is not MovieLens-100K: give the folder that holds u.data")


def _as_file(agent: str) -> str:
    return re.sub(r"[^\w.,=-]+", ".", agent)


def _row(settings: SuiteSettings, name: str, folders: dict[str, list[Path]]) -> SuiteRow:
    results = [(SUITE.markets[market], [read_sealed(folder / RESULTS) for folder in found])
               for market, found in folders.items()]
    data = [] if settings.ml_100k is None else ["--ml-100k", "ml-100k"]
    made = made_by(shlex.join(["interplay", "suite", "--agent", settings.agent, *data]))
    module = split_agent(settings.agent)[0]
    return SuiteRow(SUITE.version, SUITE.digest, name, code_digest(module) if ":" in module else "",
                    {**made, "interplay": interplay.__version__},
                    {market.name: _played(market, found) for market, found in results})


def _played(market: SuiteMarket, results: Sequence[dict[str, Any]]) -> Played:
    measure, side = market.training.measure, market.training.side
    scores = [float(result["evaluation"][measure]["mean"]) for result in results]
    if market.preset is None:
        normalised = [float(result["normalised_score"]) for result in results]
    else:
        normalised = list(map(market.normalised, scores))
    return Played(scores, normalised, sum(result["wall_seconds"] for result in results), results[0]["options"][side])


def check_unchanged(markets: Iterable[SuiteMarket]) -> None:
    """Check that markets are what they were when the suite was made, by the scores that count as 1, measured again.

    Before anything is played, so that no time is lost. A run's own reference would not do: users who leave things
    to chance earn something else under each seed.

    Raises:
        InterplayError: one is another now.
    """
    for market in (each for each in markets if each.preset is not None):
        before, now = market.one.score, measured(market).one.score
        assert before is not None, "only a log has no reference"
        if now is None or not math.isclose(before, now, rel_tol=_TOLERANCE):
            raise InterplayError(f"{market.name!r} has changed since {SUITE.version} was made: {market.one.name} "
                                 f"scores {now}, not {before:.6g}; judge agents with a version of interplay from "
                                 "before that change")
