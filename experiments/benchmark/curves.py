"""Learning curves: what agents earned in held-out worlds as they trained; exploring, where nothing was evaluated."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interplay.experiments.benchmark.scores import Row, agent_of
from interplay.experiments.loop.run import RESULTS
from interplay.experiments.loop.tracking import CURVE, HELD_OUT

CURVES = "curves.csv"
HELD_OUT_CURVE = "held_out"
"""Column that says whether a curve is of held-out worlds, without exploration."""

Floats = NDArray[np.float64]
_COLUMNS = ("market", "agent", "seed", "env_steps", "score")
_POINTS = 40  # of a curve that is kept; each is a mean over the episodes before it


def write_curves(runs: Path, rows: Sequence[Row], names: Sequence[str], out: Path) -> None:
    """Thin the runs' curves to ``_POINTS`` points and write them to ``curves.csv`` in ``out``."""
    known = {(row.market, row.agent, row.seed) for row in rows if row.kind == "learner"}
    with (out / CURVES).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_COLUMNS, HELD_OUT_CURVE])
        for name in names:
            folder = runs / name
            if not (folder / RESULTS).is_file():
                continue
            result = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            training = result["training"]
            key = (result["preset"], agent_of(result), result["seed"])
            assert key in known
            steps, score, held_out = _read(folder / CURVE, training["measure"])
            for step, value in zip(*((steps, score) if held_out else _thinned(steps, score)), strict=True):
                writer.writerow([*key, int(step), f"{value:.6g}", int(held_out)])


def read_curves(path: Path) -> dict[tuple[str, str], list[tuple[Floats, Floats]]]:
    """Curves of each market and agent: steps and scores ``[P]``, one pair for each seed."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = (row["market"], row["agent"], row["seed"])
                found.setdefault(key, []).append((float(row["env_steps"]), float(row["score"])))
    curves: dict[tuple[str, str], list[tuple[Floats, Floats]]] = {}
    for (market, agent, _), points in found.items():
        steps, score = np.array(points).T
        curves.setdefault((market, agent), []).append((steps, score))
    return curves


def exploring(paths: Iterable[Path]) -> set[str]:
    """Markets of which a curve in one of the files is of agents that explore."""
    found: set[str] = set()
    for path in (path for path in paths if path.is_file()):
        with path.open(newline="", encoding="utf-8") as file:
            found |= {row["market"] for row in csv.DictReader(file) if row.get(HELD_OUT_CURVE) != "1"}
    return found


def _read(path: Path, measure: str) -> tuple[Floats, Floats, bool]:
    """Steps, scores, and whether these are of held-out worlds."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    evaluated = [row for row in rows if row.get(f"{HELD_OUT}{measure}")]
    column = f"{HELD_OUT}{measure}" if evaluated else measure
    steps, score = np.array([(float(row["env_steps"]), float(row[column])) for row in evaluated or rows]).T
    return steps, score, bool(evaluated)


def _thinned(steps: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Means over as many parts of the run as there are points."""
    parts = np.array_split(np.arange(len(steps)), min(_POINTS, len(steps)))
    return np.array([steps[part[-1]] for part in parts]), np.array([score[part].mean() for part in parts])
