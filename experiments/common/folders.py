"""Folders of runs: where they are made, when they are kept, and which process writes to them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from interplay.envs.checking import shown
from interplay.envs.files import PART
from interplay.envs.types import InterplayError
from interplay.experiments.common.saving import CONFIG

LOCK = "lock"

_LONGEST = 240
"""Bytes of a name that file systems take, also with an ending such as that of a log."""


@contextmanager
def new_folder(log_dir: Path, name: str | None, default: str, *wanted: str) -> Iterator[Path]:
    """A new folder. It is removed, with the parents made for it, if the block fails with nothing worth keeping.

    Args:
        log_dir: folder in which it is made.
        name: its name. A folder of this name that a killed process left empty is used.
        default: its name where ``name`` is None; a number is added where that is taken.
        wanted: names of files that are worth keeping, here or in a folder in here. If the block is stopped, so is
            config.json, from which a run can start again.

    Raises:
        InterplayError: the name is taken, or the folder cannot be made.
    """
    absent = [parent for parent in (log_dir, *log_dir.parents) if not parent.exists()]
    folder = _made(log_dir, name, default)
    try:
        yield folder
    except BaseException as error:
        worth = (*wanted, CONFIG) if isinstance(error, KeyboardInterrupt) else wanted
        if not any(found for file in worth for found in folder.rglob(file)):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another run may be in a parent by now
                for parent in absent:
                    parent.rmdir()
        raise


def check_place(out: Path) -> None:
    """Check that a folder can be made or written, before the work whose results go there.

    Raises:
        InterplayError: it cannot.
    """
    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "is not writable" if nearest.is_dir() else "is a file"
        raise InterplayError(f"out={str(out)!r} cannot be written ({str(nearest)!r} {why}): choose another with --out")


def check_name(name: str) -> None:
    """Check that a run's folder of this name lies directly in its ``log_dir``.

    Raises:
        InterplayError: it does not.
    """
    if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
        raise InterplayError(f"name={name!r} is no name of a folder: give one without / and \\, and the place with "
                             "--log-dir")
    if len(os.fsencode(name)) > _LONGEST:
        raise InterplayError(f"name={shown(name)} of {len(name)} letters is too long for a folder: give a short one "
                             "with --name")


def fitting_name(name: str, end: str) -> str:
    """A name of a folder. Where file systems take none so long, as of an agent with many options, it is cut."""
    whole = name.replace(":", ".")
    if len(os.fsencode(whole + end)) > _LONGEST:
        whole = f"{os.fsencode(whole)[:_LONGEST - 40].decode(errors='ignore')}-{sha256(name.encode()).hexdigest()[:12]}"
    return whole + end


def _made(log_dir: Path, name: str | None, default: str) -> Path:
    if name is not None:
        check_name(name)
    wanted, number = name or default.replace(":", ".").replace("/", "."), 0
    while True:
        folder = log_dir / (f"{wanted}-{number}" if number else wanted)
        try:
            folder.mkdir(parents=True)
            return folder
        except OSError as error:
            if not isinstance(error, FileExistsError) or not log_dir.is_dir():
                raise InterplayError(f"log_dir={str(log_dir)!r} cannot be written ({error.strerror or error}): choose "
                                     "another with --log-dir") from error
            if name is None:
                number += 1
                continue
            if _is_abandoned(folder):
                return folder
            raise InterplayError(f"name={name!r} is taken in {str(log_dir)!r}: choose another, or go on with "
                                 f"--resume {folder}") from None


def _is_abandoned(folder: Path) -> bool:
    """Whether a process was killed between making the folder and writing its settings there."""
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} <= {LOCK, f"{CONFIG}{PART}"}:
        return False
    try:
        with owned(folder):
            return True
    except (InterplayError, OSError):
        return False


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Lock a run's folder against other processes.

    The operating system releases the lock when its process ends, however it ends; the file only names the process.

    Raises:
        InterplayError: another process owns it.
        OSError: the folder cannot be written.
    """
    path = folder / LOCK
    while True:
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise InterplayError(f"{str(folder)!r} is in use by process {file.read().strip() or '?'}: wait until "
                                     "it ends, or stop it") from None
            if os.fstat(file.fileno()).st_nlink == 0:
                continue  # its last owner has just removed this file
            file.truncate(0)
            print(os.getpid(), file=file, flush=True)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
