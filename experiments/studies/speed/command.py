"""``scripts/bench.py``: ours and peers in turn, each in a process of its own, and one report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from interplay.envs.checking import Bounds, Positive
from interplay.envs.types import InterplayError
from interplay.experiments.common.flags import Many, Threads, check_flags
from interplay.experiments.common.settings import Pairs
from interplay.experiments.studies.command_lines import typed
from interplay.experiments.studies.speed.cases import cases, find_case
from interplay.experiments.studies.speed.measured import Measured
from interplay.experiments.studies.speed.peers import protocol
from interplay.experiments.studies.speed.report import write_bench

_PEERS = Path(protocol.__file__).parent
_LONGEST = 900  # seconds of one process


@dataclass(frozen=True)
class BenchSettings:
    """Measure the speed of the market, its facades and training, beside peers and the machine's own limit."""

    only: tuple[str, ...] = ()
    """Cases to measure; by default all (a wrong name lists similar ones)."""
    peers: bool = False
    """Measure the peers that this Python has, too (pip install interplay[peers])."""
    peer_python: Pairs = field(default_factory=tuple)
    """NAME=PATH, measures a peer with the Python of another environment. May be repeated."""
    threads: tuple[Threads, ...] = (1, 2)
    """Numbers of threads to measure with."""
    busy: Annotated[int, Bounds(0, 1024)] = 0
    """Processes that use a core each meanwhile, as other programs would."""
    repeats: Many = 3
    """Times that everything is measured in turn; figures are medians."""
    seconds: Positive = 5.0
    """Of each measurement, without its warm-up."""
    clock: Literal["wall", "cpu"] = "wall"
    """What seconds are of: cpu = of the CPU, all threads together, for one thread on a busy machine."""
    profile: Path | None = None
    """Folder for a trace of a few pieces of each case, which TensorBoard and Perfetto open."""
    out: Path = Path("bench")
    """Folder of report.md, its rows and bench.png."""

    def check(self) -> None:
        """Check the numbers.

        Raises:
            InterplayError: one is out of range, or a case or peer does not exist.
        """
        check_flags(self)
        for name in self.only:
            find_case(name)
        if not self.threads:
            raise InterplayError("threads=(): give at least one number")


@dataclass(frozen=True)
class Entry:
    """One thing to measure with one number of threads.

    Attributes:
        name: of the case or peer.
        threads: that it may use.
        command: the process that prints a line of JSON.
    """

    name: str
    threads: int
    command: tuple[str, ...]


def bench(settings: BenchSettings) -> int:
    """Measure and report.

    Returns:
        The exit status: 1 if a case, or a peer that was named, could not be measured.

    Raises:
        InterplayError: wrong settings, or a folder that cannot be used.
    """
    settings.check()
    entries = list(_entries(settings))
    for name, folder in (("out", settings.out), ("profile", settings.profile or settings.out)):
        try:
            folder.mkdir(parents=True, exist_ok=True)  # before anything is measured
        except OSError as error:
            raise InterplayError(f"{name}={str(folder)!r} cannot be made ({error.strerror or error}): choose another "
                                 f"with --{name}") from error
    found: dict[tuple[str, int], Measured] = {}
    problems: dict[str, str] = {}
    started = time.monotonic()
    for turn in range(settings.repeats):
        for done, entry in enumerate(entries, start=turn * len(entries) + 1):
            if entry.name not in problems:
                print(f"[{turn + 1}/{settings.repeats}] {entry.name}, {entry.threads} threads: ", end="", flush=True)
                with busy_processes(settings.busy):
                    said = _tried(entry, found, problems)
                left = (time.monotonic() - started) / done * (settings.repeats * len(entries) - done) / 60.0
                print(f"{said}; about {left:.0f} min left", flush=True)
        write_bench(settings.out, list(found.values()), problems, _shown(typed("bench")), settings.busy,
                    settings.clock)
    print(f"report: {settings.out / 'report.md'}")
    named = {pair.partition("=")[0] for pair in settings.peer_python}
    # No environment has all peers.
    return 1 if any(name in named or name not in peers() for name in problems) else 0


_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True: pass
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that use a core each; they end with this one, however it ends, since it closes their input."""
    processes = [subprocess.Popen((sys.executable, "-c", _BUSY), stdin=subprocess.PIPE) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.communicate()


def _shown(command: str) -> str:
    """The command without the paths of other Pythons, which only this machine has."""
    return re.sub(r"(--peer-python[ =]\w+)=\S+", r"\1=PATH", command)


def _tried(entry: Entry, found: dict[tuple[str, int], Measured], problems: dict[str, str]) -> str:
    """Measure once more, and say in a few words how that went."""
    try:
        one = _measure(entry)
    except InterplayError as error:
        problems[entry.name] = str(error)
        return str(error)
    known = found.get((entry.name, entry.threads))
    found[entry.name, entry.threads] = one if known is None else _joined(known, one)
    return f"{one.rate:,.0f} {one.unit}"


def _entries(settings: BenchSettings) -> Iterator[Entry]:
    """Ours and peers in turn, so that a change of the machine's load hits both."""
    elsewhere = dict(_pair(pair) for pair in settings.peer_python)
    here = peers() if settings.peers else []
    pythons = {**dict.fromkeys(here, sys.executable), **elsewhere}
    for threads in settings.threads:
        for name in settings.only or cases():
            own = (sys.executable, "-m", "interplay.experiments.studies.speed.child", name)
            trace = () if settings.profile is None else ("--profile", str(settings.profile / f"{name}-{threads}"))
            yield Entry(name, threads, (*own, *_options(settings, threads), *trace))
        for name, python in pythons.items():
            yield Entry(name, threads, (python, str(_PEERS / f"{name}.py"), *_options(settings, threads)))


def _options(settings: BenchSettings, threads: int) -> tuple[str, ...]:
    return ("--threads", str(threads), "--seconds", str(settings.seconds), "--clock", settings.clock)


def peers() -> list[str]:
    """Names of the peers that there is a script for."""
    return sorted(file.stem for file in _PEERS.glob("*.py") if file.stem not in ("__init__", "protocol"))


def _pair(pair: str) -> tuple[str, str]:
    name, equals, python = pair.partition("=")
    if not equals or name not in peers():
        raise InterplayError(f"--peer-python {pair!r}: give NAME=PATH with a name of {', '.join(peers())}")
    if not Path(python).is_file():
        raise InterplayError(f"--peer-python {pair!r} names no file: check the path")
    return name, python


def _measure(entry: Entry) -> Measured:
    """Run the process and read its line.

    Raises:
        InterplayError: it failed, took too long or printed something else.
    """
    # Threads that sleep while they wait, as `envs/threads.py` advises, unless the environment says otherwise.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ,
                   **dict.fromkeys(protocol.THREAD_VARIABLES, str(entry.threads))}
    try:
        done = subprocess.run(entry.command, capture_output=True, encoding="utf-8", errors="replace", env=environment,
                              timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise InterplayError(f"{entry.name} took longer than {_LONGEST} s: leave it out with --only") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise InterplayError(f"{entry.name} failed with status {done.returncode} ({said}): run it by hand, or leave it "
                             "out with --only")
    line: dict[str, Any] = json.loads(lines[-1])
    return Measured(entry.name, entry.threads, line["what"], line["version"], line["unit"], tuple(line["rates"]),
                    line["peak_bytes"], line.get("users"), line.get("agents"), line.get("bytes_per_agent"))


def _joined(one: Measured, other: Measured) -> Measured:
    return replace(one, rates=one.rates + other.rates, peak_bytes=max(one.peak_bytes, other.peak_bytes))


