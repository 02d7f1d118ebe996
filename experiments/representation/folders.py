"""Folders that hold something when they stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interplay.envs.types import InterplayError


@contextmanager
def new_folder(folder: Path, *wanted: str) -> Iterator[Path]:
    """A new folder, which goes again, with the parents made for it, if the block fails with nothing worth keeping.

    Ctrl-C is such a failure too.

    Args:
        folder: to be made.
        wanted: names of files that are worth it, here or in a folder in here: once there is one, everything stays.

    Raises:
        InterplayError: it is there already, or cannot be made.
    """
    absent = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InterplayError(f"{str(folder)!r} cannot be made ({error.strerror or error}): choose another with "
                             "--name or --log-dir") from error
    try:
        yield folder
    except BaseException:
        if not any(found for name in wanted for found in folder.rglob(name)):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # somebody else's run may be in a parent by now
                for parent in absent:
                    parent.rmdir()
        raise
