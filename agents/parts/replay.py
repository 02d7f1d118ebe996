"""Memories that live where the training does: a replay of single rows, and the rollout that was just played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from interplay.agents.parts.stateful import Stateful
from interplay.envs.noise import Stream
from interplay.envs.types import InterplayError, TensorRecord

if TYPE_CHECKING:
    from interplay.agents.parts.player import Player

MOST_ROWS = 1 << 26
"""Rows of the largest replay. A draw has 46 bits, so that chances of rows differ by less than a millionth."""

Record = TypeVar("Record", bound=TensorRecord)


class Replay(Stateful, Generic[Record]):
    """A ring of rows, written and sampled without leaving the device; the first axis of a record's tensors counts rows.

    Args:
        capacity: rows to keep, ``MOST_ROWS`` (67 million) at most; the oldest are overwritten.

    Raises:
        InterplayError: ``capacity`` is above ``MOST_ROWS``.
    """

    def __init__(self, capacity: int) -> None:
        if capacity > MOST_ROWS:
            raise InterplayError(f"capacity={capacity} is more than a replay can draw from with equal chances: use at "
                                 f"most {MOST_ROWS}")
        self._capacity = capacity
        self._store: Record | None = None
        self._next = 0
        self.size = 0

    def add(self, rows: Record) -> None:
        """Append rows, always as many as the first time."""
        count = _num_rows(rows)
        # A multiple of what comes at once, so that no batch is cut and a row's place tells whose it is.
        store = self._store or self._allocate(rows, max(1, self._capacity // count) * count)
        _write(store, self._next, rows)
        self._wrote(self._next, count)
        self._next = (self._next + count) % self._capacity
        self.size = min(self.size + count, self._capacity)

    def sample(self, draw: Tensor) -> tuple[Record, Tensor]:
        """The rows that ``draw`` picks, each as likely, and their places.

        Args:
            draw: ``fine_draw``, float64 ``[S]``; or ``[S, N]``, which picks rows of each of N agents, where rows were
                added agent by agent.
        """
        return self.at(_place((draw * (self.size // draw[0].numel())).long()))

    def at(self, index: Tensor) -> tuple[Record, Tensor]:
        """The rows at these places (int64 ``[S]`` or ``[S, N]``), and the places."""
        assert self._store is not None
        return self._store.rows(index.flatten()).map(lambda x: x.view(*index.shape, *x.shape[1:])), index

    def _allocate(self, rows: Record, capacity: int) -> Record:
        """An empty store for rows like these."""
        self._capacity = capacity
        self._store = rows.map(lambda x: x.new_zeros(capacity, *x.shape[1:]))
        return self._store

    def _wrote(self, start: int, count: int) -> None:
        """Told after rows were written, for memories that keep more about them."""


class PrioritisedReplay(Replay[Record]):
    """Rows are drawn in proportion to ``priority ** exponent`` (Schaul et al., "Prioritized experience replay", 2016).

    Args:
        capacity: as for ``Replay``.
        exponent: alpha of the paper's equation 1; 0 = each as likely.
        device: where the priorities live.
        num_agents: N, if rows of each agent are drawn on their own; rows must come agent by agent.
    """

    def __init__(self, capacity: int, exponent: float, device: torch.device, num_agents: int = 1) -> None:
        super().__init__(capacity)
        self._exponent = exponent
        self._weight = torch.zeros(0, device=device)
        self._largest = torch.ones(num_agents, device=device)

    def sample(self, draw: Tensor) -> tuple[Record, Tensor]:
        """Rows by priority, and their places; see ``Replay.sample``."""
        # Double, because the sum of a large memory's weights loses the small ones in float32.
        total = self._by_agent().double().cumsum(0).T.contiguous()
        wanted = draw.double().view(-1, len(total)).T * total[:, -1:]
        row = torch.searchsorted(total, wanted.contiguous()).clamp(max=total.shape[1] - 1)
        return self.at(_place(row.T.view(draw.shape)))

    def correction(self, index: Tensor, exponent: float) -> Tensor:
        """Weights that undo the preference (the paper's section 3.4), the largest 1: float32, of the index's shape."""
        weight = (self._weight[index] / self._by_agent().mean(0)) ** -exponent
        return weight / weight.amax(0)

    def update(self, index: Tensor, error: Tensor) -> None:
        """Set the priorities of the rows at ``index`` to their absolute errors, float32 of the same shape."""
        priority = error.abs() + 1e-6
        self._weight[index] = priority**self._exponent
        self._largest = torch.maximum(self._largest, priority.view(-1, len(self._largest)).amax(0))

    def _by_agent(self) -> Tensor:
        """Weights of the filled part, ``[rows, N]``."""
        return self._weight[: self.size].view(-1, len(self._largest))

    def _allocate(self, rows: Record, capacity: int) -> Record:
        self._weight = self._weight.new_zeros(capacity)
        return super()._allocate(rows, capacity)

    def _wrote(self, start: int, count: int) -> None:
        self._weight[start : start + count].view(-1, len(self._largest))[:] = self._largest**self._exponent


class Rollout(Stateful, Generic[Record]):
    """The last steps, until there are enough of them to learn from.

    Args:
        length: steps of a rollout.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._steps: list[Record] = []

    def add(self, step: Record) -> Record | None:
        """Remember a step; every ``length``-th time all of them, stacked ``[T, ...]``."""
        self._steps.append(step)
        if len(self._steps) < self._length:
            return None
        steps, self._steps = self._steps, []
        return step.stack(steps)


def fine_draw(player: Player, *shape: int) -> Tensor:
    """The player's own noise for ``Replay.sample``: uniform in (0, 1), float64 of this shape, with 46 bits."""
    high, low = player.draw(2, *shape, stream=Stream.REPLAY).double().unbind()
    return high + (low - 0.5) * 2.0**-23  # a draw of 23 bits lies in the middle of its cell


def _place(row: Tensor) -> Tensor:
    """Places of the rows ``[S]``, or of each agent's rows ``[S, N]`` where agents take turns."""
    agent = torch.arange(row[0].numel(), device=row.device)
    return row * len(agent) + (agent if row.dim() > 1 else 0)


def shuffled(player: Player, num_rows: int, num_epochs: int, num_parts: int) -> Iterator[Tensor]:
    """A few passes over a rollout: places of its rows, int64, in ``num_parts`` parts that are new in each pass."""
    for _ in range(num_epochs):
        yield from player.draw(num_rows, stream=Stream.REPLAY).argsort().chunk(num_parts)


def _num_rows(record: TensorRecord) -> int:
    """Length of the first axis."""
    return int(next(record.tensors()).shape[0])


def _write(store: TensorRecord, start: int, rows: TensorRecord) -> None:
    for target, source in zip(store.tensors(), rows.tensors(), strict=True):
        target[start : start + source.shape[0]] = source
