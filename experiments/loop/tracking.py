"""What a run logs: figures of each episode, as TensorBoard events and as curve.csv."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from interplay.experiments.common.finite import check_figures, check_market
from interplay.experiments.common.saving import whole
from interplay.experiments.common.serialising import as_values
from interplay.experiments.common.statistics import gini
from interplay.experiments.loop.callbacks import Callback
from interplay.experiments.loop.run import Run

CURVE = "curve.csv"
HELD_OUT = "held_out/"
"""Begins the names of figures of held-out worlds, without exploration."""

_EVALUATION = "hparams"  # folder of the final evaluation's events
_HISTOGRAMS = 20  # of a whole run; each is far larger than a scalar
_RETURNS = {"user_return": "returns/users", "item_return": "returns/items", "mean_boost": "market/mean_boost"}


def episode_figures(run: Run, metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Figures of the episode that has just ended, by the names that TensorBoard gives them.

    Args:
        run: that has played it.
        metrics: of the learners, at its last step.

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
        "market/mean_boost": float(stats.boost.mean() / max(1, run.time - 1)),
        "speed/agent_steps_per_second": run.agent_steps / max(1e-9, run.wall_seconds),
    }
    figures |= {name: float(value) for name, value in metrics.items()}
    check_market(run.task.market, state)
    check_figures(figures, f"after {run.env_steps} steps")
    return figures


class TensorBoard(Callback):
    """Writes the events of one run into its folder. The x axis is steps of single worlds."""

    def begin(self, run: Run) -> None:
        """Open the folder; say what is played at the start of a run."""
        # What an earlier part of the run logged after its last checkpoint comes again.
        self._writer = SummaryWriter(str(run.folder), purge_step=run.env_steps + 1 if run.env_steps else 0)
        self._every = max(1, run.episodes // _HISTOGRAMS)
        if run.env_steps == 0:
            self._writer.add_text("config", _code(as_values(run.settings)), 0)
            self._writer.add_text("market", _code(asdict(run.task.market.config)), 0)
            for label, options in run.players.options().items():
                self._writer.add_text(f"agents/{label}", _code(asdict(options)), 0)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Log the figures, and now and then histograms."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, run.env_steps)
        if run.episode % self._every == 0:
            self._histograms(run)

    def _histograms(self, run: Run) -> None:
        stats, state = run.stats, run.now.state
        for name, values in {"user_return": stats.user_return, "item_return": stats.item_return,
                             "exposure": stats.exposure, "mood": state.mood, "satiation": state.satiation,
                             "energy": state.energy, "boost": stats.boost / max(1, run.time - 1)}.items():
            self._writer.add_histogram(f"histograms/{name}", values.float().cpu(), run.env_steps)

    def saving(self, run: Run) -> None:
        """Write what is pending."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending and end."""
        if hasattr(self, "_writer"):
            self._writer.close()


class Curve(Callback):
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


def log_evaluation(run: Run, players: Mapping[str, str], figures: Mapping[str, float]) -> None:
    """Log figures of the final evaluation, and the hyper-parameters beside them, for TensorBoard.

    Args:
        run: that was evaluated.
        players: names of the agents by side.
        figures: by name.
    """
    found = {f"evaluation/{name}": value for name, value in figures.items()}
    chosen: dict[str, Any] = {"market": run.task.name, **players,
                              "seed": run.settings.seed, **asdict(replace(run.task.training, options={}))}
    chosen.pop("options")
    for label, options in run.players.options().items():
        chosen |= {f"{label}/{name}": value for name, value in asdict(options).items()}
    shutil.rmtree(run.folder / _EVALUATION, ignore_errors=True)  # an earlier one of this run
    with SummaryWriter(str(run.folder / _EVALUATION)) as writer:
        for summary in hparams(chosen, found):  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(summary, run.env_steps)
        for name, value in found.items():
            writer.add_scalar(name, value, run.env_steps)


def log_picture(run: Run, picture: NDArray[np.uint8]) -> None:
    """Log a picture ``[H, W, 3]`` of a held-out world at its end, beside the figures of the final evaluation."""
    with SummaryWriter(str(run.folder / _EVALUATION)) as writer:
        writer.add_image("held-out world at its end", picture, run.env_steps, dataformats="HWC")


def _code(values: Mapping[str, Any]) -> str:
    """As an indented block, which TensorBoard shows as it is."""
    return "\n".join(f"    {name}: {value}" for name, value in values.items())
