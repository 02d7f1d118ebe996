"""Files that are whole or not there, and Ctrl-C that waits until nothing is half done: how trainings are kept."""

from __future__ import annotations

import os
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from interplay.envs.types import InterplayError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A partial file to write to, which takes the place of ``path`` once it is whole; what was there stays till then.

    It is on the disk first: after a power cut a new name could stand for an empty file otherwise.
    """
    partial = path.with_name(path.name + ".part")
    yield partial
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """What ``torch.save`` wrote of a training.

    Raises:
        InterplayError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # torch itself would read other numbers, and say nothing
                raise zipfile.BadZipFile
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise InterplayError(f"{str(path)!r} cannot be read ({type(error).__name__}): "
                             "it is damaged or no checkpoint; start a new run") from error
    return saved


@contextmanager
def interruption() -> Iterator[list[int]]:
    """A list that Ctrl-C fills. The loop looks at it between steps, so no step is ever half done."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt  # the second time, at once
        caught.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: whoever runs us there handles signals
        yield caught
        return
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)
