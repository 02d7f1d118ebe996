"""The machine: what it is, and how fast its memory copies."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from interplay.envs import kernels
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated


def cases(bench: Bench) -> Iterator[Case]:
    """What it is, then the copies."""
    yield Case({"what": "machine"}, partial(_machine, bench))
    yield Case({"what": "copy"}, partial(_copy, bench))


def _machine(bench: Bench) -> Row:
    row = {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(),
           "cores": usable_cores(), "cores_of_machine": os.cpu_count(), "kernels": kernels.available(),
           "device": "cpu", "cuda": torch.version.cuda}
    if bench.on_gpu:
        properties = torch.cuda.get_device_properties(bench.device)
        row |= {"device": properties.name, "memory_gib": properties.total_memory / 2**30,
                "multiprocessors": properties.multi_processor_count}
    return row


def _copy(bench: Bench) -> Row:
    """Bytes that are read and written in a second, between two places of the device's own memory."""
    one = torch.zeros(bench.sized(1 << 29, 1 << 20), device=bench.device)
    other = torch.empty_like(one)
    repeated(lambda: other.copy_(one), 3)
    return {"gb_per_s": 2 * one.nbytes / bench.seconds_of(lambda: other.copy_(one)) / 1e9}
