"""What settings come to: every number that a market recommends or an agent has by default, and the versions."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import interplay
from interplay.envs.config import MarketConfig, by_dotted_name
from interplay.envs.messages import shortened
from interplay.envs.presets import Training
from interplay.experiments.common.checkout import git_hash
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.saving import CONFIG, plain, read_sealed
from interplay.experiments.common.serialising import RESOLVED
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.task import Task


@dataclass(frozen=True)
class RunConfig:
    """What the settings of a run come to: every number, whether it was typed, recommended or a default.

    Attributes:
        training: length, worlds and discount.
        market: sizes and mechanisms.
        agents: options of the agent of each side; of one that plays both, under ``both``.
        versions: of Python and of packages, by name.
        git_hash: commit of this package, where it runs from a checkout.
    """

    training: Training
    market: MarketConfig
    agents: Mapping[str, Any]
    versions: Mapping[str, str]
    git_hash: str | None

    @classmethod
    def of(cls, task: Task, players: Players) -> RunConfig:
        """Of what is played, by these versions."""
        versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
                    "interplay": interplay.__version__}
        return cls(task.training, task.market.config, players.options(), versions, git_hash())

    def values(self) -> dict[str, Any]:
        """As JSON gives them back."""
        found: dict[str, Any] = plain({
            "training": asdict(self.training), "market": self.market.numbers(),
            "options": {label: asdict(options) for label, options in self.agents.items()}, "versions": self.versions,
            "git_hash": self.git_hash})
        return found


def note_changes(folder: Path, now: Mapping[str, Any]) -> None:
    """Warn where the same settings no longer mean what they meant when the run in ``folder`` was made."""
    changes = differences(read_sealed(folder / CONFIG).get(RESOLVED), now)
    if changes:
        warnings.warn(shortened(f"since {str(folder)!r} was made, these have changed: {'; '.join(changes)}"),
                      InterplayWarning, stacklevel=4)


def differences(made: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """Lines on numbers that were others when a run was made; none where that is not known. Another commit is none.

    Args:
        made: what ``RunConfig.values`` gave then.
        now: what it gives.
    """
    before, after = by_dotted_name(made or {}), by_dotted_name(now)
    return [f"{name} was {before[name]!r}, is {after[name]!r}" for name in before
            if name in after and before[name] != after[name] and name != "git_hash"]
