"""What a run logs: figures of each episode, as TensorBoard events and as curve.csv."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from interplay.envs.files import whole
from interplay.experiments.common.finite import check_figures, check_market, check_returns
from interplay.experiments.common.looping import Callback, R
from interplay.experiments.common.serialising import as_values
from interplay.experiments.common.statistics import gini
from interplay.experiments.common.tables import table
from interplay.experiments.loop.run import Run

CURVE = "curve.csv"
HELD_OUT = "held_out/"
"""Begins the names of figures of held-out worlds, without exploration."""

REFERENCE = "reference/"
"""Begins the names of levels that held-out returns are compared with."""

_LAYOUT = {
    "Learning": {
        "held-out return of users": ("Multiline", [f"{HELD_OUT}user_return", f"{REFERENCE}.+"]),
        "held-out return of items": ("Multiline", [f"{HELD_OUT}item_return"]),
        "return in training": ("Multiline", ["returns/users"]),
        "loss": ("Multiline", [".+/loss"]),
        "share of random actions": ("Multiline", [".+/epsilon"]),
        "agent steps per second": ("Multiline", ["speed/agent_steps_per_second"])},
    "Users and items": {
        "returns of users and items": ("Multiline", ["returns/users", "returns/items"]),
        "share of users and items that are there": ("Multiline", ["market/users_active", "market/items_alive"]),
        "Gini of exposure": ("Multiline", ["market/exposure_gini"]),
        "clicks for each item taken": ("Multiline", ["market/click_through"]),
        "mean boost": ("Multiline", ["market/mean_boost"])}}
"""Charts of TensorBoard's Custom Scalars, by group; each shows the figures whose names match."""

_HISTOGRAMS = 20  # of a whole run; each is far larger than a scalar
_RETURNS = {"user_return": "returns/users", "item_return": "returns/items", "mean_boost": "market/mean_boost"}


def episode_figures(run: Run) -> dict[str, float]:
    """Figures of the episode that a run has just ended, by the names that TensorBoard gives them.

    Raises:
        InterplayError: one is not finite.
    """
    stats, state = run.stats, run.now.state
    exposure = stats.exposure.cpu().numpy()
    figures = {
        "returns/users": float(stats.user_return.sum(1).mean()),
        "returns/items": float(stats.item_return.sum(1).mean()),
        "market/click_through": float(stats.responses.sum() / stats.taken.sum().clamp(min=1.0)),
        "market/exposure_gini": sum(gini(row) for row in exposure) / len(exposure),
        "market/live_items": float(state.alive.float().sum(1).mean()),
        "market/active_users": float(state.active.float().sum(1).mean()),
        "market/items_alive": float(state.alive.float().mean()),
        "market/users_active": float(state.active.float().mean()),
        "market/mean_boost": float(stats.boost.mean() / max(1, run.time - 1)),
        "speed/agent_steps_per_second": run.agent_steps / max(1e-9, run.wall_seconds),
    }
    figures |= {name: float(value) for name, value in run.metrics.items()}
    check_market(run.task.market, state)
    check_returns(run.task.market, figures, f"after {run.env_steps} steps")
    check_figures(figures, f"after {run.env_steps} steps")
    return figures


def due_histograms(run: Run) -> dict[str, Tensor]:
    """Values of all agents and worlds by name, after some of a run's episodes; none after the others.

    Those of mechanisms are their tables of real numbers, such as moods, prices or knowledge.
    """
    if run.episode % max(1, run.episodes // _HISTOGRAMS):
        return {}
    stats, state = run.stats, run.now.state
    values = {"user_return": stats.user_return, "item_return": stats.item_return, "exposure": stats.exposure,
              "boost": stats.boost / max(1, run.time - 1)}
    tables = state.user_tables.tables | state.item_tables.tables
    values |= {name: table for name, table in tables.items() if table.is_floating_point()}
    return {f"histograms/{name}": table.float().cpu() for name, table in values.items()}


class Events(Callback[R]):
    """Writes figures of a run's episodes for TensorBoard, into its folder. How far it is by ``clock`` is the x axis."""

    def __init__(self, folder: Path, clock: Callable[[R], int]) -> None:
        self._folder, self._clock = folder, clock

    def begin(self, run: R) -> None:
        """Open the file. What an earlier part of the run logged after its last checkpoint comes again."""
        before, others = self._clock(run), any(self._folder.glob("events.out.tfevents.*"))
        self._writer = SummaryWriter(str(self._folder), purge_step=(before + 1 if before else 0) if others else None)

    def episode_ended(self, run: R, figures: dict[str, float]) -> None:
        """Log the figures."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, self._clock(run))

    def saving(self, run: R) -> None:
        """Write what is pending."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending and end."""
        if hasattr(self, "_writer"):
            self._writer.close()


class TensorBoard(Events[Run]):
    """Writes the events of one run. The x axis is steps of single worlds."""

    def begin(self, run: Run) -> None:
        """Open the file; say what is played at the start of a run."""
        super().begin(run)
        if run.env_steps == 0:
            self._writer.add_custom_scalars(_LAYOUT)
            self._writer.add_text("config", _table(as_values(run.settings)), 0)
            self._writer.add_text("market", _table(asdict(run.task.market.config)), 0)
            for label, options in run.players.options().items():
                if asdict(options):
                    self._writer.add_text(f"agents/{label}", _table(asdict(options)), 0)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Log the figures, and now and then histograms."""
        super().episode_ended(run, figures)
        for name, values in due_histograms(run).items():
            self._writer.add_histogram(name, values, run.env_steps)


class Curve(Callback[Run]):
    """Keeps a row for each episode in ``run.curve`` and in curve.csv."""

    def begin(self, run: Run) -> None:
        """Write the rows that the checkpoint has, without what was added to the file since then."""
        _write_curve(run)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Add a row with returns, losses, and figures of held-out worlds where there are some."""
        row: dict[str, float] = {"env_steps": run.env_steps, "wall_seconds": round(run.wall_seconds, 3),
                                 "episode": run.episode + 1}
        row |= {column: figures[name] for column, name in _RETURNS.items()}
        row |= {name: float(value) for name, value in figures.items()  # a callback may give numpy's
                if name.startswith(HELD_OUT) or name.endswith("/loss")}
        known = run.curve_columns
        run.curve.append(row)
        if run.curve_columns != known:
            _write_curve(run)
            return
        with (run.folder / CURVE).open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(_cells(row, known))


@contextmanager
def final_events(folder: Path) -> Iterator[SummaryWriter]:
    """A file of its own for a finished run, in the place of an earlier one: TensorBoard joins files of a folder."""
    for old in folder.glob("events.out.tfevents.*.final"):
        old.unlink()
    with SummaryWriter(str(folder), filename_suffix=".final") as writer:
        yield writer


def _write_curve(run: Run) -> None:
    columns = run.curve_columns
    with whole(run.folder / CURVE) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(_cells(row, columns) for row in run.curve)


def _cells(row: Mapping[str, float], columns: list[str]) -> list[str]:
    """The row's values; what it lacks is empty."""
    values = (row.get(name) for name in columns)
    return ["" if value is None else str(value) if isinstance(value, int) else f"{value:.6g}" for value in values]


def _table(values: Mapping[str, Any]) -> str:
    """As a table in Markdown, which TensorBoard shows as such."""
    return table(("name", "value"), [(name, str(value)) for name, value in values.items()])
