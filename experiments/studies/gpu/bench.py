"""What all sections share: the device, the clock, and what a row is."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

T = TypeVar("T")

_LONGEST = 12  # kernels whose times are written

Row = dict[str, Any]
"""One figure, or a few of one thing, ready for JSON."""


class Case(NamedTuple):
    """Something to measure.

    Attributes:
        what: names it; these are columns of its row.
        measure: gives the other columns.
    """

    what: Mapping[str, Any]
    measure: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Attributes:
        device: where the measured thing runs.
        quick: tiny sizes, to show that everything runs.
        seconds: of one measurement, without its warm-up.
    """

    device: torch.device
    quick: bool = False
    seconds: float = 0.5

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def sized(self, full: T, tiny: T) -> T:
        """The second if this is the quick run."""
        return tiny if self.quick else full

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def free(self) -> None:
        """Release the memory of what was measured before, and forget its peak."""
        gc.collect()
        if self.on_gpu:
            self.wait()  # which also begins to use the GPU, if nothing has yet
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def memory(self) -> Row:
        """The most memory that tensors have taken since ``free``."""
        return {"gib": torch.cuda.max_memory_allocated(self.device) / 2**30} if self.on_gpu else {}

    def seconds_of(self, call: Callable[[], object]) -> float:
        """Seconds of one call, a mean over as many as fit into the time. Warm it up first."""
        self.wait()
        count, started, batch = 0, time.perf_counter(), self.sized(20, 2)
        while True:
            for _ in range(batch):
                call()
            self.wait()
            count, elapsed = count + batch, time.perf_counter() - started
            if elapsed >= self.seconds:
                return elapsed / count

    def kernels_of(self, call: Callable[[], object], count: int) -> Row:
        """Kernels, copies and fills on the GPU in each call, and the time of them. Warm it up first."""
        if not self.on_gpu:
            call()
            return {"kernels": None, "gpu_ms": None}
        self.wait()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
            for _ in range(count):
                call()
            self.wait()
        there = [event for event in found.events() if event.device_type.name == "CUDA"
                 and not getattr(event, "is_user_annotation", False)]
        spent: Counter[str] = Counter()
        for event in there:
            spent[event.name] += event.device_time_total / count / 1e3
        return {"kernels": len(there) / count, "gpu_ms": spent.total(), "longest_ms": dict(spent.most_common(_LONGEST))}


def repeated(call: Callable[[], object], count: int) -> None:
    """Call it so often, to warm it up."""
    for _ in range(count):
        call()
