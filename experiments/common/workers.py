"""One process for each job: a process that dies fails only its own job, and none outlives its parent process.

Each worker is connected to its parent by a pipe. The worker sends news and its result through it, the parent a request
to stop. If the pipe breaks, the parent is dead and the worker exits.
"""

from __future__ import annotations

import _thread
import faulthandler
import math
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from interplay.experiments.common.terminal import print_anything

Job = TypeVar("Job")
Result = TypeVar("Result")

_PRELOADED = ["interplay.experiments.evaluate.finishing", "numba", "torch._dynamo"]
"""Imported once, numba where it is there; each worker is a fork of that process. Torch's optimisers import the last."""


class Ended(NamedTuple, Generic[Job, Result]):
    """A job whose process has ended.

    Attributes:
        job: as it was given.
        result: what the work returned; None if the process died.
        status: exit status of the process; minus the signal that ended it.
        output: file with everything that the process wrote to standard output and error.
    """

    job: Job
    result: Result | None
    status: int
    output: Path

    @property
    def death(self) -> str:
        """How the process ended that gave no result."""
        if self.status >= 0:
            return f"exit status {self.status}"
        name = signal.Signals(-self.status).name
        return f"{name}, perhaps out of memory" if name == "SIGKILL" else name

    def said(self) -> str:
        """What the process wrote, without bars that were overwritten."""
        try:
            return without_bars(self.output.read_text(encoding="utf-8", errors="replace"))
        except OSError:  # there was no room for it
            return ""


def without_bars(output: str) -> str:
    """The output without bars that were overwritten."""
    return re.sub(r"[^\n]*\r", "", output)


class _News(NamedTuple):
    """What a worker sends before its result."""

    what: Any


_to_parent: list[Connection] = []
"""The pipe of this process, if it is a worker."""


def send(news: object) -> None:
    """Let the parent of this worker know of something, by ``hear`` of ``worked``; nothing happens elsewhere."""
    for pipe in _to_parent:
        pipe.send(_News(news))


@contextmanager
def safe_path_in_processes() -> Iterator[None]:
    """Python processes that start in here do not look for libraries in the current folder first."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:  # scripts that start later, such as those of peers, need their own folder
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def usable_cores() -> int:
    """Cores that this process may use: its affinity, in a container at most the quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or no quota
        quota, period = map(float, Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split())
        cores = min(cores, math.ceil(quota / period))
    return max(1, cores)


def worked(work: Callable[[Job], Result], jobs: Sequence[Job], count: int,
           output_of: Callable[[Job], Path], needs_main: bool = False,
           hear: Callable[[Any], None] = lambda news: None) -> Generator[Ended[Job, Result]]:
    """Run the jobs in at most ``count`` processes at a time. Closing the generator stops the processes.

    Args:
        work: what a process does with its job. To stop is KeyboardInterrupt.
        jobs: what to work on, in this order.
        count: processes.
        output_of: the file that takes the output of a job's process.
        needs_main: whether jobs use what the main program defines. Then each process runs the main program again under
            another name, which has to guard what it does by ``if __name__ == "__main__"``.
        hear: is called with what the processes ``send``.

    Yields:
        Each job when its process has ended.
    """
    context = _context()
    waiting = list(reversed(jobs))
    running: dict[Any, _Worker] = {}
    try:
        while waiting or running:
            while waiting and len(running) < count:
                with nullcontext() if needs_main else _main_hidden():
                    worker = _Worker(context, work, waiting[-1], output_of(waiting.pop()))
                running[worker.pipe] = worker
            for pipe in wait(list(running)):
                found = running[pipe].received()
                if isinstance(found, _News):
                    hear(found.what)
                else:
                    del running[pipe]
                    yield found
    finally:
        _stop(list(running.values()))


def _context() -> Any:
    """Fork workers from a server that imports torch but never uses it, on Linux: torch's threads break forks."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with _without_ctrl_c():  # else Ctrl-C kills the server while it imports
        forkserver.ensure_running()
    return context


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C; processes started here keep ignoring it."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which is the one that gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Processes that start within the block do not run the main program again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Worker:
    """A process and the parent's end of its pipe."""

    def __init__(self, context: Any, work: Callable[[Any], Any], job: Any, output: Path) -> None:
        self.pipe, other_end = context.Pipe()
        self.process = context.Process(target=_run, args=(work, job, other_end, output))
        self._job, self._output = job, output
        self.process.start()
        other_end.close()  # so that the pipe breaks when the worker dies

    def received(self) -> _News | Ended[Any, Any]:
        """News or the result, once the pipe has something to read."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            result = None
        if isinstance(result, _News):
            return result
        self.process.join()
        self.pipe.close()
        return Ended(self._job, result, self.process.exitcode, self._output)


def _stop(workers: Sequence[_Worker]) -> None:
    """Ask the workers to save and stop, and wait for them. A second Ctrl-C kills them."""
    for worker in workers:
        with suppress(OSError):  # it has ended
            worker.pipe.send("stop")
    try:
        for worker in workers:
            with suppress(EOFError, OSError):
                while True:
                    worker.pipe.recv()  # else the worker waits until there is room for what it sends
            worker.process.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.kill()
        raise
    finally:
        for worker in workers:
            worker.pipe.close()


def _run(work: Callable[[Any], Any], job: Any, pipe: Connection, output: Path) -> None:
    """The main loop of a worker."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal reaches the parent alone, which asks its workers to stop
    _redirect(output)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_obey, args=(pipe,), daemon=True).start()
        _to_parent.append(pipe)
        pipe.send(work(job))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _redirect(output: Path) -> None:
    """Write standard output and error to a file, also what native code writes as it crashes."""
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError:  # a full disk: the work itself will say so
        file = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    print_anything("utf-8")
    faulthandler.enable(2)


def _obey(pipe: Connection) -> None:
    """Interrupt the work when the parent asks for it; exit if the parent is dead."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)
    _thread.interrupt_main()
