"""Plays training iterations on demand, for ``earlier``: with the package that it finds, be it of an earlier commit.

Reads numbers of iterations, a line each, and prints the seconds that they took: of one thread's CPU, and of the clock.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

PLACES = {"TrainSettings": ("experiments.common.settings", "experiments.settings"),
          "Run": ("experiments.loop.run", "experiments.run")}
"""Where this version and earlier ones have what is needed."""


def found(name: str) -> Any:
    """What is called so, where this version of the package has it."""
    for place in PLACES[name]:
        try:
            return getattr(importlib.import_module(f"interplay.{place}"), name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"this version has no {name} in {' or '.join(PLACES[name])}")


def play(settings: dict[str, Any], warm_up: int) -> None:
    """Train, and time what is asked for."""
    torch.set_num_threads(1)
    run = found("Run").start(found("TrainSettings")(**settings, device="cpu"), Path(tempfile.gettempdir()))

    def iterate(count: int) -> None:
        for _ in range(count):
            run.step()
            if run.episode_ended:
                run.next_episode()

    iterate(warm_up)
    print("ready", flush=True)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        iterate(int(line))
        print(time.process_time() - cpu, time.perf_counter() - wall, flush=True)


if __name__ == "__main__":
    play(json.loads(sys.argv[1]), int(sys.argv[2]))
