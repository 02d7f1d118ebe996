"""Folders that one process at a time may write to."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interplay.envs.types import InterplayError


@contextmanager
def locked(folder: Path, advice: str) -> Iterator[None]:
    """Hold the folder's lock. It ends with the process, however that ends.

    Raises:
        InterplayError: another process holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InterplayError(f"{str(folder)!r} is in use by another process: {advice}") from error
        yield
