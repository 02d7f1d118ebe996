"""How often users learn to keep both items of ``viability`` alive, in trainings of different lengths.

Run as ``python -m interplay.experiments.studies.viability_training --out experiments/results/viability-length``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import made_line
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.statistics import INTERVALS, interquartile_mean
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import train_unwatched
from interplay.experiments.studies.command_lines import reported


@dataclass(frozen=True)
class TrainingSettings:
    """Train users on viability for different numbers of episodes, and count the runs in which both items live."""

    out: Path | None = None
    """Folder of the report."""
    agents: tuple[str, ...] = ("q-learning", "q-learning,epsilon_end=0.3")
    """Agents of the users, by name or as NAME,OPTION=VALUE."""
    episodes: tuple[int, ...] = (20, 50, 100, 200)
    """Lengths of training. Schedules, such as that of exploration, stretch over each."""
    num_seeds: int = 10
    """Training seeds, from 0."""
    num_worlds: int = 64
    """Worlds side by side."""


def study(settings: TrainingSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    torch.set_num_threads(1)
    oracle = solve(find_preset("viability").market())
    assert oracle is not None  # the preset is made for it
    assert oracle.greedy is not None
    exact = {"optimum": round(oracle.user_return, 3), "greedy": round(oracle.greedy, 3)}
    data = exact | {"num_worlds": settings.num_worlds, "rows": list(_rows(settings))}
    return reported(settings.out, text, __name__, data)


def _rows(settings: TrainingSettings) -> Iterator[dict[str, Any]]:
    for agent, episodes, seed in product(settings.agents, settings.episodes, range(settings.num_seeds)):
        user_return, items_alive = _scores(TrainSettings(
            preset="viability", users=agent, items="rest", seed=seed, device="cpu", episodes=episodes,
            num_worlds=settings.num_worlds))
        yield {"agent": agent, "episodes": episodes, "seed": seed, "user_return": round(user_return, 3),
               "items_alive": items_alive}


def _scores(settings: TrainSettings) -> tuple[float, float]:
    """User return, and the share of items that are alive at the end, on held-out worlds after training."""
    run = Run.start(settings, Path())  # nothing is written
    train_unwatched(run)
    score = evaluate(run.task.held_out, run.players, run.task.training.eval_worlds)
    return score.user_return.mean, score.items_alive.mean


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    rows = data["rows"]
    parts = [made_line(source["made"]),
             f"User return on `viability` (optimum {data['optimum']}, greedy {data['greedy']}) on held-out worlds, "
             f"without exploration, after trainings of different lengths in {data['num_worlds']} worlds. Schedules, "
             f"such as that of exploration, stretch over each training. Cells: interquartile mean, then all seeds. "
             f"{INTERVALS}"]
    for agent in dict.fromkeys(row["agent"] for row in rows):
        parts.append(f"## {agent}\n\n{_table([row for row in rows if row['agent'] == agent])}")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(["episodes", "user return", "both items live in", "each seed"],
                 [_line(episodes, [row for row in rows if row["episodes"] == episodes])
                  for episodes in dict.fromkeys(row["episodes"] for row in rows)])


def _line(episodes: int, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    returns = [row["user_return"] for row in rows]
    living = sum(row["items_alive"] == 1.0 for row in rows)
    return [str(episodes), str(interquartile_mean(returns)), f"{living} of {len(rows)} runs",
            " ".join(f"{value:.1f}" for value in returns)]


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.viability_training:study"))
