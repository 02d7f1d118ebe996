"""Values of what was seen lately, so that acting and learning do not both work them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_

import torch
from torch import Tensor, nn

from interplay.agents.parts.networks import parameters_of
from interplay.envs.kernels import usable
from interplay.envs.stacking import at_once, is_stacked, table_of
from interplay.envs.types import Observation, TensorRecord, Transition


@dataclass(frozen=True)
class Seen(TensorRecord):
    """What a network's values follow from.

    Attributes:
        own: float32 ``[..., N, F_own]``.
        options: float32 ``[..., N, M, F_option]``.
    """

    own: Tensor
    options: Tensor


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
        self._given: list[Tensor] = []  # what the values are of
        self._tables: list[Tensor] = []  # the same with all copies under vmap, and the values
        self._versions: list[int] = []  # of these

    def of(self, seen: Observation, work: Callable[[Observation], Tensor]) -> Tensor:
        """The values, which ``work`` gives if they are not known."""
        if torch.is_grad_enabled() or not usable(own := table_of(seen.own)) or own.is_inference():
            return work(seen)
        given = self._reads_of(seen)
        if not self._hold(given):
            self._given, self._tables = given, [table_of(tensor) for tensor in (*given, work(seen))]
            self._versions = _versions(self._tables)
        return _as(seen.own, self._tables[-1])

    def known(self, seen: Observation) -> tuple[Tensor, list[int]] | None:
        """The values, with all copies of a network under vmap, and ``weights``, if ``of`` has worked them out."""
        if not self._tables or not self._hold(self._reads_of(seen)):
            return None
        return self._tables[-1], self._versions[-1 - len(parameters_of(self._network)):-1]

    def weights(self) -> list[int]:
        """What changes when weights are written by torch."""
        return _versions([table_of(weight) for weight in parameters_of(self._network)])

    def _reads_of(self, seen: Observation) -> list[Tensor]:
        read = [table for name in self._reads if (table := getattr(seen, name)) is not None]
        return [*read, *parameters_of(self._network)]

    def _hold(self, given: Sequence[Tensor]) -> bool:
        return (len(self._given) == len(given) and all(map(is_, given, self._given))
                and _versions(self._tables) == self._versions)


class Acted:
    """Values of what was seen after the last steps, as acting worked them out for the steps that followed.

    No agent saves them and nothing depends on them, as those of ``latest``. ``forget`` them with those.
    """

    def __init__(self, latest: Latest) -> None:
        self._latest = latest
        self.forget()

    def forget(self) -> None:
        """Work out all values again."""
        self._known: list[tuple[Tensor, list[int]] | None] = []  # of what was seen before each step
        self._after: Observation | None = None

    def note(self, step: Transition) -> None:
        """Keep what acting knew in this step. All steps have to be noted, or none."""
        self._known.append(self._latest.known(step.observation) if step.observation is self._after else None)
        self._after = step.next_observation

    def ahead(self, after: Seen, work: Callable[[Seen], Tensor]) -> Tensor:
        """Values of what was seen after the last T steps ``[T, ...]``, by ``work`` where they are unknown."""
        if not after.own.is_cpu:
            return work(after)
        count, weights = len(after.own), self._latest.weights()
        known = [*[None] * count, *self._known[1:], None][-count:]
        tables = [table_of(_of_step(after, step, work)) if noted is None or noted[1] != weights else noted[0]
                  for step, noted in enumerate(known)]
        return _as(after.own, torch.stack(tables, int(is_stacked(after.own))))


def _of_step(after: Seen, step: int, work: Callable[[Seen], Tensor]) -> Tensor:
    """Values of one of T steps: products of all at once have other bits."""
    return work(after.map(lambda table: table[step]))


def _as(own: Tensor, table: Tensor) -> Tensor:
    """A table of all copies as a tensor under vmap, if ``own`` is one."""
    return at_once(lambda _: table, own) if is_stacked(own) else table


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor._version for tensor in tensors]
