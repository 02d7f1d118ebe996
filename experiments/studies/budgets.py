"""How long a training has to be: scores of agents after trainings of different lengths and sizes.

Run as ``python -m interplay.experiments.studies.budgets --plans kale,episodes=200 kale,episodes=50 --out FOLDER``. Each
plan is a training of its own, since rates of learning and exploring follow the planned episodes. Rows that the folder
holds already stay in its report, and are not trained again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.options import parse_pairs, split_agent
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.statistics import FEWEST, INTERVALS, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import train_unwatched
from interplay.experiments.studies.command_lines import reported, typed

Row = Mapping[str, Any]


@dataclass(frozen=True)
class BudgetSettings:
    """Train agents by different plans, and compare what they have learnt."""

    plans: tuple[str, ...]
    """Trainings, each as PRESET or PRESET,SETTING=VALUE,... with settings of train. The report compares all plans of an
    agent with that of the most episodes."""
    agents: tuple[str, ...] = ()
    """Agents of the compared side; by default those that a benchmark of the preset compares."""
    num_seeds: int = FEWEST
    """Training seeds, from 0."""
    out: Path | None = None
    """Folder of the report, which may hold rows already."""


def study(settings: BudgetSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    torch.set_num_threads(1)
    rows = {(row["plan"], row["agent"], row["seed"]): row for row in known_rows(settings.out)}
    made = made_by(typed(__name__))
    for plan in settings.plans:
        for agent, seed in product(settings.agents or _benchmark_agents(plan), range(settings.num_seeds)):
            if (plan, agent, seed) not in rows:
                rows[plan, agent, seed] = _row(plan, agent, seed)
                publish(settings.out, text, made, {"rows": list(rows.values())})  # a study that is stopped keeps them
    return reported(settings.out, text, __name__, {"rows": list(rows.values())})


def _benchmark_agents(plan: str) -> tuple[str, ...]:
    return find_preset(split_agent(plan)[0]).benchmark_agents


def _row(plan: str, agent: str, seed: int) -> Row:
    """Train by the plan, and evaluate without exploration in held-out worlds."""
    preset, pairs = split_agent(plan)
    settings = TrainSettings(preset=preset, seed=seed, device="cpu", **parse_pairs(pairs, "--plans"))
    run = Run.start(settings.played_by(find_preset(preset).training.side, agent), Path())  # nothing is written
    started = time.process_time()
    train_unwatched(run)
    seconds, training = time.process_time() - started, run.task.training
    score = getattr(evaluate(run.task.held_out, run.players, training.eval_worlds), training.measure).mean
    return {"plan": plan, "agent": agent, "seed": seed, "num_worlds": training.num_worlds,
            "episodes": training.episodes, "transitions": run.env_steps, "measure": training.measure,
            "score": round(score, 4), "seconds": round(seconds, 1)}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows: Sequence[Row] = source["data"]["rows"]
    parts = [made_line(source["made"]),
             "Scores of trainings of different lengths on held-out worlds, without exploration: means over seeds, and "
             "the change from the same agent's longest plan. Rates of learning and exploring follow the planned "
             "episodes, so each plan is a training of its own. Transitions are steps of single worlds; seconds are "
             f"CPU time of one thread, with other programs beside. {INTERVALS}"]
    for preset in dict.fromkeys(_preset(row) for row in rows):
        parts.append(f"## {preset}\n\n{_table([row for row in rows if _preset(row) == preset])}")
    return "\n\n".join(parts) + "\n"


def _preset(row: Row) -> str:
    return split_agent(row["plan"])[0]


def _table(rows: Sequence[Row]) -> str:
    label = rows[0]["measure"].replace("_", " ")
    return table(["agent", "worlds", "episodes", "transitions", label, "change", "seconds", "each seed"],
                 list(_lines(rows)))


def _lines(rows: Sequence[Row]) -> Iterator[list[str]]:
    for agent in dict.fromkeys(row["agent"] for row in rows):
        plans: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda row: (-row["episodes"], row["seed"])):
            if row["agent"] == agent:
                plans.setdefault(row["plan"], []).append(row)
        longest = _mean(next(iter(plans.values())), "score")
        yield from (_line(of_plan, longest) for of_plan in plans.values())


def _line(rows: Sequence[Row], longest: float) -> list[str]:
    scores = [row["score"] for row in rows]
    return [*(str(rows[0][name]) for name in ("agent", "num_worlds", "episodes")), f"{rows[0]['transitions']:,}",
            str(mean_estimate(scores)), f"{100.0 * (_mean(rows, 'score') / longest - 1.0):+.2f} %",
            f"{_mean(rows, 'seconds'):.1f}", " ".join(f"{score:.5g}" for score in scores)]


def _mean(rows: Sequence[Row], column: str) -> float:
    return mean_estimate([row[column] for row in rows]).mean


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.budgets:study"))
