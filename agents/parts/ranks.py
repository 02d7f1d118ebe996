"""Several processes that train the same agents, each in its own part of the worlds, with averaged gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed
from torch import Tensor

from interplay.envs.types import InterplayError


class LostProcessError(InterplayError):
    """Another process of the training has ended, so that gradients cannot be averaged any more."""


class Ranks(NamedTuple):
    """Which of several processes this is.

    Attributes:
        rank: number of this process, from 0.
        size: how many processes there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    @property
    def launcher(self) -> str:
        """What stands before ``interplay`` on a command line that starts as many processes."""
        return f"torchrun --nproc-per-node {self.size} -m " if self.size > 1 else ""

    def part(self, count: int) -> range:
        """The part of ``count`` worlds that this process plays.

        Raises:
            InterplayError: parts would differ in size.
        """
        if count % self.size:
            raise InterplayError(f"num_worlds={count} cannot be divided among {self.size} processes: give a multiple "
                                 f"of {self.size} with --num-worlds")
        share = count // self.size
        return range(self.rank * share, (self.rank + 1) * share)

    def offset(self, draws: int) -> int:
        """Where this process's part begins in noise of which each process takes ``draws``, one after the other.

        So an agent draws for each world what it would draw if one process played all of them.
        """
        return self.rank * draws

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Replace gradients by their means over all processes, in place.

        Raises:
            LostProcessError: another process has ended.
        """
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        try:
            torch.distributed.all_reduce(flat)
        except RuntimeError as error:  # gloo and NCCL have no more special one
            raise LostProcessError(f"another of the {self.size} processes has ended") from error
        parts = torch.split(flat / self.size, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that torchrun has started, for as long as the block runs; ``ALONE`` without torchrun."""
    launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    size = int(os.environ.get("WORLD_SIZE", "1")) if launched else 1
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group()
    try:
        yield Ranks(torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
