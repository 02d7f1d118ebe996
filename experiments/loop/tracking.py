"""TensorBoard: what a run did, as scalars, histograms and text."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from interplay.experiments.common.finite import check_figures, check_market
from interplay.experiments.common.saving import write_text
from interplay.experiments.common.serialising import as_values
from interplay.experiments.common.statistics import gini
from interplay.experiments.loop.run import Run

CURVE = "curve.csv"

_HEAD = "env_steps,wall_seconds,user_return,item_return,mean_boost"
_EVALUATION = "hparams"  # folder of the final evaluation's events
_HISTOGRAMS = 20  # of a whole run; each is far larger than a scalar


class Tracker:
    """Writes the events of one run into its folder. The x axis is steps of single worlds."""

    def __init__(self, run: Run) -> None:
        # What an earlier part of the run logged after its last checkpoint comes again.
        self._writer = SummaryWriter(str(run.folder), purge_step=run.env_steps + 1 if run.env_steps else 0)
        self._every = max(1, run.game.training.episodes // _HISTOGRAMS)
        self._curve = run.folder / CURVE
        write_text(self._curve, "\n".join([_HEAD, *run.curve]) + "\n")  # whatever became of it since the checkpoint
        if run.env_steps == 0:
            self._writer.add_text("config", _code(as_values(run.settings)), 0)
            self._writer.add_text("market", _code(asdict(run.game.market.config)), 0)
            for label, options in run.cast.options().items():
                self._writer.add_text(f"agents/{label}", _code(asdict(options)), 0)

    def episode(self, run: Run, metrics: Mapping[str, Tensor]) -> float:
        """Log the episode that has just ended; gives its mean user return."""
        tally, state = run.tally, run.now.state
        user_return = float(tally.user_return.sum(1).mean())
        exposure = tally.exposure.cpu().numpy()
        scalars = {
            "returns/users": user_return,
            "returns/items": float(tally.item_return.sum(1).mean()),
            "market/click_through": float(tally.responses.sum() / tally.taken.sum().clamp(min=1.0)),
            "market/exposure_gini": sum(gini(row) for row in exposure) / len(exposure),
            "market/live_items": float(state.alive.float().sum(1).mean()),
            "market/active_users": float(state.active.float().sum(1).mean()),
            "market/mean_boost": float(tally.boost.mean() / max(1, run.time - 1)),
            "speed/agent_steps_per_second": run.agent_steps / max(1e-9, run.wall_seconds),
        }
        scalars |= {name: float(value) for name, value in metrics.items()}
        check_market(run.game.market, state)
        check_figures(scalars, f"after {run.env_steps} steps")
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, run.env_steps)
        self._add_row(run, user_return, scalars["returns/items"], scalars["market/mean_boost"])
        if run.episode % self._every == 0:
            self._histograms(run)
        return user_return

    def _add_row(self, run: Run, *figures: float) -> None:
        """A row of the curve for the episode, for the file and for the run, whose checkpoint keeps it."""
        row = ",".join([str(run.env_steps), f"{run.wall_seconds:.3f}", *(f"{x:.6g}" for x in figures)])
        run.curve.append(row)
        with self._curve.open("a", encoding="utf-8") as file:
            file.write(row + "\n")

    def _histograms(self, run: Run) -> None:
        tally, state = run.tally, run.now.state
        for name, values in {"user_return": tally.user_return, "item_return": tally.item_return,
                             "exposure": tally.exposure, "mood": state.mood, "satiation": state.satiation,
                             "energy": state.energy, "boost": tally.boost / max(1, run.time - 1)}.items():
            self._writer.add_histogram(f"histograms/{name}", values.float().cpu(), run.env_steps)

    def evaluated(self, run: Run, players: Mapping[str, str], figures: Mapping[str, float]) -> None:
        """Log figures of the final evaluation, and the hyper-parameters beside them.

        Args:
            run: that was evaluated.
            players: names of the agents by side.
            figures: by name.
        """
        found = {f"evaluation/{name}": value for name, value in figures.items()}
        chosen: dict[str, Any] = {"market": run.game.name, **players,
                                  "seed": run.settings.seed, **asdict(replace(run.game.training, options={}))}
        chosen.pop("options")
        for label, options in run.cast.options().items():
            chosen |= {f"{label}/{name}": value for name, value in asdict(options).items()}
        shutil.rmtree(Path(self._writer.log_dir) / _EVALUATION, ignore_errors=True)  # an earlier one of this run
        self._writer.add_hparams(chosen, found, run_name=_EVALUATION, global_step=run.env_steps)

    def flush(self) -> None:
        """Write what is pending. What is logged before a checkpoint is not logged again after it."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending and end."""
        self._writer.close()


def _code(values: Mapping[str, Any]) -> str:
    """As an indented block, which TensorBoard shows as it is."""
    return "\n".join(f"    {name}: {value}" for name, value in values.items())
