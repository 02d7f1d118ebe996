"""Commands in processes of their own, which can be killed, and the processes that they leave behind."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from interplay.experiments.studies import COMMANDS, main
from interplay.experiments.studies.faults.trips import Trip, armed, counted

_LONGEST = 300.0  # seconds of a command
_PATIENCE = 20.0  # seconds in which the processes of a dead command must be gone
_MARK = "INTERPLAY_FAULTS"


class Ended(NamedTuple):
    """A command that has ended.

    Attributes:
        status: exit status; minus the signal that ended it.
        error: what it wrote to standard error.
        left: how many processes it left behind.
    """

    status: int
    error: str
    left: int


def forked(arguments: Sequence[str], output: Path, trip: Trip | None = None, counts: Path | None = None,
           error: Path | None = None) -> Ended:
    """Run ``interplay`` in a fork of a process that has imported it.

    Args:
        arguments: of the command line.
        output: file for its standard output.
        trip: sends a signal to the command at one of its own steps.
        counts: file for how often each kind of step was taken.
        error: file for its standard error; by default the output's name with ``.err`` added.
    """
    error = error or output.with_name(output.name + ".err")
    process = _context().Process(target=_inside, args=(list(arguments), (output, error), trip, counts))
    process.start()
    process.join(_LONGEST)
    if process.exitcode is None:
        process.kill()
        process.join()
    left = len(_gone(lambda: _in_session(process.pid)))
    return Ended(process.exitcode, error.read_text(encoding="utf-8", errors="replace"), left)


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    commands = [f"interplay.experiments.cli.{name}" for name in ("train", "benchmark", "pretrain")]
    context.set_forkserver_preload([*commands, "interplay.experiments.studies.faults.trips", "numba"])
    return context


def _inside(arguments: list[str], files: tuple[Path, Path], trip: Trip | None, counts: Path | None) -> None:
    os.setsid()
    tqdm.set_lock(threading.RLock())  # else tqdm makes a semaphore, which a killed process would leave behind
    for stream, path in enumerate(files, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, stream)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["interplay", *arguments]
    with armed(trip), counted(counts):
        status = main(arguments)
    sys.exit(status)


class Command:
    """``interplay`` as a shell starts it.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        study = COMMANDS.get(arguments[0]) if arguments else None
        words = "sys.argv[1:]" if study is None else f"sys.argv[2:], {study!r}"
        code = f"import sys; from interplay.experiments.cli.entry import main; sys.exit(main({words}))"
        self.process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                                        env={**os.environ, _MARK: self._mark})

    def wait_for_handlers(self) -> None:
        """Wait until it handles SIGTERM; until then Python itself is starting."""
        limit = time.monotonic() + _PATIENCE
        while not _handles(self.process.pid, signal.SIGTERM) and time.monotonic() < limit:
            time.sleep(0.01)

    def send(self, number: int, group: bool) -> None:
        """Send a signal to the process, or to its group, as a terminal does."""
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, number)

    def workers(self) -> list[int]:
        """Processes that it has started and that are still there."""
        return [number for number in _marked(f"{_MARK}={self._mark}") if number != self.process.pid]

    def ended(self) -> Ended:
        """Wait for its end."""
        try:
            error = self.process.communicate(timeout=_LONGEST)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            error = self.process.communicate()[1] + "killed at the time limit"
        left = _gone(self.workers)
        for number in left:
            os.kill(number, signal.SIGKILL)
        return Ended(self.process.returncode, error, len(left))


def _handles(process: int, number: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", _read(Path(f"/proc/{process}/status")), re.MULTILINE)
    return caught is None or bool(int(caught[1], 16) >> (number - 1) & 1)


def _gone(alive: Any) -> list[int]:
    """The processes that are still there when the patience is over."""
    limit = time.monotonic() + _PATIENCE
    while (left := alive()) and time.monotonic() < limit:
        time.sleep(0.05)
    return list(left)


def _in_session(session: int) -> list[int]:
    return [int(folder.name) for folder in _processes()
            if (fields := _read(folder / "stat").rpartition(")")[2].split()) and int(fields[3]) == session]


def _marked(mark: str) -> list[int]:
    return [int(folder.name) for folder in _processes() if mark in _read(folder / "environ").split("\0")]


def _processes() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def _read(path: Path) -> str:
    """The text; empty if the process has ended or is another user's."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
