"""SIGINT (Ctrl-C) and SIGTERM: a training loop saves first, all else ends at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from interplay.envs.types import InterplayError

FIRST, EVERY = 5.0, 30.0
"""Seconds until the first checkpoint, and between later ones."""
LONGER = 20.0
"""Times that saving takes, between two checkpoints at least, so that large ones cost 5 % at most."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal has stopped the program.

    Args:
        number: of the signal.
        message: for the user.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, message: str = "stopped") -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """Exit status, as a shell reports it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


def number_of(stop: KeyboardInterrupt) -> int:
    """The signal; SIGINT of a KeyboardInterrupt of Python's own, as in a thread."""
    return stop.number if isinstance(stop, Stopped) else signal.SIGINT


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise ``Stopped``."""
    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled_by(stop):
        yield


@contextmanager
def interruption() -> Iterator[list[int]]:
    """A list that receives the signal. The loop checks it between steps, so that no step is left half done.

    Raises:
        Stopped: by a signal that came after the loop's last check.
    """
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if caught:
            raise Stopped(number)  # the second signal stops at once
        caught.append(number)

    with _handled_by(note):
        yield caught
    if caught:
        raise Stopped(caught[0])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Only the main thread can set handlers; in other threads the caller handles signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def quiet_threads() -> Iterator[None]:
    """TensorBoard's thread prints no traceback where a file cannot be written: the main thread raises that, too."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, OSError):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def resumable(command: str, *folders: Path, launcher: str = "", flags: str = "") -> Iterator[None]:
    """Runs in ``folders``. If a signal or a write error ends them, the message says how to resume them.

    Args:
        command: of ``interplay``.
        folders: of the runs.
        launcher: what stands before the command.
        flags: what stands behind it.

    Raises:
        Stopped: by a signal.
        InterplayError: a file cannot be written.
    """
    resume = f"{launcher}interplay {command} --resume {folders[0]}{flags}"
    if len(folders) > 1:
        resume += f", and the same for {', '.join(folder.name for folder in folders[1:])}"
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(number_of(stop), f"stopped; go on with: {resume}") from stop
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InterplayError(f"{error}: free space or make it writable, then go on with: {resume}") from error


class Pace:
    """Decides when a training is saved: after ``FIRST`` seconds, then every ``EVERY`` or more, and when it is stopped.

    Attributes:
        stop: holds the signal once there was one; see ``interruption``.
    """

    def __init__(self, stop: Sequence[int] = ()) -> None:
        self.stop = stop
        self._next = time.monotonic() + FIRST

    def between(self, save: Callable[[], None], last: bool = False) -> None:
        """Save if it is time to. Call this between any two steps, and after the ``last``.

        Raises:
            Stopped: by a signal; the training is saved.
        """
        started = time.monotonic()
        if last or self.stop or started >= self._next:
            save()
            ended = time.monotonic()
            self._next = ended + max(EVERY, LONGER * (ended - started))
            if self.stop:
                raise Stopped(self.stop[0])
