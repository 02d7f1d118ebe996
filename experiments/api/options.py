"""Arguments of ``interplay.train`` beside the market and the agents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from interplay.experiments.common.settings import Device


class TrainOptions(TypedDict, total=False):
    """How ``train`` trains; what is left out is what the market recommends, or the default."""

    user_options: Mapping[str, Any]
    """Hyper-parameters of the users' agent, by name."""
    item_options: Mapping[str, Any]
    """The same of the items' agent."""
    platform_options: Mapping[str, Any]
    """The same of the platform's agent."""
    seed: int
    """Of the training worlds, of the agents and of the split of a log."""
    episodes: int
    """Episodes of training."""
    num_worlds: int
    """Worlds side by side."""
    eval_worlds: int
    """Held-out worlds of the final evaluation."""
    eval_every: int
    """Episodes between evaluations during training; the same as ``callbacks=[Evaluate(every=...)]``."""
    discount: float
    """Of learners."""
    device: Device
    """``"auto"``, ``"cpu"`` or ``"cuda"``."""
    threads: int
    """On the CPU, while it trains; 1 by default."""
    capture: Literal["auto", "on", "off"]
    """Whether iterations are recorded as graphs and replayed; by default on a GPU."""
    log_dir: str | Path
    """Folder in which the run's own folder is made; ``runs`` by default."""
    logger: Literal["tensorboard", "wandb"]
    """``"wandb"`` writes curves and pictures to Weights & Biases as well."""
    keep_replay: bool
    """Keep the agents' replay in the last checkpoint, so that ``resume`` trains longer as if the run had not ended."""
    name: str
    """Name of the run's own folder; by default the market, the agents, the seed and the time."""
