"""MovieLens-100K ranked by the protocol of a published benchmark, with the published figures beside ours.

Run as ``python -m interplay.experiments.studies.published_ranking --data FOLDER --out FOLDER``. Seeds that the report
has already are not trained again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interplay.envs.data import InteractionLog, read_log
from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import known_rows, made_by, made_line, publish
from interplay.experiments.common.saving import RESULTS, read_sealed
from interplay.experiments.common.statistics import INTERVALS, mean_estimate
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_lines import typed

FIGURES = ("ndcg@10", "precision@10", "recall@10")

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "BiVAE": (0.475077, 0.411771, 0.219145), "BPR": (0.441997, 0.388229, 0.212522),
    "LightGCN": (0.419846, 0.379626, 0.144336), "NCF": (0.396118, 0.347296, 0.180775),
    "SAR": (0.382461, 0.330753, 0.176385)}
"""``FIGURES`` of the models that learn to rank, in the README of github.com/recommenders-team/recommenders at commit
005dcd0, "Algorithm Comparison"."""

_TRAINED = 0.75


@dataclass(frozen=True)
class PublishedRankingSettings:
    """Rank MovieLens-100K as a published benchmark does."""

    data: Path
    """Folder of the logs."""
    num_seeds: int = 5
    """Splits."""
    out: Path | None = None
    """Folder of the report, which may hold seeds already."""


def study(settings: PublishedRankingSettings) -> str:
    """Train, and write ``report.md`` and ``report.json``; gives the report's text."""
    rows, made = known_rows(settings.out), made_by(typed(__name__))
    log = read_log(settings.data / "ml-100k")
    for seed in range(settings.num_seeds):
        if seed not in {row["seed"] for row in rows}:
            rows.append({"seed": seed, "models": _figures(log, seed)})
            publish(settings.out, text, made, {"rows": rows})  # a study that is stopped keeps them
    report = publish(settings.out, text, made, {"rows": rows})
    print(report)
    return report


def trained(log: InteractionLog, seed: int) -> NDArray[np.bool_]:
    """Three quarters of each item's rows at random, bool ``[N]``."""
    order = np.lexsort((np.random.default_rng(seed).random(len(log)), log.item))
    count = np.bincount(log.item, minlength=log.num_items)
    place = np.empty(len(log), dtype=np.int64)
    place[order] = np.arange(len(log)) - np.repeat(np.cumsum(count) - count, count)
    found: NDArray[np.bool_] = place < np.rint(_TRAINED * count)[log.item]
    return found


def _figures(log: InteractionLog, seed: int) -> dict[str, list[float]]:
    """``FIGURES`` of all models on one split."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        split = np.where(trained(log, seed), "train", "test")
        pl.DataFrame({"user": log.user, "item": log.item, "reward": log.reward, "split": split}).write_csv(path)
        words = ["--log", str(path), "--split", "own", "--split-column", "split", "--seed", str(seed)]
        if main(["pretrain", *words, "--log-dir", folder, "--name", "run"]) != 0:
            raise InterplayError(f"seed {seed}: pretrain failed; see the line above")
        models = read_sealed(Path(folder) / "run" / RESULTS)["models"]
    return {name: [found[figure]["mean"] for figure in FIGURES] for name, found in models.items()}


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    rows: Sequence[Mapping[str, Any]] = source["data"]["rows"]
    ours = [[name, "this package", *(str(mean_estimate([row["models"][name][at] for row in rows]))
                                     for at in range(len(FIGURES)))] for name in rows[0]["models"]]
    theirs = [[name, "published", *(f"{value:.3f}" for value in values)] for name, values in PUBLISHED.items()]
    parts = ["# MovieLens-100K beside a published benchmark", made_line(source["made"]), f"{_READING} {INTERVALS}",
             table(["model", "from", *FIGURES], [*ours, *theirs])]
    return "\n\n".join(parts) + "\n"


_READING = """\
The protocol is that of the benchmark of the repository `recommenders-team/recommenders` (README at commit 005dcd0,
"Algorithm Comparison", and `examples/06_benchmarks/movielens.ipynb`): three quarters of each film's ratings, drawn at
random, are for training, all ratings count as liked, all films but those of the user's training part are ranked, and
figures of the first ten are means over users. Its figures are of one split, with 15 epochs and settings that were not
tuned on this split; ours are of one random split for each seed, with strengths chosen on a tenth of the training
part."""


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.published_ranking:study"))
