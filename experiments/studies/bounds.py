"""Bounds where no exact answer is known, tried where one is: planning, exploiting, and cross-play.

Run as ``python -m interplay.experiments.studies.bounds --out experiments/results/bounds``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.presets import find_preset
from interplay.envs.types import Side
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.statistics import INTERVALS, Estimate, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.crossplay import CrossPlay, cross_play
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.evaluate.exploiting import exploit
from interplay.experiments.evaluate.planning import Planned
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.training import train_unwatched
from interplay.experiments.studies.command_lines import reported, typed

Row = Mapping[str, Any]

PLANNING = {"kale": (64, 8), "coach": (32, 8), "viability": (1, 1), "coach-large": (8, 4), "tutor-large": (8, 4),
            "shop": (16, 4), "funds-large": (16, 8), "town": (6, 2)}
"""Held-out worlds and rollouts; nothing is drawn in ``viability``. From ``coach-large`` on no exact answer is known."""
EXPLOITING: Mapping[str, tuple[Side, int]] = {"pigou": ("users", 4), "contest": ("items", 16)}
"""The side that deviates, and episodes that it learns from."""
SHARE = 0.9
"""Of the exact gain, what a learner has to find."""


@dataclass(frozen=True)
class BoundsSettings:
    """Compare what planning and learnt deviations find with exact answers, and let runs play with each other."""

    out: Path | None = None
    """Folder of the report and the picture. What its report has already of the first two is kept."""
    presets: tuple[str, ...] = (*PLANNING, *EXPLOITING)
    """Markets of the first two."""
    runs: int = 3
    """Runs of cross-play, which differ in their seeds."""
    episodes: int = 40
    """Of each of them."""


def study(settings: BoundsSettings) -> str:
    """Plan, exploit, train and play; writes ``report.md``, ``report.json`` and ``crossplay.png``."""
    torch.set_num_threads(1)
    known = {(row["kind"], row["preset"]): row for row in known_rows(settings.out)}
    rows: list[Row] = []
    for kind, markets, found in (("planning", PLANNING, _planned), ("exploiting", EXPLOITING, _exploited)):
        for preset in (each for each in markets if each in settings.presets):
            rows.append(known.get((kind, preset)) or {"kind": kind, "preset": preset, **found(preset)})
            publish(settings.out, text, made_by(typed(__name__)), {"rows": rows})  # a study that is stopped keeps them
    played = _cross_played(settings)
    matrices = {"market": played.market, "names": list(played.names), "episodes": settings.episodes,
                "users": played.users.round(3).tolist(), "items": played.items.round(3).tolist()}
    report = reported(settings.out, text, __name__, {"rows": rows, "crossplay": matrices})
    if settings.out is not None:
        played.picture().write(settings.out / "crossplay.png")
    return report


def _planned(preset: str) -> dict[str, Any]:
    """Returns of greedy users, of planners that begin at them, and the optimum, where it is known."""
    worlds, rollouts = PLANNING[preset]
    market = find_preset(preset).market()
    oracle = solve(market)
    pairs: tuple[tuple[Side, str], ...] = (("users", "greedy"), ("items", "rest"))
    players = Players({side: find_agent(name).of({side: market.spec_of(side)}, Setting()) for side, name in pairs})
    base, planned = (evaluate(market, each, worlds).of_worlds
                     for each in (players, Planned(players, "users", rollouts)))
    return {"rollouts": rollouts, "base": _rounded(base), "planned": _rounded(planned),
            "optimum": None if oracle is None else round(oracle.user_return, 3)}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def _exploited(preset: str) -> dict[str, Any]:
    """What one agent gains by deviating from a profile in which all do the first thing: exactly, and learnt."""
    side, episodes = EXPLOITING[preset]
    run = Run.start(TrainSettings(preset=preset, users="first", items="rest", episodes=episodes, device="cpu"), Path())
    exact = best_response_gap(run.task.held_out, run.players)
    assert exact is not None  # these presets have one
    (found,) = exploit(run.task, run.players, side, [0])
    return {"side": side, "episodes": episodes, "found": round(found.gain.mean, 4),
            "exact": round(exact, 4)}


def _cross_played(settings: BoundsSettings) -> CrossPlay:
    """Runs of ``funds`` whose investors and fund both learn."""
    runs = [Run.start(TrainSettings(preset="funds", users="q-learning", items="q-learning", seed=seed, device="cpu",
                                    episodes=settings.episodes), Path()) for seed in range(settings.runs)]
    for run in runs:
        train_unwatched(run)
    return cross_play(runs, [f"seed {seed}" for seed in range(settings.runs)])


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    planning, exploiting = ([row for row in data["rows"] if row["kind"] == kind] for kind in ("planning", "exploiting"))
    return "\n\n".join([
        made_line(source["made"]),
        f"On held-out worlds, without exploration. {INTERVALS}",
        "## Planning\n\nUsers that plan by rollouts, and go on from greedy users; items rest. What they earn is a "
        "lower bound of the optimum. What they gain is paired, world by world.",
        table(["market", "rollouts", "greedy", "planner", "gain of planning", "optimum (exact)", "verdict"],
              list(_planning_lines(planning))),
        "## Deviating\n\nAll users take the first slot, and items rest. One agent learns to do something else. Its "
        "gain is a lower bound of what its best response gains.",
        table(["market", "side", "episodes", "learnt gain", "exact gain", "part of it", "verdict"],
              [_exploiting_line(row) for row in exploiting]),
        *(_cross_play_parts(data["crossplay"]) if "crossplay" in data else ())]) + "\n"


def _cross_play_parts(played: Row) -> Iterator[str]:
    yield (f"## Cross-play\n\n{len(played['names'])} runs of `{played['market']}`, whose users and items learnt by "
           f"q-learning in {played['episodes']} episodes. The diagonal has agents that were trained together. Return "
           "of all users, then of all items:")
    yield from (_matrix(played, side) for side in ("users", "items"))
    yield "![returns of users and items of all runs](crossplay.png)"


def _matrix(played: Row, side: str) -> str:
    rows = [(name, *(f"{value:.5g}" for value in row)) for name, row in zip(played["names"], played[side], strict=True)]
    return table(("users of \\ items of", *played["names"]), rows)


def _planning_lines(rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in rows:
        base, planned = mean_estimate(row["base"]), mean_estimate(row["planned"])
        gain, optimum = mean_estimate(np.subtract(row["planned"], row["base"])), row["optimum"]
        if optimum is None:
            verdict = "above greedy" if _lowest(gain) > 0.0 else "not above greedy"
        else:
            verdict = "between" if base.mean < planned.mean and _lowest(planned) <= optimum + 1e-3 else "outside"
        yield [row["preset"], str(row["rollouts"]), base.text(1), planned.text(1), gain.text(1),
               "" if optimum is None else f"{optimum:.1f}", verdict]


def _lowest(estimate: Estimate) -> float:
    return estimate.ci95[0] if estimate.ci95 else estimate.mean


def _exploiting_line(row: Row) -> list[str]:
    part = row["found"] / row["exact"]
    return [row["preset"], row["side"], str(row["episodes"]), f"{row['found']:.3f}", f"{row['exact']:.3f}",
            f"{part:.3f}", "reached" if part >= SHARE else "not reached"]


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.bounds:study"))
