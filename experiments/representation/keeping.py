"""A training under way in a file, so that what stops it loses little and it goes on bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from interplay.envs.types import InterplayError
from interplay.experiments.saving import load_checkpoint, whole

SAVE_EVERY = 30.0
"""Seconds between two checkpoints, so that even a power cut loses little."""

State = dict[str, Any]


class Keeper:
    """Keeps a training in a file, every ``SAVE_EVERY`` seconds and when it is to stop.

    Args:
        file: of the checkpoint.
        made_by: name and value of all that the training follows from: one that followed from anything else does not
            go on.

    Attributes:
        saved: what the training had come to when it was kept last; empty if it never was.
        stop: not empty once the training is to stop; what ``interruption`` gives.

    Raises:
        InterplayError: the checkpoint is damaged, or of another training.
    """

    def __init__(self, file: Path, made_by: Mapping[str, Any]) -> None:
        self._file, self._made_by = file, dict(made_by)
        kept = self._load() if file.is_file() else {}
        self.saved: State = kept.get("training", {})
        self.stop: Sequence[object] = ()
        self._seconds: float = kept.get("seconds", 0.0)
        self._started = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent, over all resumptions."""
        return self._seconds + time.monotonic() - self._started

    def between(self, state: Callable[[], State]) -> None:
        """To be called between any two steps, with what gives the training's state.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the training is kept.
        """
        if self.stop or time.monotonic() - self._last > SAVE_EVERY:
            self.keep(state())

    def keep(self, state: State) -> None:
        """Write the checkpoint; the old one stays until the new one is whole.

        Raises:
            KeyboardInterrupt: as ``between`` does.
        """
        with whole(self._file) as partial:
            torch.save({"made_by": self._made_by, "seconds": self.seconds, "training": state}, partial)
        self._last = time.monotonic()
        if self.stop:
            raise KeyboardInterrupt

    def _load(self) -> State:
        kept = load_checkpoint(self._file)
        made_by = kept.get("made_by")
        if made_by is None:
            raise InterplayError(f"{str(self._file)!r} is no checkpoint of pretrain; start a new run")
        others = [name for name, value in self._made_by.items() if made_by.get(name) != value]
        if others:
            raise InterplayError(f"{str(self._file)!r} was made with another {', '.join(others)}: restore what it was "
                                 "made with, or start a new run")
        return kept
