"""Pictures of results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, whatever display there is

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from interplay.envs.types import InterplayError
from interplay.experiments.statistics import Estimate, mean_estimate

_BASELINE, _LEARNER = "#b8c4ce", "#2a6f97"


def plot_benchmarks(files: Sequence[Path], out: Path) -> None:
    """One panel for each market in the JSON files of ``interplay benchmark``: who earns what, beside the optimum.

    Raises:
        InterplayError: a file is missing or empty.
    """
    found = [result for file in files for result in _read(file)]
    markets = list(dict.fromkeys(result["preset"] for result in found))
    figure, axes = plt.subplots(1, len(markets), figsize=(3.2 * len(markets), 3.0), squeeze=False)
    for market, axis in zip(markets, axes[0], strict=True):
        _panel(axis, market, [result for result in found if result["preset"] == market])
    axes[0][0].set_ylabel("return of all users, per episode")
    figure.tight_layout()
    figure.savefig(out, dpi=150)
    plt.close(figure)


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise InterplayError(f"{str(file)!r} does not exist: give JSON files that benchmark wrote")
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


def _panel(axis: Axes, market: str, found: list[dict[str, Any]]) -> None:
    bars = _baselines(found) | _learners(found)
    for place, (name, estimate) in enumerate(bars.items()):
        low, high = estimate.ci95
        error = [[max(0.0, estimate.mean - low)], [max(0.0, high - estimate.mean)]]
        learner = any(result["users"] == name for result in found)
        axis.bar(place, estimate.mean, yerr=error, capsize=3, color=_LEARNER if learner else _BASELINE)
    axis.set_xticks(range(len(bars)), list(bars), rotation=40, ha="right", fontsize=8)
    oracle = found[0]["oracle"]
    if oracle["name"] == "optimum":
        axis.axhline(oracle["user_return"], color="#c1121f", linestyle="--", linewidth=1)
        axis.text(-0.45, oracle["user_return"] * 1.02, "optimum", color="#c1121f", fontsize=8)
        axis.set_ylim(top=oracle["user_return"] * 1.14)
    axis.set_title(market, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def _baselines(found: list[dict[str, Any]]) -> dict[str, Estimate]:
    first = [result for result in found if result["users"] == found[0]["users"]]
    scores: dict[str, list[float]] = {}
    for result in first:
        for score in result["baselines"]:
            if score["items"] == result["items"] and score["users"] != result["users"]:
                scores.setdefault(score["users"], []).append(score["user_return"]["mean"])
    return {name: mean_estimate(values) for name, values in scores.items()}


def _learners(found: list[dict[str, Any]]) -> dict[str, Estimate]:
    scores: dict[str, list[float]] = {}
    for result in found:
        scores.setdefault(result["users"], []).append(result["evaluation"]["user_return"]["mean"])
    return {name: mean_estimate(values) for name, values in scores.items()}
