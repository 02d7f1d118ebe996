"""Values of what was seen last: an agent that learns from what follows a step is asked for the same when it acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_

import torch
from torch import Tensor, nn

from interplay.agents.parts.networks import parameters_of
from interplay.envs.kernels import usable
from interplay.envs.stacking import at_once, is_stacked, table_of
from interplay.envs.types import Observation


class Latest:
    """Keeps a network's values of the last observation on a CPU, which no agent saves and nothing depends on.

    They hold while the observation is the same object, and neither it, the values nor the weights were written since.
    Torch does not notice that fused optimisers and compiled loops write weights: say so with ``forget``.

    Args:
        network: whose values these are.
        reads: the tables of an observation that the values depend on.
    """

    def __init__(self, network: nn.Module, reads: Sequence[str] = ("own", "options")) -> None:
        self._network, self._reads = network, reads
        self.forget()

    def forget(self) -> None:
        """Work out the next values again."""
        self._tensors: list[Tensor] = []
        self._versions: list[int] = []

    def of(self, seen: Observation, work: Callable[[Observation], Tensor]) -> Tensor:
        """The values, which ``work`` gives if they are not known."""
        read = [table for name in self._reads if (table := getattr(seen, name)) is not None]
        stacked, given = is_stacked(seen.own), [*read, *parameters_of(self._network)]
        given = [table_of(tensor) for tensor in given] if stacked else given
        if torch.is_grad_enabled() or not usable(given[0]) or given[0].is_inference():
            return work(seen)
        if not self._hold(given):
            self._tensors = [*given, table_of(work(seen))]
            self._versions = _versions(self._tensors)
        return at_once(lambda _: self._tensors[-1], seen.own) if stacked else self._tensors[-1]

    def _hold(self, given: Sequence[Tensor]) -> bool:
        return (len(self._tensors) == len(given) + 1 and all(map(is_, given, self._tensors))
                and _versions(self._tensors) == self._versions)


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor._version for tensor in tensors]
