"""A training of pretrain in a file, so that it loses little when it is stopped and is resumed bit for bit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interplay.experiments.common.finite import check_state
from interplay.experiments.common.saving import load_checkpoint, save_checkpoint
from interplay.experiments.common.stopping import Pace

State = dict[str, Any]


class Keeper(Pace):
    """Keeps a training in a file, at the times of ``Pace``.

    Args:
        file: of the checkpoint.
        made_by: name and value of everything that the training depends on: a checkpoint of another one is rejected.

    Attributes:
        saved: the training as it was last kept; empty if it never was.
        points: of its curves so far, each a name, a value and an epoch.

    Raises:
        InterplayError: the checkpoint is damaged, or of another training.
    """

    def __init__(self, file: Path, made_by: Mapping[str, Any]) -> None:
        super().__init__()
        self._file, self._made_by = file, made_by
        kept: State = load_checkpoint(file, made_by) if file.is_file() else {}
        self.saved: State = kept.get("training", {})
        self.points: list[tuple[str, float, int]] = kept.get("points", [])
        self._seconds: float = kept.get("seconds", 0.0)
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent, over all resumptions."""
        return self._seconds + time.monotonic() - self._started

    def save(self, state: State) -> None:
        """Write the checkpoint; the old one stays until the new one is whole.

        Raises:
            InterplayError: what is learnt is not finite; the old checkpoint stays.
            OSError: it cannot be written.
        """
        check_state(state, f"in {self._file.name}")
        save_checkpoint(self._file, {"training": state, "seconds": self.seconds, "points": self.points}, self._made_by)
