"""Baselines and their strengths, which are chosen on a part of the training part and kept in the user's cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from scipy.sparse import csr_matrix
from tqdm import tqdm

from interplay.envs.data.download import cache_folder
from interplay.experiments.common.logs import digest_of
from interplay.experiments.common.saving import write_text
from interplay.experiments.representation.baselines import Baseline, ease, implicit_als, item_knn, popularity
from interplay.experiments.representation.ranking import Ranker, Trial

Strengths = dict[str, float]
Axes = Mapping[str, tuple[float, ...]]

BASELINES: dict[str, tuple[Baseline, Axes]] = {
    "popularity": (popularity, {}),
    "item-knn": (item_knn, {"shrink": (10, 1, 100, 1000), "neighbours": (100, 20, 500)}),
    "ease": (ease, {"ridge": (200, 1, 3, 10, 30, 100, 500, 1000, 3000)}),
    "implicit-als": (implicit_als, {"ridge": (30, 3, 10, 100, 300), "weight": (3, 1, 10), "size": (64, 16)}),
}
"""Each baseline, and what is tried of its strengths: the first values first, then each strength in turn."""


def tuned(trial: Trial, names: Collection[str] = tuple(BASELINES)) -> dict[str, Strengths]:
    """The strengths of baselines with the best NDCG@10 in ``trial``, from the cache if they are known.

    Args:
        trial: of the training part alone; what is held out chooses nothing.
        names: of the baselines.
    """
    searched = [axes for name, (_, axes) in BASELINES.items() if name in names and axes]
    fits = sum(1 + sum(len(values) - 1 for values in axes.values()) for axes in searched)
    with tqdm(total=fits, unit="fit", desc="baselines", mininterval=0.5) as bar:
        return {name: _tuned(trial, name, bar.update) for name in names}


def _tuned(trial: Trial, name: str, tried: Callable[[], object]) -> Strengths:
    """Of one baseline; ``tried`` is called before each fit."""
    kind, axes = BASELINES[name]

    def figure(strengths: Strengths) -> float:
        tried()
        return trial.rank(kind(trial.liked, **strengths)).ndcg.mean

    path = cache_folder() / "baselines" / f"{_digest(trial, name)}.json"
    try:
        known: Strengths = json.loads(path.read_text(encoding="utf-8"))
        return known
    except (OSError, ValueError):
        found = search(axes, figure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(found))
    except OSError:  # a cache that cannot be written only costs time
        pass
    return found


def rankers(liked: csr_matrix, strengths: Mapping[str, Strengths]) -> dict[str, Ranker]:
    """Each baseline, fitted to the pairs ``[U, I]`` that are liked."""
    return {name: kind(liked, **strengths[name]) for name, (kind, _) in BASELINES.items()}


def search(axes: Axes, figure: Callable[[Strengths], float]) -> Strengths:
    """Values with a high figure: each strength in turn, the others at the best so far."""
    best = {name: values[0] for name, values in axes.items()}
    highest = figure(best) if axes else 0.0
    for name, values in axes.items():
        for value in values[1:]:
            tried = {**best, name: value}
            found = figure(tried)
            if found > highest:
                best, highest = tried, found
    return best


def _digest(trial: Trial, name: str) -> str:
    """Of all that a choice depends on."""
    tables = [array for part in trial for array in (part.indptr, part.indices)]
    return digest_of(*tables, name=(trial.liked.shape, name, BASELINES[name][1]))
