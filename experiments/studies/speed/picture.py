"""A picture of the rates: ours and peers' on one scale, by the number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interplay.experiments.common.pictures import Picture
from interplay.experiments.studies.speed.measured import AGENTS, Measured

_OURS, _PEERS, _ROW = "#0072b2", "#8a8f98", 0.24


def draw(found: Sequence[Measured], path: Path) -> None:
    """Bars of agent-steps a second (of RecSim NG, user interactions), the highest number of threads, log scale."""
    most = max((one.threads for one in found), default=1)
    shown = [one for one in found if one.threads == most]
    figure = Picture(figsize=(8.0, 1.0 + _ROW * max(1, len(shown))), layout="constrained")
    axis = figure.subplots()
    rates = [one.per_second(AGENTS) or one.rate for one in shown]
    colours = [_OURS if one.agents is not None else _PEERS for one in shown]
    axis.barh([one.name for one in shown], rates, color=colours, height=0.7)
    for row, rate in enumerate(rates):
        axis.annotate(f" {rate:,.0f}", (rate, row), va="center", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlim(right=30.0 * max(rates, default=1.0))
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel(f"agent-steps a second with {most} thread{'s' if most > 1 else ''} (peers grey)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
