"""The picture of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from interplay.experiments.common.pictures import Picture
from interplay.experiments.evaluate.evaluation import Report
from interplay.experiments.loop.players import PLACKETT_LUCE
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import HELD_OUT

_GREY, _RED, _BLUE = "#8a8f98", "#c1121f", "#0072b2"


def learning_picture(run: Run, report: Report, path: Path | None) -> Picture:
    """Return of users over steps, in training and on held-out worlds, beside what others get.

    Training on a log earns from another part of the log than the levels are of: it has no line there.

    Args:
        run: with a curve.
        report: of the run.
        path: file to write; None = none.
    """
    figure = Picture(figsize=(6.4, 4.0))
    axis = figure.add_axes((0.14, 0.14, 0.83, 0.77))  # margins are fixed: every training draws, and a layout takes time
    name = f"{HELD_OUT}user_return"
    if run.task.parts is None:
        axis.plot(*_points(run, "user_return"), color=_BLUE, alpha=0.35, label="training, exploring")
    steps, returns = _points(run, name)
    final = report.score.user_return.mean
    if not steps or steps[-1] < run.env_steps:
        steps, returns = [*steps, run.env_steps], [*returns, final]
    axis.plot(steps, returns, color=_BLUE, marker="o", markersize=4, label="held-out worlds, not exploring")
    levels: dict[float, str] = {}
    for label, value in report.levels().items():
        levels.setdefault(value, label)  # the optimum may be greedy: one line has one name
    for value, label in levels.items():
        colour = _GREY if label in ("random", "greedy") else _RED
        axis.axhline(value, color=colour, linestyle="--", linewidth=1)
        axis.annotate(f"{label} {value:.5g}", (1.0, value), xycoords=("axes fraction", "data"), color=colour,
                      fontsize=8, ha="right", va="bottom")
    axis.set_xlabel("steps of worlds")
    axis.set_ylabel("return of all users")
    players = [f"{side} {agent}" for side, agent in report.score.names().items() if agent != PLACKETT_LUCE]
    axis.set_title(f"{run.task.name}: {', '.join(players)}", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure.write(path)


def _points(run: Run, column: str) -> tuple[list[float], list[float]]:
    """Steps and values of the rows that have the column."""
    rows = [row for row in run.curve if column in row and np.isfinite(row[column])]
    return [row["env_steps"] for row in rows], [row[column] for row in rows]
