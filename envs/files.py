"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"
"""What the name of a file that is not complete yet ends with."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A partial file to write to, which replaces ``path`` once it is complete; until then the old file stays.

    It is synced to disk first: after a power cut a new name could stand for an empty file otherwise.

    Raises:
        OSError: it cannot be written. Nothing is left of the partial file.
    """
    partial = path.with_name(path.name + PART)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise
