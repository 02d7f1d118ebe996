"""Coat: errors of matrix factorisation with and without inverse propensities (Schnabel et al., ICML 2016, table 2).

Run as ``python -m interplay.experiments.studies.reproductions.coat --data ../shared/data --out
experiments/results/reproductions/coat``. As in the paper, 4-fold cross-validation of the self-selected ratings chooses
size and penalty, and errors are those of the ratings at random. 366 pairs of users and coats are in both parts; the
second comparison leaves them out of training, as this package's own split does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.data import InteractionLog, fit_factors, read_log
from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.reports import made_by, made_line, publish
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.reproductions.findings import READING, Row, finding, findings_table
from interplay.experiments.studies.reproductions.settings import ReproductionSettings
from interplay.experiments.studies.unbiased.estimates import Floats, Weighting, deviation, known_propensities, naive

PUBLISHED = {("naive", "MSE"): 1.202, ("IPS", "MSE"): 1.093, ("naive", "MAE"): 0.920, ("IPS", "MAE"): 0.860}
TOLERANCE = 0.02
ALL, DISJOINT = "all self-selected ratings", "without pairs of the test part"
WAYS: Mapping[str, Weighting] = {"naive": naive, "IPS": known_propensities(np.inf)}
_ITERATIONS = 15


@dataclass(frozen=True)
class CoatSettings(ReproductionSettings):
    """Fit Coat's self-selected ratings with and without inverse propensities, and compare with what was published."""

    data: Path = Path("../shared/data")
    """Folder that holds the folder coat."""
    seeds: int = 10
    """How many; each splits folds and draws the first vectors."""
    sizes: tuple[int, ...] = (5, 10, 20)
    """Sizes of vectors to choose from."""
    ridges: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 1.0)
    """Penalties to choose from; see ``fit_factors``."""
    folds: int = 4
    """Of the cross-validation."""


def study(settings: CoatSettings) -> str:
    """Fit, and write ``report.md``, ``report.json`` and ``errors.png``; gives the report's text."""
    log = read_log(settings.data / "coat")
    if log.split is None or log.propensity is None:
        raise InterplayError(f"{str(settings.data / 'coat')!r} has no propensities: get the folder again")
    train, test = log.take(~log.split, "at random"), log.take(log.split, "self-selected")
    shared = np.isin(train.pair_key, test.pair_key)
    fits = list(_fits({ALL: train, DISJOINT: train.take(~shared, "of the test part")}, test,
                      np.isin(test.pair_key, train.pair_key), settings))
    data = {"rows": len(train), "shared": int(shared.sum()), "test": len(test), "fits": fits, "means": [
        round(float(part.reward.mean()), 4) for part in (train, test)]}
    report = publish(settings.out, text, made_by(typed(__name__)), data)
    return settings.ended(report, "errors.png", lambda: draw(fits))


def _fits(parts: Mapping[str, InteractionLog], test: InteractionLog, seen: NDArray[np.bool_],
          settings: CoatSettings) -> Iterator[dict[str, Any]]:
    """A row for each training part, way and seed: what was chosen, and test errors."""
    for (part, train), (way, weighting), seed in product(parts.items(), WAYS.items(), range(settings.seeds)):
        weight = weighting(train)
        size, ridge = _chosen(train, weight, settings, seed)
        wrong = deviation(fit_factors(train, size, ridge, _ITERATIONS, seed, weight), test)
        yield {"part": part, "way": way, "seed": seed, "size": size, "ridge": ridge,
               **{name: round(value, 4) for name, value in _errors(wrong, seen).items()}}


def _chosen(train: InteractionLog, weight: Floats, settings: CoatSettings, seed: int) -> tuple[int, float]:
    """Size and ridge of least weighted squared error in cross-validation."""
    fold = np.random.default_rng(seed).permutation(len(train)) % settings.folds
    total = {}
    for point in product(settings.sizes, settings.ridges):
        total[point] = 0.0
        for k in range(settings.folds):
            rest, left = train.take(fold != k, "of a fold"), train.take(fold == k, "of other folds")
            wrong = deviation(fit_factors(rest, *point, _ITERATIONS, seed, weight[fold != k]), left)
            total[point] += float(weight[fold == k] @ wrong**2)
    return min(total, key=lambda point: total[point])


def _errors(wrong: Floats, seen: NDArray[np.bool_]) -> dict[str, float]:
    return {"MSE": float((wrong**2).mean()), "MAE": float(np.abs(wrong).mean()),
            "MSE of the shared pairs": float((wrong[seen] ** 2).mean()),
            "MSE of the other pairs": float((wrong[~seen] ** 2).mean())}


def _rows(fits: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    figures = ("MSE", "MAE", "MSE of the shared pairs", "MSE of the other pairs")
    for part, figure, way in product((ALL, DISJOINT), figures, WAYS):
        found = _of(fits, part, way, figure)
        yield finding(part, f"{figure}, {way}", found, PUBLISHED.get((way, figure)), TOLERANCE, 3)


def published_rows(data: Mapping[str, Any]) -> list[Row]:
    """Figures of the paper's protocol, which trains on pairs of the test part, too."""
    return [row for row in _rows(data["fits"]) if row["where"] == ALL and row["published"] is not None]


def _of(fits: Sequence[Mapping[str, Any]], part: str, way: str, figure: str) -> list[Any]:
    return [row[figure] for row in fits if (row["part"], row["way"]) == (part, way)]


def text(folder: Path, source: Mapping[str, Any]) -> str:
    """The report, from its rows."""
    data = source["data"]
    fits, (chosen, random) = data["fits"], data["means"]
    choices = [f"{part}, {way}: " + " ".join(f"({size}, {ridge:g})" for size, ridge in zip(
        _of(fits, part, way, "size"), _of(fits, part, way, "ridge"), strict=True))
        for part, way in product((ALL, DISJOINT), WAYS)]
    return "\n\n".join([
        made_line(source["made"]),
        f"{data['rows']:,} self-selected ratings of Coat, mean {chosen:.2f}, and {data['test']:,} at random, mean "
        f"{random:.2f}. {data['shared']} pairs of users and coats are in both. `fit_factors` is trained on the "
        "self-selected ratings; 4-fold cross-validation of these, weighted as the fit is, chooses its size and ridge. "
        "Propensities are the publisher's. Errors are those of all ratings at random, one value for each seed. "
        f"{READING}",
        findings_table(list(_rows(fits))),
        "Sizes and ridges that were chosen, seed by seed: " + "; ".join(choices) + ".", "![errors](errors.png)"]) + "\n"


def draw(fits: Sequence[Mapping[str, Any]]) -> Picture:
    """Test errors of both training parts and both ways, with what was published as lines."""
    figure = Picture(figsize=(7.0, 2.8), layout="constrained")
    axis, cases = figure.add_subplot(), list(product((ALL, DISJOINT), WAYS))
    for place, (part, way) in enumerate(cases):
        found = _of(fits, part, way, "MSE")
        axis.plot(found, [place] * len(found), "o", color="#0072b2", alpha=0.6)
        axis.plot([PUBLISHED[way, "MSE"]] * 2, [place - 0.35, place + 0.35], color="#d55e00", linewidth=2)
    axis.set_yticks(range(len(cases)), [f"{way}, {part}" for part, way in cases])
    axis.invert_yaxis()
    axis.set_xlabel("mean squared error of ratings at random (orange: published)")
    return figure


if __name__ == "__main__":
    sys.exit(main(command="interplay.experiments.studies.reproductions.coat:study"))
