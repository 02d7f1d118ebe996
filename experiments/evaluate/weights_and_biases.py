"""A run in Weights & Biases: what TensorBoard gets, by the package wandb, which is not among the requirements."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.serialising import as_values
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import due_histograms

ID = "wandb-id"
"""File of a run's folder: the name by which Weights & Biases knows the run, also when it is resumed."""
_STEPS = "env_steps"


def check_wandb() -> None:
    """Check that the package is installed.

    Raises:
        InterplayError: it is missing.
    """
    if find_spec("wandb") is None:
        raise InterplayError("--logger wandb needs the package wandb, which is missing: pip install "
                             "'interplay[wandb]', or leave out --logger")


class WeightsAndBiases(Callback[Run]):
    """Writes to Weights & Biases if the run's settings say so.

    Its methods ``add_...`` are those of TensorBoard's writer that ``log_final`` calls. All figures are points over
    ``env_steps``: reference lines begin at step 0, which wandb's own steps do not allow at the end of a run.
    """

    _run: Any = None

    @property
    def active(self) -> bool:
        """Whether the run is open."""
        return self._run is not None

    def begin(self, run: Run) -> None:
        """Open the run, or go on with it.

        Raises:
            InterplayError: wandb is missing, or cannot open it, for example without a login.
        """
        if run.settings.logger != "wandb":
            return
        check_wandb()
        wandb = self._wandb = import_module("wandb")
        settings = wandb.Settings(console="off")  # else it would rewrite what the screen shows
        try:
            self._run = wandb.init(project="interplay", name=run.folder.name, id=_id_of(run), dir=str(run.folder),
                                   config=_config(run), resume="allow", reinit="create_new", settings=settings)
        except wandb.Error as error:
            raise InterplayError(shortened(f"wandb says {error}: log in with wandb login, or set WANDB_MODE=offline"
                                           )) from error
        self._run.define_metric("*", step_metric=_STEPS)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Log the figures, and now and then histograms."""
        if self.active:
            found = {name: self._wandb.Histogram(values.numpy()) for name, values in due_histograms(run).items()}
            self._run.log({**figures, **found, _STEPS: run.env_steps})

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Log a figure."""
        self._run.log({name: value, _STEPS: step})

    def add_text(self, name: str, text: str, step: int) -> None:
        """Keep the text as the run's notes, which are shown as Markdown."""
        self._run.notes = text

    def add_image(self, name: str, pixels: NDArray[np.uint8], step: int, *, dataformats: str) -> None:
        """Log a picture ``[H, W, 3]``."""
        self._run.log({name: self._wandb.Image(pixels), _STEPS: step})

    def close(self) -> None:
        """End the run."""
        if self.active:
            self._run.finish()


def _id_of(run: Run) -> str:
    path = run.folder / ID
    if not path.exists():
        path.write_text(secrets.token_hex(4), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _config(run: Run) -> dict[str, Any]:
    """What TensorBoard shows as tables of numbers."""
    agents = {label: asdict(options) for label, options in run.players.options().items()}
    return {**as_values(run.settings), "market": asdict(run.task.market.config), "agents": agents}
