"""Many runs and what they show: markets x agents x seeds, in processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import polars as pl

from interplay.envs.checking import check_names, shown
from interplay.envs.presets import Training, find_preset
from interplay.envs.types import InterplayError
from interplay.experiments.api.bars import bar_is_shown
from interplay.experiments.api.border import public
from interplay.experiments.api.markets import Log, market_settings, setting
from interplay.experiments.api.names import agent_name, check_importable, check_path
from interplay.experiments.api.run import MarketLike
from interplay.experiments.benchmark.command import BenchmarkSettings
from interplay.experiments.benchmark.command import benchmark as run_benchmark
from interplay.experiments.benchmark.curves import CURVES, exploring
from interplay.experiments.benchmark.plots import curves_picture, gathered, scores_picture
from interplay.experiments.benchmark.running import News
from interplay.experiments.benchmark.scores import SCORES
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.progress import tqdm
from interplay.experiments.loop.task import LOGGED_TRAINING


class BenchmarkOptions(TypedDict, total=False):
    """How ``benchmark`` runs; what is left out is what the markets recommend."""

    others: object
    """Agent of the side that is not compared."""
    seeds: int
    """Seeds 0, 1, ... of each pair of a market and an agent."""
    scale: float
    """Part of the episodes that each market recommends; 1 by default."""
    eval_every: int
    """Episodes between evaluations during training, of which learning curves are drawn."""
    workers: int
    """Processes at a time, each with one thread; by default one for each core."""
    stack: bool
    """Train seeds as one where there are more runs than processes; True by default."""
    keep_checkpoints: bool
    """Keep the checkpoints of finished runs, so that ``load`` can load them."""


class Table:
    """What a benchmark has found; ``benchmark`` makes it.

    Attributes:
        folder: of the report and the runs.
        problems: why runs failed, by name; empty if none did.
    """

    def __init__(self, folder: Path, report: str, problems: dict[str, str]) -> None:
        self.folder, self.problems, self._report = folder, problems, report

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row for each agent, market and seed, for baselines and for what is known exactly."""
        return pl.read_csv(self.folder / SCORES, infer_schema_length=None)

    @public
    def plot(self, path: str | Path | None = None, *, learning: bool = False) -> Picture:
        """A panel for each market: scores with intervals, or how they were learnt.

        Args:
            path: picture to write; its ending says in which format. None = none; a notebook shows what is returned.
            learning: draw learning curves.
        """
        rows, curves = gathered([self.folder])
        picture = curves_picture(rows, curves, exploring([self.folder / CURVES])) if learning else scores_picture(rows)
        return picture.write(None if path is None else Path(path))

    def markdown(self) -> str:
        """The report: tables of each market, and over all with a known optimum."""
        return self._report

    def __repr__(self) -> str:
        failed = f", {len(self.problems)} failed: see .problems" if self.problems else ""
        return f"Table({str(self.folder)!r}, {len(self.frame)} rows{failed})"


@public
def benchmark(markets: Sequence[MarketLike] | MarketLike, agents: Sequence[object] = (), *,
              folder: str | Path = "benchmark", progress: bool | None = None,
              **options: Unpack[BenchmarkOptions]) -> Table:
    """Train each agent on each market with several seeds, and compare them.

    Every run is a process of its own, which imports agents and presets by name: a class that a notebook defines cannot
    be found there, so put it into a module. A script needs ``if __name__ == "__main__":`` only if it defines agents or
    presets itself.

    Args:
        markets: names of presets, presets, ``interplay.market(...)`` (all with the same changes), or one log.
        agents: as in ``train``; () = those that each market recommends.
        folder: of the report and the runs. Runs that are finished there are not repeated.
        progress: whether a progress bar is shown; None = in a terminal and in a notebook.
        options: see ``BenchmarkOptions``.

    Raises:
        InterplayError: wrong arguments, or a folder that cannot be used.
        KeyboardInterrupt: by Ctrl-C; what is under way is saved, and the same call continues it.
    """
    check_names("benchmark", options, BenchmarkOptions.__annotations__)
    check_path("folder", folder)
    several = [markets] if not isinstance(markets, Sequence) or isinstance(markets, str) else list(markets)
    given: dict[str, Any] = {name: setting(name, value) for name, value in options.items() if name != "others"}
    where = _market_settings(several)
    trainings = [LOGGED_TRAINING] if "log" in where else [find_preset(name).training for name in where["presets"]]
    if "others" in options:
        given["others"] = agent_name(options["others"], trainings)
    settings = BenchmarkSettings(**where, agents=_named(agents, trainings), out=Path(folder), **given)
    check_importable([*settings.presets, *settings.agents, *settings.mechanism, str(settings.others)])
    with tqdm(disable=not bar_is_shown(progress), unit="run") as bar:
        def notify(news: News) -> None:
            bar.total, bar.n = news.total, news.done
            bar.set_postfix_str(news.line)

        found = run_benchmark(settings, notify)
    return Table(settings.out, *found)


def _named(agents: object, trainings: Sequence[Training]) -> tuple[str, ...]:
    if isinstance(agents, str) or not isinstance(agents, Sequence):
        raise InterplayError(f"agents={shown(agents)} must be a list, as in agents=['dqn', 'my_agent:MyAgent']")
    return tuple(agent_name(agent, trainings) for agent in agents)


def _market_settings(markets: Sequence[MarketLike]) -> dict[str, Any]:
    """The markets as fields of ``BenchmarkSettings``.

    Raises:
        InterplayError: they do not fit together.
    """
    if len(markets) == 1 and isinstance(markets[0], Log):
        return market_settings(markets[0])
    if any(isinstance(market, Log) for market in markets):
        raise InterplayError("benchmark takes presets, or one log alone: call it once for each log")
    if not markets:
        raise InterplayError("markets=[]: give at least one, such as 'kale'")
    found = [market_settings(market) for market in markets]
    shared = [{name: each.get(name, ()) for name in ("market", "mechanism")} for each in found]
    if any(each != shared[0] for each in shared):
        raise InterplayError("benchmark changes all markets alike: call it once for each kind of changes")
    return {"presets": tuple(each["preset"] for each in found), **shared[0]}
