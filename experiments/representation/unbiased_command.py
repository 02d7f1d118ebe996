"""The command ``interplay unbiased``: what a log's selection does to what is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from interplay.envs.checking import check_fields
from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.logs import Parts, logged_parts
from interplay.experiments.representation.unbiased import (
    Errors,
    Floats,
    Grid,
    Weighting,
    compare,
    gap,
    known_propensities,
    naive,
    popularity_propensities,
)
from interplay.experiments.representation.unbiased_agents import World, compare_agents
from interplay.experiments.settings import LogSettings, typed
from interplay.experiments.tables import table

REPORT = "report.md"


@dataclass(frozen=True)
class UnbiasedSettings(LogSettings):
    """Compare matrix factorisation with and without inverse propensities, where the held-out part is random."""

    split: Literal["random", "time", "global-time", "last", "own"] = "own"
    """How the held-out part is chosen; by default as the data set says, for only a part that was rated at random tells
    the error over all pairs."""
    sizes: tuple[int, ...] = Grid.sizes
    """Sizes of the vectors to try; 0 fits biases alone."""
    ridges: tuple[float, ...] = Grid.ridges
    """Penalties to try."""
    seeds: int = Grid.seeds
    """How many seeds, from 0 on; each starts the fits and draws the validation part."""
    first_seed: int = 0
    """The first seed of worlds that are made (--agents)."""
    clip: float = 50.0
    """Highest weight of a row where weights are clipped."""
    agents: tuple[str, ...] = ()
    """Agents to train instead, in worlds that are made and whose selection is known (no --log): by name, with
    ,OPTION=VALUE behind it."""
    episodes: int = 10
    """Episodes of their training."""
    out: Path | None = None
    """Folder to write report.md to; by default nothing is written."""


def unbiased(settings: UnbiasedSettings) -> dict[str, Errors]:
    """Fit, print the tables, and write them where that is asked for.

    Returns:
        What each way of weighting came to; nothing where agents were trained.

    Raises:
        InterplayError: whatever is wrong with the settings or the log.
    """
    check_fields(settings)
    if settings.agents:
        _with_agents(settings)
        return {}
    if settings.log is None:
        raise InterplayError("unbiased needs a log: give one with --log")
    grid = Grid(settings.sizes, settings.ridges, settings.seeds)
    parts = logged_parts(settings, seed=0)
    print(parts.summary)
    found = compare(parts.train, parts.held_out, ways(parts.train, settings.clip), grid)
    text = tell(parts, grid, found)
    print(text)
    if settings.out is not None:
        _write(settings.out, text)
    return found


def _with_agents(settings: UnbiasedSettings) -> None:
    if settings.log is not None:
        raise InterplayError(f"agents={' '.join(settings.agents)!r} are trained in worlds whose truth is known: leave "
                             "--log out")
    torch.set_num_threads(1)
    text = compare_agents(settings.agents, World(), range(settings.first_seed, settings.first_seed + settings.seeds),
                          settings.episodes)
    print(text)
    if settings.out is not None:
        _write(settings.out, f"Made by `{typed('unbiased')}`.\n\n{text}")


def ways(log: InteractionLog, clip: float) -> dict[str, Weighting]:
    """All that can be done with this log: without propensities of its own, popularity alone tells them."""
    known: dict[str, Weighting] = {} if log.propensity is None else {
        "IPS": known_propensities(np.inf), f"IPS, clipped at {clip:g}": known_propensities(clip)}
    return {"naive": naive, **known, "IPS by popularity": popularity_propensities(clip)}


def tell(parts: Parts, grid: Grid, found: Mapping[str, Errors]) -> str:
    """Two tables: the held-out error everywhere on the grid, and where the training part alone chose."""
    rows = f"{len(parts.train):,} training rows, {len(parts.held_out):,} held-out rows, {grid.seeds} seeds"
    everywhere = table(["size", "ridge", *found], [
        [str(size), f"{ridge:g}", *(_spread(errors.held_out[:, h]) for errors in found.values())]
        for h, (size, ridge) in enumerate(grid.points)])
    lines = [f"{rows}. Mean squared error of held-out rows, mean ± standard deviation over seeds.", "", everywhere, "",
             "At the size and ridge of least validation error, which is weighted as the fit is:", "",
             _chosen_table(parts, grid, found)]
    lines += ["", *(_compared(name, errors, found["naive"]) for name, errors in found.items() if name != "naive")]
    return "\n".join(lines)


def _chosen_table(parts: Parts, grid: Grid, found: Mapping[str, Errors]) -> str:
    header = ["way", "error", "of it the squared shift", "naive - it [95 %, users]", "chosen (size, ridge): seeds"]
    rows = []
    for name, errors in found.items():
        points, counts = np.unique(errors.chosen, return_counts=True)
        picked = ", ".join(f"({grid.points[p][0]}, {grid.points[p][1]:g}): {n}"
                           for p, n in zip(points, counts, strict=True))
        rows.append([name, _spread(errors.at_chosen(errors.held_out)),
                     f"{(errors.at_chosen(errors.shift) ** 2).mean():.3f}",
                     "" if name == "naive" else str(gap(found["naive"], errors, parts.held_out)), picked])
    return table(header, rows)


def _compared(name: str, errors: Errors, plain: Errors) -> str:
    """One line on the whole grid, seeds averaged."""
    better = plain.held_out.mean(0) - errors.held_out.mean(0)
    return (f"{name}: below naive at {int((better > 0).sum())} of {len(better)} hyper-parameters, by "
            f"{better.min():.3f} to {better.max():.3f}.\n")


def _spread(values: Floats) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"


def _write(folder: Path, text: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text(text + "\n")
    except OSError as error:
        raise InterplayError(f"{str(folder)!r} cannot be written to ({error.strerror or error}): choose another with "
                             "--out") from error
    print(f"wrote {folder / REPORT}")
