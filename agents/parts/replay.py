"""Memories that live where the training does: a replay of single rows, and the rollout that was just played."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from interplay.agents.parts.counting import Counting
from interplay.agents.parts.schedules import Scalar
from interplay.agents.parts.writing import Writer
from interplay.envs.kernels import usable
from interplay.envs.noise import Stream
from interplay.envs.types import Catalogue, InterplayError, Observation, TensorRecord

if TYPE_CHECKING:
    from interplay.agents.parts.player import Player

MOST_ROWS = 1 << 26
"""Rows of the largest replay. A draw has 46 bits, so that chances of rows differ by less than a millionth."""

Record = TypeVar("Record", bound=TensorRecord)


_left_out: ContextVar[list[int] | None] = ContextVar("left_out", default=None)


@contextmanager
def memories_left_out(wanted: bool = True) -> Iterator[list[int]]:
    """What agents save in this block holds no rows of a ``Replay``, if that is ``wanted``.

    Returns:
        A list that receives how many rows had been added to each memory that was left out.
    """
    left_out: list[int] = []
    token = _left_out.set(left_out if wanted else None)
    try:
        yield left_out
    finally:
        _left_out.reset(token)


class Replay(Counting, Generic[Record]):
    """A ring of rows, written and sampled without leaving the device; the first axis of a record's tensors counts rows.

    Args:
        capacity: rows to keep, ``MOST_ROWS`` (67 million) at most; the oldest are overwritten.
        warm_up: rows from which it is ready.
        catalogue: of the options that rows were seen with: then items' numbers are kept in place of its columns, which
            are most of what is seen of a long list.

    Attributes:
        added: rows that were ever added.

    Raises:
        InterplayError: ``capacity`` is above ``MOST_ROWS``.
    """

    _counters: ClassVar[tuple[str, ...]] = ("added",)
    _catalogue: Catalogue | None = None

    def __init__(self, capacity: int, warm_up: int = 1, catalogue: Catalogue | None = None) -> None:
        if capacity > MOST_ROWS:
            raise InterplayError(f"capacity={capacity} is more than a replay can draw from with equal chances: use at "
                                 f"most {MOST_ROWS}")
        self._capacity = capacity
        self._store: Record | None = None
        self._warm_up = max(1, warm_up)
        self._at_once = 0  # rows of each call of add
        self._writer = Writer()
        self.added = 0
        if catalogue is not None:  # otherwise no state
            self._catalogue = catalogue

    @property
    def ready(self) -> bool:
        """Whether it has the rows of its warm-up."""
        return min(self.added, self._capacity) >= self._warm_up

    @property
    def graph_phase(self) -> bool:
        """Whether it will be ready after the next rows."""
        return min(self.added + self._at_once, self._capacity) >= self._warm_up

    @property
    def size(self) -> int | Tensor:
        """Rows in memory."""
        added = self._counted("added")
        return added.clamp(max=self._capacity) if isinstance(added, Tensor) else min(added, self._capacity)

    def add(self, rows: Record, axes: int = 1) -> None:
        """Append rows, always as many as the first time.

        Args:
            rows: what to remember.
            axes: how many of the first axes of its tensors count rows: 2 for ``[B, N, ...]``.
        """
        rows = rows if self._catalogue is None else _seen_as(rows, self._catalogue.without)
        self._at_once = count = math.prod(next(rows.tensors()).shape[:axes])
        # A multiple of what comes at once, so that no batch is cut and a row's place shows whose it is.
        store = self._store or self._allocate(rows, max(1, self._capacity // count) * count, axes)
        places = self._next_places()
        self._writer.write(store, places, rows, axes)
        self._wrote(places)
        self._advance("added", count)

    def _next_places(self) -> slice | Tensor:
        """Where the next rows go."""
        added = self._counted("added")
        if isinstance(added, Tensor):
            return added % self._capacity + torch.arange(self._at_once, device=added.device)
        return slice(added % self._capacity, added % self._capacity + self._at_once)

    def sample(self, draw: Tensor) -> tuple[Record, Tensor]:
        """The rows that ``draw`` picks, each as likely, and their places.

        Args:
            draw: ``fine_draw``, float64 ``[S]``; or ``[S, N]``, which picks rows of each of N agents, where rows were
                added agent by agent.
        """
        return self.at(self.places(draw))

    def places(self, draw: Tensor) -> Tensor:
        """Where the rows are that ``sample`` gives for this draw, int64 of its shape."""
        count = self.size // math.prod(draw.shape[1:])
        if usable(draw) and draw.dim() == 1:
            return torch.from_numpy((draw.numpy() * count).astype(np.int64))
        return _place((draw * count).long())

    @property
    def rows(self) -> Record | None:
        """All rows as they are kept, for loops that pick some themselves; None if options are kept by numbers."""
        return self._store if self._catalogue is None else None

    def at(self, index: Tensor) -> tuple[Record, Tensor]:
        """The rows at these places (int64 ``[S]`` or ``[S, N]``), and the places."""
        assert self._store is not None
        rows = self._store.rows(index.flatten())
        rows = rows if index.dim() == 1 else rows.map(lambda x: x.view(*index.shape, *x.shape[1:]))
        return rows if self._catalogue is None else _seen_as(rows, self._catalogue.restored), index

    def state_dict(self) -> dict[str, Any]:
        """See ``Stateful``; that of an empty memory within ``memories_left_out``."""
        left_out = _left_out.get()
        if left_out is None:
            return super().state_dict()
        if self.added:
            left_out.append(self.added)
        return super(Replay, self._emptied()).state_dict()

    def _emptied(self) -> Self:
        """A copy without any rows."""
        new = self.counting_apart()
        new._store, new._at_once, new.added = None, 0, 0
        return new

    def _allocate(self, rows: Record, capacity: int, axes: int) -> Record:
        """An empty store for rows like these."""
        self._capacity = capacity
        self._store = rows.map(lambda x: x.new_zeros(capacity, *x.shape[axes:]))
        return self._store

    def _wrote(self, places: slice | Tensor) -> None:
        """Called after rows were written, for memories that keep more about them."""


class PrioritisedReplay(Replay[Record]):
    """Rows are drawn in proportion to ``priority ** exponent`` (Schaul et al., "Prioritized experience replay", 2016).

    Args:
        capacity: as for ``Replay``.
        exponent: alpha of the paper's equation 1; 0 = each as likely.
        device: where the priorities live.
        num_agents: N, if rows of each agent are drawn on their own; rows must come agent by agent.
        warm_up, catalogue: as for ``Replay``.
    """

    def __init__(self, capacity: int, exponent: float, device: torch.device, num_agents: int = 1,
                 warm_up: int = 1, catalogue: Catalogue | None = None) -> None:
        super().__init__(capacity, warm_up, catalogue)
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

    def correction(self, index: Tensor, exponent: Scalar) -> Tensor:
        """Weights that undo the preference (the paper's section 3.4), the largest 1: float32, of the index's shape."""
        power = torch.as_tensor(exponent, dtype=torch.float32) if isinstance(exponent, Tensor) else torch.full_like(
            self._weight[:1], exponent)  # always a tensor, so that a graph has the same bits
        weight = (self._weight[index] / self._mean_weight()) ** -power
        return weight / weight.amax(0)

    def update(self, index: Tensor, error: Tensor) -> None:
        """Set the priorities of the rows at ``index`` to their absolute errors, float32 of the same shape."""
        priority = error.abs() + 1e-6
        self._weight[index] = priority**self._exponent
        self._largest = torch.maximum(self._largest, priority.view(-1, len(self._largest)).amax(0))

    def _by_agent(self) -> Tensor:
        """Weights of the filled part, ``[rows, N]``; on the device of all, which are 0 where nothing is."""
        size = self.size
        return (self._weight if isinstance(size, Tensor) else self._weight[:size]).view(-1, len(self._largest))

    def _mean_weight(self) -> Tensor:
        """Of each agent's rows, ``[N]``."""
        weight = self._weight.view(-1, len(self._largest))  # all, so that the sum has the same bits in a graph
        return weight.sum(0) / (self.size // weight.shape[1])

    def _emptied(self) -> Self:
        new = super()._emptied()
        new._weight, new._largest = self._weight[:0], torch.ones_like(self._largest)
        return new

    def _allocate(self, rows: Record, capacity: int, axes: int) -> Record:
        self._weight = self._weight.new_zeros(capacity)
        return super()._allocate(rows, capacity, axes)

    def _wrote(self, places: slice | Tensor) -> None:
        self._weight[places] = (self._largest**self._exponent).repeat(self._at_once // len(self._largest))


class Rollout(Counting, Generic[Record]):
    """The last steps, until there are enough of them to learn from.

    Args:
        length: steps of a rollout.
    """

    _counters: ClassVar[tuple[str, ...]] = ("added",)

    def __init__(self, length: int) -> None:
        self._length = length
        self._store: Record | None = None
        self._writer = Writer()
        self.added = 0

    @property
    def graph_phase(self) -> bool:
        """Whether the next step is the last of a rollout."""
        return (self.added + 1) % self._length == 0

    def add(self, step: Record) -> Record | None:
        """Remember a step; every ``length``-th time all of them, stacked ``[T, ...]``, until the next is added."""
        if self._store is None:
            self._store = step.map(lambda x: x.new_zeros(self._length, *x.shape))
        full, place = self.graph_phase, self._counted("added") % self._length
        self._writer.write(self._store, place.view(1) if isinstance(place, Tensor) else place, step)
        self._advance("added")
        return self._store if full else None


def fine_draw(player: Player, *shape: int) -> Tensor:
    """The player's own noise for ``Replay.sample``: uniform in (0, 1), float64 of this shape, with 46 bits."""
    drawn = player.draw(2, *shape, stream=Stream.REPLAY)
    if usable(drawn):
        some = drawn.numpy().astype(np.float64)
        return torch.from_numpy(some[0] + (some[1] - 0.5) * 2.0**-23)
    high, low = drawn.double().unbind()
    return high + (low - 0.5) * 2.0**-23  # a draw of 23 bits lies in the middle of its cell


def _place(row: Tensor) -> Tensor:
    """Places of the rows ``[S]``, or of each agent's rows ``[S, N]`` where agents take turns."""
    if row.dim() == 1:
        return row
    agent = torch.arange(row[0].numel(), device=row.device)
    return row * len(agent) + agent


def shuffled(player: Player, num_rows: int, num_epochs: int, num_parts: int) -> Iterator[Tensor]:
    """A few passes over a rollout: places of its rows, int64, in ``num_parts`` parts that are new in each pass."""
    for _ in range(num_epochs):
        yield from player.draw(num_rows, stream=Stream.REPLAY).argsort().chunk(num_parts)


def _seen_as(record: Any, change: Callable[[Observation], Observation]) -> Any:
    """An ``Experience`` or a ``Transition`` whose observations are changed."""
    return replace(record, observation=change(record.observation), next_observation=change(record.next_observation))
