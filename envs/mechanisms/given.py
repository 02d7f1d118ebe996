"""What hooks of mechanisms are given: worlds before time 0, and what happened in a step.

``B``, ``U``, ``I``, ``K``, ``G`` and ``C`` are sizes as in ``types``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from interplay.envs.indexing import cell_of, gather_rows
from interplay.envs.population import Items, Population, kept
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError


class HasName(Protocol):
    """A mechanism."""

    name: ClassVar[str]


class Start(NamedTuple):
    """The worlds before time 0, from which mechanisms make their tables.

    Attributes:
        key: int32 ``[B, 2]``, noise keys.
        population: users and items.
        sizes: how many users, items, topics and so on.
    """

    key: Tensor
    population: Population
    sizes: MarketSizes

    @property
    def time(self) -> int:
        """The step before the first, so that its draws are no step's."""
        return -1

    def full_users(self, value: float, *shape: int) -> Tensor:
        """A table of users that holds ``value``, float32 ``[B, U, *shape]``."""
        return torch.full((len(self.key), self.sizes.num_users, *shape), float(value), device=self.key.device)

    def full_items(self, value: float, *shape: int) -> Tensor:
        """A table of items that holds ``value``, float32 ``[B, I, *shape]``."""
        return torch.full((len(self.key), self.sizes.num_items, *shape), float(value), device=self.key.device)

    def of_items(self, parameter: str, values: Sequence[float]) -> Tensor:
        """A table of a parameter, float32 ``[B, I]``: one value for all items, or one for each.

        It is made without copying from the host, so that a GPU can replay it.
        """
        count = self.sizes.num_items
        if len(values) not in (1, count):
            raise InterplayError(f"{parameter} has {len(values)} values, but there are {count} items: give one, or one "
                                 "for each")
        if len(values) == 1:
            return self.full_items(values[0])
        return torch.stack([self.full_items(value)[:, 0] for value in values], dim=1)


@dataclass(frozen=True)
class Outcome:
    """What happened in a step, as mechanisms see it.

    Attributes:
        population: users and items.
        item: int64 ``[B, U]``, the item that each user took; meaningless where ``position`` is 0.
        position: int64 ``[B, U]``, its slot, from 1; 0 = skipped.
        response: float32 ``[B, U]``, 0 for a skip.
        demand: float32 ``[B, I]``, responses to each item.
        segment: int64 ``[B, I]``, the segment of the level that an item chose, see ``Levels.by_segment``.
        levels: for each mechanism with ``item_actions``, by name: the level that each item chose, int64 ``[B, I]``, 0 =
            none, and the levels' values, float32 ``[L]``.
        cost: float32 ``[B, I]``, what the boosts cost that were served.
        heard: float32 ``[B, I, C]``, what ``by_segment`` gives, where it is known already.
    """

    population: Population
    item: Tensor
    position: Tensor
    response: Tensor
    demand: Tensor
    segment: Tensor
    levels: Mapping[str, tuple[Tensor, Tensor]]
    cost: Tensor
    heard: Tensor | None = None

    def by_segment(self, num_segments: int) -> Tensor:
        """Responses to each item from each segment, float32 ``[B, I, C]``."""
        if self.heard is not None:
            return self.heard
        return responses_by_segment(self.population, self.item, self.response, self.demand.shape[1], num_segments)

    @kept
    def taken(self) -> Items:
        """What never changes of the items that users took."""
        return self.population.of_items(self.item)

    @property
    def topics_taken(self) -> Tensor:
        """Topics of the items that users took, float32 ``[B, U, G]``; 0 for a skip."""
        return gather_rows(self.population.topics, self.item) * (self.position > 0).unsqueeze(2)

    def chosen_number(self, mechanism: HasName, keep: Tensor) -> Tensor:
        """The number of the level that each item chose, from 0, ``[B, I]``; ``keep`` where it chose none."""
        level, _ = self.levels[mechanism.name]
        return torch.where(level > 0, level - 1, keep)

    def chosen_level(self, mechanism: HasName, keep: Tensor) -> Tensor:
        """The value of the level that each item chose, float32 ``[B, I]``; ``keep`` where it chose none."""
        level, values = self.levels[mechanism.name]
        return torch.where(level > 0, values[(level - 1).clamp(min=0)], keep)


def responses_by_segment(population: Population, item: Tensor, response: Tensor, num_items: int,
                         num_segments: int) -> Tensor:
    """What the users of each segment responded to each item, float32 ``[B, I, C]``, for ``item`` int64 ``[B, U]``."""
    cell = cell_of(item, population.segment, num_segments)
    empty = response.new_zeros(len(response), num_items * num_segments)
    return empty.scatter_add_(1, cell, response).view(-1, num_items, num_segments)


def inequality(share: Tensor) -> Tensor:
    """Gini's index of shares ``[B, I]`` that add up to 1: 0 = all are equal; float32 ``[B]``."""
    return (share.unsqueeze(2) - share.unsqueeze(1)).abs().sum((1, 2)) / (2.0 * share.shape[1])
