"""Pictures of a benchmark: scores of the agents, and how they were learnt."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from interplay.experiments.benchmark.curves import CURVES, Floats, exploring, read_curves
from interplay.experiments.benchmark.scores import SCORES, Row, agents_of, read_rows, scores
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.statistics import interquartile_mean

SUMMARY, LEARNING = "summary.png", "curves.png"

Curves = dict[tuple[str, str], list[tuple[Floats, Floats]]]
"""As ``read_curves`` gives them."""

_GREY, _RED = "#8a8f98", "#c1121f"
# Okabe and Ito's colours, which people with any kind of colour blindness can distinguish, and two more.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#4d4d4d", "#b5a642",
            "#003f5c")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_WIDTH = 3.4  # inches of a panel
_LABEL = 26  # letters in a line of an agent's name: a longer one would leave no room for the scores
_LEGEND = 40  # the same in a legend, which has to fit below one panel
_ROW = 4  # panels side by side


def plot_folders(folders: Sequence[Path], out: Path) -> None:
    """Draw ``summary.png`` and ``curves.png`` from benchmarks' folders.

    Args:
        folders: that benchmark wrote; an agent that several have in one market is drawn from the first.
        out: folder of the pictures.

    Raises:
        InterplayError: a folder holds no benchmark.
    """
    rows, curves = gathered(folders)
    out.mkdir(parents=True, exist_ok=True)
    scores_picture(rows).write(out / SUMMARY)
    curves_picture(rows, curves, exploring(folder / CURVES for folder in folders)).write(out / LEARNING)


def scores_picture(rows: Sequence[Row]) -> Picture:
    """Scores of the agents: a panel for each market."""
    markets, looks = _markets(rows), _looks(rows)
    agents = [agents_of(rows, market, "baseline", "learner") for market in markets]
    lines = max(_label(name).count("\n") + 1 for names in agents for name in names)
    figure, axes = _panels(len(markets), 1.0 + max(0.23, 0.15 * lines) * max(map(len, agents)))
    for market, axis in zip(markets, axes, strict=True):
        _scores_panel(axis, rows, market, looks)
    return figure


def curves_picture(rows: Sequence[Row], curves: Curves, exploring: Collection[str]) -> Picture:
    """How it was learnt: a panel for each market.

    Args:
        rows: of the benchmarks.
        curves: by market and agent.
        exploring: markets of which curves are of agents that explore.
    """
    markets, looks = _markets(rows), _looks(rows)
    figure, axes = _panels(len(markets), 2.6)
    for market, axis in zip(markets, axes, strict=True):
        own = {agent: value for (played, agent), value in curves.items() if played == market}
        _curves_panel(axis, rows, market, own, looks)
        where = "exploring" if market in exploring else "held-out worlds"
        axis.set_ylabel(f"{_measure(rows, market)}, {where}", fontsize=8)
    learners = dict.fromkeys(row.agent for row in rows if row.kind == "learner")
    _add_legend(figure, [Line2D([], [], **looks[name].line(), label=_legend_label(name)) for name in learners])
    return figure


def _markets(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.market for row in rows))


def _looks(rows: Sequence[Row]) -> dict[str, Look]:
    return looks_of([agents_of(rows, market, "learner") for market in _markets(rows)],
                    [row.agent for row in rows if row.kind == "baseline"])


class Look(NamedTuple):
    """How an agent is drawn in every panel. No two agents have the same, unless there are more than 120."""

    colour: str
    marker: str

    def line(self) -> dict[str, Any]:
        """As arguments of a line."""
        return {"color": self.colour, "marker": self.marker, "markersize": 4}


_LOOKS = [Look(colour, marker) for marker in _MARKERS for colour in _COLOURS]


def looks_of(panels: Sequence[Sequence[str]], baselines: Sequence[str]) -> dict[str, Look]:
    """A look for each learner, with a colour that no other in its panels has while there are enough; grey baselines."""
    looks: dict[str, Look] = {}
    for name in dict.fromkeys(name for panel in panels for name in panel):
        beside = {looks[other].colour for panel in panels if name in panel for other in panel if other in looks}
        free = [look for look in _LOOKS if look not in looks.values()] or _LOOKS
        looks[name] = min(free, key=lambda look: look.colour in beside)
    others = [name for name in dict.fromkeys(baselines) if name not in looks]
    return looks | {name: Look(_GREY, marker) for name, marker in zip(others, cycle(_MARKERS), strict=False)}


def _add_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Below the panels, in as many columns as the figure has room for."""
    for columns in range(min(6, len(handles)), 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def gathered(folders: Sequence[Path]) -> tuple[list[Row], Curves]:
    """The rows of several benchmarks, and the curves by market and agent; see ``plot_folders``."""
    rows: list[Row] = []
    curves: Curves = {}
    for folder in folders:
        known = {(row.market, row.agent) for row in rows}
        rows += [row for row in read_rows(folder / SCORES) if (row.market, row.agent) not in known]
        curves |= {key: value for key, value in read_curves(folder / CURVES).items() if key not in known}
    return rows, curves


def _label(agent: str) -> str:
    """The agent's name in short lines."""
    return textwrap.fill(agent.replace(",", ", "), _LABEL)


def _legend_label(agent: str) -> str:
    """The agent's name as it is typed, in short lines only if it is long."""
    return agent if len(agent) <= _LEGEND else textwrap.fill(agent.replace(",", ", "), _LEGEND)


def _panels(count: int, height: float) -> tuple[Picture, list[Axes]]:
    """A figure with ``count`` panels in rows as long as each other, as far as that is possible."""
    lines = -(-count // _ROW)
    columns = -(-count // lines)
    figure = Picture(figsize=(_WIDTH * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return figure, list(axes.flat[:count])


def _scores_panel(axis: Axes, rows: Sequence[Row], market: str, looks: Mapping[str, Look]) -> None:
    """A line for each agent: interquartile mean and interval or range; what is exact as a dashed line."""
    found = {name: interquartile_mean(scores(rows, market, name))
             for name in agents_of(rows, market, "baseline", "learner")}
    for place, (name, estimate) in enumerate(sorted(found.items(), key=lambda pair: pair[1].mean)):
        low, high = estimate.ci95 or estimate.range or (estimate.mean, estimate.mean)
        axis.plot([low, high], [place, place], color=looks[name].colour, linewidth=3, solid_capstyle="butt", alpha=0.5)
        axis.plot(estimate.mean, place, **looks[name].line())
    labels = [_label(name) for name in sorted(found, key=lambda name: found[name].mean)]
    axis.set_yticks(range(len(found)), labels, fontsize=8)
    _exact_line(axis, rows, market, vertical=True)
    axis.grid(axis="x", color="#e6e6e6")
    axis.set_axisbelow(True)
    axis.set_xlabel(_measure(rows, market), fontsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(3))  # returns of many users are long numbers
    axis.set_title(market, fontsize=10, loc="left", pad=14)  # above the names of lines


def _curves_panel(axis: Axes, rows: Sequence[Row], market: str,
                  curves: Mapping[str, list[tuple[Floats, Floats]]], looks: Mapping[str, Look]) -> None:
    """The middle seed of each learner, and the band in which the middle half of the seeds lies."""
    for name, seeds in curves.items():
        length = min(len(steps) for steps, _ in seeds)
        steps, score = seeds[0][0][:length], np.stack([values[:length] for _, values in seeds])
        low, middle, high = np.quantile(score, [0.25, 0.5, 0.75], axis=0)
        axis.plot(steps, middle, **looks[name].line(), markevery=max(1, length // 5), linewidth=1.3)
        axis.fill_between(steps, low, high, color=looks[name].colour, alpha=0.2, linewidth=0)
    known = [name for name in ("random", "greedy") if name in agents_of(rows, market, "baseline")]
    levels = sorted((float(np.mean(scores(rows, market, name))), name) for name in known)
    for number, (value, name) in enumerate(levels):
        _level(axis, name, value, _GREY, ":", vertical=False, below=number == 0 and len(levels) > 1)
    axis.margins(y=0.1)
    _exact_line(axis, rows, market, vertical=False)
    axis.set_xlabel("steps of worlds", fontsize=8)
    axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 4))
    axis.xaxis.get_offset_text().set_fontsize(7)
    axis.set_title(market, fontsize=10, loc="left")


def _exact_line(axis: Axes, rows: Sequence[Row], market: str, vertical: bool) -> None:
    for row in rows:
        if row.market == market and row.kind == "exact":
            _level(axis, row.agent, row.figures["score"], _RED, "--", vertical)


def _level(axis: Axes, name: str, value: float, colour: str, style: str, vertical: bool,
           below: bool = False) -> None:
    """A line across the panel, with its name; grey names stand at the right of the panel, where no curve hides them.

    Of two grey ones the lower stands below its line: they may be close to each other. The name of an upright line is
    moved to the side on which the panel has more room.
    """
    (axis.axvline if vertical else axis.axhline)(value, color=colour, linestyle=style, linewidth=1)
    text: dict[str, Any] = {"text": name, "color": colour, "fontsize": 7, "textcoords": "offset points"}
    if vertical:
        low, high = axis.get_xlim()
        side = ("left", "center", "right")[min(2, int(3 * (value - low) / (high - low)))]
        axis.annotate(xy=(value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 0), ha=side, va="bottom", **text)
    else:
        right, beside = ("right", 0) if colour == _RED else ("left", 4)
        axis.annotate(xy=(1.0, value), xycoords=("axes fraction", "data"), xytext=(beside, 0), ha=right,
                      va="top" if below else "bottom", **text)


def _measure(rows: Sequence[Row], market: str) -> str:
    measure = next(row.measure for row in rows if row.market == market)
    return {"user_return": "return of all users", "mean_boost": "mean boost"}.get(measure, measure.replace("_", " "))
