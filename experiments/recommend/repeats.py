"""Several runs of pretrain as one report: figures of each model, and by how much two towers differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from interplay.experiments.common.reports import made_line
from interplay.experiments.common.statistics import INTERVALS, Estimate, mean_estimate
from interplay.experiments.common.tables import table

Over = Literal["seeds", "folds"]

_SPLITS: dict[Over, str] = {"seeds": "seeds, each with a split of its own where that is random",
                            "folds": "of the data set's own folds"}


def repeats_text(folder: Path, source: Mapping[str, Any]) -> str:
    """The text of the report.

    Args:
        folder: not read.
        source: its data are ``runs`` (name of each finished run, and what its ``results.json`` holds), ``planned``
            (how many there should be) and ``over`` (what differs between them).
    """
    runs, planned, over = (source["data"][name] for name in ("runs", "planned", "over"))
    names, results = ", ".join(runs), list(runs.values())
    stopped = "" if len(runs) == planned else f" Stopped before the others of {planned} were finished."
    epochs = ", ".join(str(run["epochs"]) for run in results)
    lines = [f"{made_line(source['made'])} Means over {len(runs)} {_SPLITS[over]} ({names}). {INTERVALS} They are over "
             f"{over} alone, and do not say how much other users would differ.{stopped} Epochs trained: {epochs}."
             f"{_ridges(results)}",
             "", figures_table(_means(results)), ""]
    if len(results[0]["models"]) > 1:
        own = list(results[0]["models"])[-1]
        lines += [f"{own} less each, paired by {over.rstrip('s')}:", "", figures_table(_differences(results, own)), ""]
    return "\n".join(lines)


def figures_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Models by figures."""
    columns = list(next(iter(found.values())))
    return table(["model", *columns], [[name, *(_cell(values[c]) for c in columns)] for name, values in found.items()])


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, tuple) else f"{value:.3f}"


def _ridges(results: list[Mapping[str, Any]]) -> str:
    """Which ridges were chosen, if any were."""
    chosen = {name: ", ".join(f"{run['ridges'][name]:g}" for run in results) for name in results[0].get("ridges", ())}
    values_of = "; ".join(f"{name} {values}" for name, values in chosen.items())
    return f" Ridges chosen on a part of the training part: {values_of}." if values_of else ""


def _means(results: list[Mapping[str, Any]]) -> dict[str, dict[str, Estimate]]:
    return {model: {figure: mean_estimate([_number(run["models"][model][figure]) for run in results])
                    for figure in figures} for model, figures in results[0]["models"].items()}


def _differences(results: list[Mapping[str, Any]], own: str) -> dict[str, dict[str, Estimate]]:
    """Of the figures of model ``own`` and each other's, within each run."""
    return {model: {figure: mean_estimate([_number(run["models"][own][figure]) - _number(run["models"][model][figure])
                                           for run in results])
                    for figure in figures} for model, figures in results[0]["models"].items() if model != own}


def _number(value: Any) -> float:
    return float(value["mean"] if isinstance(value, dict) else value)
