"""How every peer is measured: the same options, warm-up, clock and line of JSON.

The scripts beside this one each play another simulator. They run under the Python that has it, so that nothing here
needs more than Python 3.8 and its standard library, least of all `interplay`:

    PYTHON experiments/studies/speed/peers/vmas.py --threads 2 --seconds 10

They are named as their simulators are, which is why a script imports its own only after `main` has taken this folder
off the path, and only then, so that the number of threads is set before a library reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, TextIO

REPEATS = 5
MISSING = 3
"""Exit status of a script whose simulator this Python doesn't have; wrong options are 2, as argparse has it."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""What seconds are of. Those of the CPU, of all threads together, count no time in which other processes had it."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
"""Read by OpenMP, the two BLAS libraries and XLA's CPU client (which knows no other way)."""


class Game(NamedTuple):
    """A simulator that is set up, and what is counted of it."""

    what: str
    """The scenario, its size and what the measured loop does."""
    unit: str
    """`agent-steps/s`: steps that one agent has taken, or `user-interactions/s`: slates that one user has answered."""
    play: Callable[[], int]
    """Plays a piece of the game, random actions included, waits until it is done, and returns how many units it was."""


def main(peer: str, distribution: str, set_up: Callable[[int], Game]) -> None:
    """Measures a peer and prints one line of JSON: the whole of a script.

    Args:
        peer: its name in the results.
        distribution: the package it comes in, whose version is written down.
        set_up: imports the simulator and sets a game up, given the number of threads.
    """
    options = parsed(peer)
    try:
        found = version(distribution)
    except PackageNotFoundError:
        print(f"{peer}: no {distribution} in {sys.executable}: pip install {distribution}", file=sys.stderr)
        raise SystemExit(MISSING) from None
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(options.threads)))
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    with _line_alone() as line:
        game = set_up(options.threads)
        rates = measured(game.play, options.seconds, CLOCKS[options.clock])
        print(json.dumps({"peer": peer, "version": found, "what": game.what, "unit": game.unit,
                          "rate": statistics.median(rates), "rates": rates, "peak_bytes": peak_bytes()}), file=line)


def parsed(peer: str) -> argparse.Namespace:
    """The options of the command line, checked."""
    parser = argparse.ArgumentParser(prog=peer)
    parser.add_argument("--threads", type=_positive(int), default=1, help="threads of the simulator")
    parser.add_argument("--seconds", type=_positive(float), default=10.0, help=f"of measuring, in {REPEATS} repeats")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="what seconds are of")
    return parser.parse_args()


def measured(play: Callable[[], int], seconds: float, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Units per second in each repeat, after a warm-up as long as a repeat.

    Every repeat plays at least one piece, so that a game whose piece is long takes more than `seconds`.
    """
    _timed(play, 0.0, clock)  # the first piece compiles, where there is a compiler
    return [_timed(play, seconds / REPEATS, clock) for _ in range(1 + REPEATS)][1:]


def _timed(play: Callable[[], int], seconds: float, clock: Callable[[], float]) -> float:
    units, start = 0, clock()
    while True:
        units += play()
        elapsed = clock() - start
        if elapsed >= seconds:
            return units / elapsed


def peak_bytes() -> int:
    """The most memory that this process has held; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def _line_alone() -> Iterator[TextIO]:
    """The standard output, which simulators greet on; what they write goes to stderr, be it from C.

    `contextlib.redirect_stdout` isn't enough: to import JaxMARL sets `sys.stdout` back.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as line:
        os.dup2(2, 1)
        yield line


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} isn't above 0: give more")
        return value

    number.__name__ = kind.__name__  # argparse says "invalid int value"
    return number
