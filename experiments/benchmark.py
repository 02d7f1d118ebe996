"""Many runs, one table: presets (or a log) x users' agents x seeds, with intervals over seeds."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interplay.envs.types import InterplayError
from interplay.experiments.run import RESULTS
from interplay.experiments.settings import TrainSettings
from interplay.experiments.statistics import interquartile_mean, mean_estimate
from interplay.experiments.tables import table
from interplay.experiments.training import train


@dataclass(frozen=True)
class BenchmarkSettings:
    """Train many agents on many presets with many seeds, and write one table."""

    presets: tuple[str, ...] = ("kale", "kale-null")
    """Markets to play."""
    log: Path | None = None
    """A log to play instead of presets."""
    users: tuple[str, ...] = ("q-learning", "dqn")
    """Agents of the users' side, each on each market."""
    items: str = "rest"
    """Agent of the items' side."""
    seeds: int = 5
    """Seeds 0, 1, ... of each pair."""
    episodes: int | None = None
    """Episodes of training; by default what each preset recommends."""
    workers: int = 2
    """Processes, each with one thread."""
    out: Path = Path("benchmark.md")
    """The table to write; the figures behind it go beside it as JSON."""

    def check(self) -> None:
        """Raise InterplayError where a number is out of range."""
        for name in ("seeds", "workers"):
            if getattr(self, name) < 1:
                raise InterplayError(f"{name}={getattr(self, name)} must be at least 1")


def benchmark(settings: BenchmarkSettings) -> None:
    """Run everything, print the table and write it."""
    settings.check()
    markets = ("",) if settings.log is not None else settings.presets
    jobs = [TrainSettings(preset=market or "town", log=settings.log, users=users, items=settings.items, seed=seed,
                          episodes=settings.episodes)
            for market in markets for users in settings.users for seed in range(settings.seeds)]
    found = []
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(settings.workers, mp_context=context) as pool:
        for job, result in zip(jobs, pool.map(_run, jobs), strict=True):
            found.append(result)
            score = result["evaluation"]["user_return"]["mean"]
            print(f"{result['preset']} {job.users} seed {job.seed}: user return {score:.3f}", flush=True)
    text = _document(settings, found)
    print(text)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(text)
    settings.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


def _run(settings: TrainSettings) -> dict[str, Any]:
    """One training in a process of its own: its ``results.json``."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), \
            contextlib.redirect_stderr(io.StringIO()):
        run = train(replace(settings, log_dir=Path(folder)))
        found: dict[str, Any] = json.loads((run / RESULTS).read_text())
    return found


def _document(settings: BenchmarkSettings, found: list[dict[str, Any]]) -> str:
    rows = []
    for market in dict.fromkeys(f["preset"] for f in found):
        own = [f for f in found if f["preset"] == market]
        rows += _baseline_rows(market, own)
        rows += [_row(market, users, [f for f in own if f["users"] == users])
                 for users in dict.fromkeys(f["users"] for f in own)]
        name = own[0]["oracle"]["name"]
        if name != "greedy":
            rows.append([market, name, f"{own[0]['oracle']['user_return']:.3f}", "", "", "", ""])
    header = ["market", "users", "mean [95 %]", "interquartile mean [95 %]", "each seed", "normalised",
              "training seconds"]
    command = "python scripts/benchmark.py " + shlex.join(sys.argv[2:] if sys.argv[1:2] == ["benchmark"]
                                                          else sys.argv[1:])
    return (f"Made by `{command.strip()}`\n\nTotal return of a world's users, held-out worlds, exploration off, "
            f"items: {settings.items}. Intervals are over {settings.seeds} training seeds. Baselines play against "
            f"the items of the first agent's runs.\n\n{table(header, rows)}\n")


def _row(market: str, users: str, found: list[dict[str, Any]]) -> list[str]:
    scores = [f["evaluation"]["user_return"]["mean"] for f in found]
    normalised = [f["normalised_score"] for f in found]
    known = all(n is not None for n in normalised)
    return [market, users, str(mean_estimate(scores)), str(interquartile_mean(scores)),
            " ".join(f"{s:.5g}" for s in scores), f"{sum(normalised) / len(normalised):.3f}" if known else "",
            f"{sum(f['wall_seconds'] for f in found) / len(found):.0f}"]


def _baseline_rows(market: str, found: list[dict[str, Any]]) -> list[list[str]]:
    """Baselines of the users' side, seed by seed in the runs of the first agent."""
    first = [f for f in found if f["users"] == found[0]["users"]]
    rows = []
    for users in dict.fromkeys(b["users"] for b in first[0]["baselines"]):
        scores = [b["user_return"]["mean"] for f in first for b in f["baselines"]
                  if b["users"] == users and b["items"] == f["items"]]
        if scores and users != found[0]["users"]:
            rows.append([market, users, str(mean_estimate(scores)), str(interquartile_mean(scores)),
                         " ".join(f"{s:.5g}" for s in scores), "", ""])
    return rows
