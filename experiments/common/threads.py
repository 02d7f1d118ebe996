"""Threads of a computation, which leaves the numbers of the process as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from interplay.envs import kernels
from interplay.envs.threads import set_num_threads
from interplay.experiments.common.memory import kept_memory


@contextmanager
def working_threads(count: int) -> Iterator[None]:
    """Torch and all markets work on ``count`` threads within the block, and on as many as before after it.

    Memory that they free stays with the process meanwhile.
    """
    torch_before, markets_before = torch.get_num_threads(), kernels.num_threads
    torch.set_num_threads(count)
    set_num_threads(count)
    try:
        with kept_memory():
            yield
    finally:
        torch.set_num_threads(torch_before)
        set_num_threads(markets_before)
