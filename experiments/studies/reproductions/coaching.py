"""StepCountJITAI's figures (Karine, Klasnja, Murphy and Marlin, UAI 2023), beside exact optima and own agents.

Run as ``python -m interplay.experiments.studies.reproductions.coaching --out
experiments/results/reproductions/coaching``. The person is that of the preset ``coach``, whose context is seen through
noise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtr

from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.statistics import INTERVALS, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.exact.base import Array
from interplay.experiments.exact.coach import CoachGame
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.findings import Row, finding
from interplay.experiments.studies.reproductions.settings import ReproductionSettings
from interplay.experiments.studies.reproductions.training import returns_of_seeds


class Published(NamedTuple):
    """Mean returns of 1,000 episodes after training with one seed, from the authors' notebook."""

    dqn: float
    reinforce: float


PUBLISHED: Mapping[tuple[str, float], Published] = {
    ("probability", 0.0): Published(3192.5, 3127.7), ("label", 0.0): Published(3272.4, 3062.3),
    ("probability", 0.4): Published(3053.7, 2775.9), ("label", 0.4): Published(2549.6, 2514.0),
    ("probability", 0.6): Published(2542.1, 2054.7), ("label", 0.6): Published(1665.0, 1767.6),
    ("probability", 0.8): Published(1766.3, 1458.4), ("label", 0.8): Published(1206.8, 1504.7),
    ("probability", 2.0): Published(670.4, 1077.5), ("label", 2.0): Published(730.6, 1118.9)}
"""By what is seen of the context, and the noise: the probability of each, or the likelier one alone."""
_LIMIT = 1.0  # of disengagement in the notebook; 0.99 in later versions and in the preset


@dataclass(frozen=True)
class CoachingSettings(ReproductionSettings):
    """Solve StepCountJITAI's environment for each noise, and train agents on it."""

    agent: str = "dqn"
    """The agent that is trained where probabilities are seen."""
    seeds: int = 5
    """Training seeds, from 0."""
    episodes: int | None = None
    """Episodes of training; by default as the preset recommends."""


def study(settings: CoachingSettings) -> str:
    """Solve, train, and write ``report.md``, ``report.json`` and ``returns.png``; gives the report's text."""
    torch.set_num_threads(1)
    known = {row["noise"]: row["found"] for row in known_rows(settings.out) if "found" in row}
    rows = [{"seen": seen, "noise": noise, **published._asdict(), "optimum": round(optimum(seen, noise), 1)}
            for (seen, noise), published in PUBLISHED.items()]
    data, made = {"agent": settings.agent, "rows": rows}, made_by(typed(__name__))
    for _ in _trained(rows, settings, known):  # what is trained is kept, and goes on after a stop
        report = publish(settings.out, text, made, data)
    return settings.ended(report, "returns.png", lambda: draw(rows, settings.agent))


def _trained(rows: Sequence[dict[str, Any]], settings: CoachingSettings, known: Mapping[float, Sequence[float]]) -> \
        Iterator[None]:
    """Add what agents reach to the rows in which probabilities are seen, training by training."""
    for row in rows:
        if row["seen"] == "probability":
            market = (f"coaching.context_noise={row['noise']}", f"coaching.disengagement_limit={_LIMIT}")
            kept = known.get(row["noise"], ())
            for found in returns_of_seeds("coach", settings.agent, settings.seeds, settings.episodes, kept, market):
                yield row.update({"found": found} if found else {})


def optimum(seen: str, noise: float) -> float:
    """The best return where the context is seen like this; the first context is known, as it always is the same."""
    game = CoachGame.of(find_preset("coach").market(
        coaching={"context_noise": noise, "disengagement_limit": _LIMIT}))
    assert game is not None  # the preset is made for it
    mistaken = float(ndtr(-0.5 / noise)) if noise > 0.0 else 0.0
    steps = iter(range(game.horizon))

    def best(now: Array, total: Array) -> Array:
        none, generic, right, wrong = total
        rest: Array = np.maximum(none, generic)
        if next(steps) == game.horizon - 1:  # the last that is computed is the first that is played
            known: Array = np.maximum(rest, right)
            return known
        if seen == "probability":
            return game.best(total, total)
        by_label: Array = np.maximum(rest, (1.0 - mistaken) * right + mistaken * wrong)
        return by_label

    return game.value(best)


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    trained = (f"`{data['agent']}` of this package: held-out worlds, without exploration, one value for each training "
               f"seed. {INTERVALS}")
    return "\n\n".join([
        made_line(source["made"]),
        "Returns of StepCountJITAI's person. The context is 0 or 1; a draw of N(context, noise) shows it, as the "
        "probability of each or as the likelier one alone. Published: means of 1,000 episodes after training with one "
        "seed, as the authors' notebook prints them. Optimum: dynamic programming with what is seen. A published "
        f"figure is consistent if it is not above the optimum. {trained * any('found' in row for row in data['rows'])}",
        _table(data["rows"], data["agent"]), "![returns by noise](returns.png)"]) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], agent: str) -> str:
    return table(["seen of the context", "noise", "published DQN", "published REINFORCE", "optimum (exact)",
                  "best published / optimum", f"{agent} here [95 %]", "verdict"], [_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> list[str]:
    best = max(row["dqn"], row["reinforce"])
    verdict = "consistent" if best <= row["optimum"] else "above the optimum"
    found = ""
    if "found" in row:
        estimate = mean_estimate(row["found"])
        found = estimate.text(1)
        verdict += ", reached" if estimate.mean >= best else ", not reached"
    return [row["seen"], f"{row['noise']:g}", f"{row['dqn']:.1f}", f"{row['reinforce']:.1f}", f"{row['optimum']:.1f}",
            f"{best / row['optimum']:.3f}", found, verdict]


def published_rows(data: Mapping[str, Any]) -> list[Row]:
    """What was published, as a lower bound of the optimum and of what the agent reaches here."""
    found: list[Row] = []
    for row in data["rows"]:
        seen, best = f"context seen as {row['seen']}, noise {row['noise']:g}", max(row["dqn"], row["reinforce"])
        for figure, values in (("optimum", row["optimum"]), (data["agent"], row.get("found"))):
            if values is not None:
                found.append(finding(seen, f"{figure}, beside the best published", values, best, at_least=True))
    return found


def draw(rows: Sequence[Mapping[str, Any]], agent: str) -> Picture:
    """Returns by noise, for both ways to see the context."""
    figure = Picture(figsize=(8.4, 3.6), layout="constrained")
    for axis, seen in zip(figure.subplots(1, 2, sharey=True), ("probability", "label"), strict=True):
        shown = [row for row in rows if row["seen"] == seen]
        noise = [row["noise"] for row in shown]
        axis.plot(noise, [row["optimum"] for row in shown], color="#009e73", marker=".", label="optimum (exact)")
        axis.plot(noise, [row["dqn"] for row in shown], "s", color="#d55e00", label="published DQN")
        axis.plot(noise, [row["reinforce"] for row in shown], "^", color="#cc79a7", label="published REINFORCE")
        if "found" in shown[0]:
            axis.plot(noise, [np.mean(row["found"]) for row in shown], "o", color="#0072b2", fillstyle="none",
                      label=f"{agent} here")
        axis.set_title(f"context seen as {seen}")
        axis.set_xlabel("noise")
    figure.axes[0].set_ylabel("steps walked in an episode")
    figure.axes[0].legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.coaching:study"))
