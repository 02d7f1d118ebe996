"""``scripts/unbiased.py``: what a log's selection does to what is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.envs.checking import Count, Index, NotNegative, Positive
from interplay.envs.data import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Many, Need, Seed, check_flags, when
from interplay.experiments.common.log_settings import LogSettings
from interplay.experiments.common.logs import Parts, logged_parts
from interplay.experiments.common.reports import REPORT, Renderer, made_line
from interplay.experiments.common.table_settings import LOGGED
from interplay.experiments.common.tables import table
from interplay.experiments.studies.command_lines import reported
from interplay.experiments.studies.unbiased.agents import World, agents_report, compare_agents
from interplay.experiments.studies.unbiased.estimates import (
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

_MADE = Need(lambda s: s.agents, "it is about --agents: leave it out")


@dataclass(frozen=True)
class UnbiasedSettings(LogSettings):
    """Compare matrix factorisation with and without inverse propensities, where the held-out part is random."""

    split: Literal["random", "time", "global-time", "last", "own"] = when(LOGGED, "own")
    """How the held-out part is chosen; by default as the data set says, for only a part that was rated at random shows
    the error over all pairs."""
    sizes: tuple[Index, ...] = when(LOGGED, Grid.sizes)
    """Sizes of the vectors to try; 0 fits biases alone."""
    ridges: tuple[NotNegative, ...] = when(LOGGED, Grid.ridges)
    """Penalties to try."""
    seeds: Many = Grid.seeds
    """How many seeds, from 0 on; each starts the fits and draws the validation part."""
    first_seed: Seed = when(_MADE, 0)
    """The first seed of worlds that are made (--agents)."""
    clip: Positive = when(LOGGED, 50.0)
    """Highest weight of a row where weights are clipped."""
    agents: tuple[str, ...] = ()
    """Agents to train instead, in worlds that are made and whose selection is known (no --log): by name, with
    ,OPTION=VALUE behind it."""
    episodes: Count = when(_MADE, 10)
    """Episodes of their training."""
    out: Path | None = None
    """Folder to write report.md and its rows to; by default nothing is written."""


def unbiased(settings: UnbiasedSettings) -> dict[str, Errors]:
    """Fit, print the tables, and write them where that is asked for.

    Returns:
        The errors of each way of weighting; nothing where agents were trained.

    Raises:
        InterplayError: the settings or the log are wrong.
    """
    check_flags(settings)
    if settings.agents:
        _with_agents(settings)
        return {}
    if settings.log is None:
        raise InterplayError("unbiased needs a log: give one with --log")
    grid = Grid(settings.sizes, settings.ridges, settings.seeds)
    parts = logged_parts(settings, seed=0)
    print(parts.summary)
    found = compare(parts.train, parts.held_out, ways(parts.train, settings.clip), grid)
    _publish(settings.out, report_text, report_data(parts, grid, found))
    return found


def _with_agents(settings: UnbiasedSettings) -> None:
    if settings.log is not None:
        raise InterplayError(f"agents={' '.join(settings.agents)!r} are trained in worlds whose truth is known: leave "
                             "--log out")
    torch.set_num_threads(1)
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    _publish(settings.out, agents_report, compare_agents(settings.agents, World(), seeds, settings.episodes))


def _publish(out: Path | None, renderer: Renderer, data: Mapping[str, Any]) -> None:
    reported(out, renderer, "unbiased", data)
    if out is not None:
        print(f"wrote {out / REPORT}")


def ways(log: InteractionLog, clip: float) -> dict[str, Weighting]:
    """All that can be done with this log: without propensities of its own, only popularity gives them."""
    known: dict[str, Weighting] = {} if log.propensity is None else {
        "IPS": known_propensities(np.inf), f"IPS, clipped at {clip:g}": known_propensities(clip)}
    return {"naive": naive, **known, "IPS by popularity": popularity_propensities(clip)}


def report_data(parts: Parts, grid: Grid, found: Mapping[str, Errors]) -> dict[str, Any]:
    """The rows that the report follows from."""
    held_out = parts.held_out
    return {"training_rows": len(parts.train), "held_out_rows": len(held_out), "grid": asdict(grid),
            "rows_of_user": np.bincount(held_out.user, minlength=held_out.num_users).tolist(),
            "ways": {name: {"held_out": errors.held_out.tolist(), "validation": errors.validation.tolist(),
                            "shift": errors.shift.tolist(), "by_user": errors.by_user_at_chosen.tolist()}
                     for name, errors in found.items()}}


class _Way(NamedTuple):
    """One way of weighting, read from rows: fields as in ``Errors``, ``by_user [U]`` at what was chosen."""

    held_out: Floats
    validation: Floats
    shift: Floats
    by_user: Floats

    def at_chosen(self, values: Floats) -> Floats:
        there: Floats = values[np.arange(len(values)), self.validation.argmin(1)]
        return there


def report_text(folder: Path, source: Mapping[str, Any]) -> str:
    """Two tables: the held-out error everywhere on the grid, and where the training part alone chose."""
    data = source["data"]
    grid = Grid(tuple(data["grid"]["sizes"]), tuple(data["grid"]["ridges"]), data["grid"]["seeds"])
    found = {name: _Way(**{field: np.array(values) for field, values in way.items()})
             for name, way in data["ways"].items()}
    everywhere = table(["size", "ridge", *found], [
        [str(size), f"{ridge:g}", *(_spread(way.held_out[:, h]) for way in found.values())]
        for h, (size, ridge) in enumerate(grid.points)])
    lines = [made_line(source["made"]), "",
             f"{data['training_rows']:,} training rows, {data['held_out_rows']:,} held-out rows, {grid.seeds} seeds. "
             "Mean squared error of held-out rows, mean ± standard deviation over seeds.", "", everywhere, "",
             "At the size and ridge of least validation error, which is weighted as the fit is:", "",
             _chosen_table(np.array(data["rows_of_user"]), grid, found)]
    lines += ["", *(_compared(name, way, found["naive"]) for name, way in found.items() if name != "naive")]
    return "\n".join(lines)


def _chosen_table(rows_of_user: NDArray[np.int64], grid: Grid, found: Mapping[str, _Way]) -> str:
    header = ["way", "error", "of it the squared shift", "naive - it [95 %, users]", "chosen (size, ridge): seeds"]
    rows = []
    for name, way in found.items():
        points, counts = np.unique(way.validation.argmin(1), return_counts=True)
        picked = ", ".join(f"({grid.points[p][0]}, {grid.points[p][1]:g}): {n}"
                           for p, n in zip(points, counts, strict=True))
        rows.append([name, _spread(way.at_chosen(way.held_out)), f"{(way.at_chosen(way.shift) ** 2).mean():.3f}",
                     "" if name == "naive" else str(gap(found["naive"].by_user, way.by_user, rows_of_user)), picked])
    return table(header, rows)


def _compared(name: str, way: _Way, plain: _Way) -> str:
    """One line on the whole grid, seeds averaged."""
    better = plain.held_out.mean(0) - way.held_out.mean(0)
    return (f"{name}: below naive at {int((better > 0).sum())} of {len(better)} hyper-parameters, by "
            f"{better.min():.3f} to {better.max():.3f}.\n")


def _spread(values: Floats) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"
