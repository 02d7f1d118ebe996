"""Fitted behaviour: people drawn from those of a log, with responses on the log's own levels.

What users take is decided by slates, whose scores are the fitted ones. How they respond is an ordered logit: the
response is above level l with probability sigmoid(z - c_l), where z is the article's preference formula. With levels 0
and 1 and a cut at 0 this is the formula itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interplay.envs.behaviour.base import Behaviour
from interplay.envs.behaviour.synthetic import preference
from interplay.envs.config import MarketConfig
from interplay.envs.noise import Stream, uniform
from interplay.envs.population import Population
from interplay.envs.types import TensorRecord
from interplay.envs.world import State

_PEOPLE = 11  # number of its draw among those of populations


@dataclass(frozen=True)
class FittedTables(TensorRecord):
    """What is known of ``P`` people and ``I`` items of a log; see ``Population`` for what the columns mean.

    Attributes:
        people: int64 ``[P]``, the people's numbers in the log.
        user_vector: float32 ``[P, D]``, the least active person first.
        segment: int64 ``[P]``. user_features: float32 ``[P, Fu]``.
        item_vector: float32 ``[I, D]``. appeal, mood_effect, popularity: ``[I]``. topics: ``[I, G]``.
            item_features: ``[I, Fi]``.
        preference_weight: float32 ``[D]``.
        levels: float32 ``[L]``, what responses can be, ascending in [0, 1].
        cuts: float32 ``[L - 1]``, c, ascending.
    """

    people: Tensor
    user_vector: Tensor
    segment: Tensor
    user_features: Tensor
    item_vector: Tensor
    appeal: Tensor
    mood_effect: Tensor
    topics: Tensor
    popularity: Tensor
    item_features: Tensor
    preference_weight: Tensor
    levels: Tensor
    cuts: Tensor


class FittedBehaviour(Behaviour):
    """Responses by an ordered logit on people who are drawn from a log's.

    The items are the log's in every world. User k of U is drawn from the k-th of U equal parts of the people, which
    are ordered by activity: so each world has all kinds, and one with as many users as there are people has each once.

    Args:
        tables: what was fitted.
        config: the market's; ``num_users`` may be any number.
    """

    name: ClassVar[str] = "fitted"

    def __init__(self, tables: FittedTables, config: MarketConfig) -> None:
        self._config = config
        self._tables = {tables.levels.device: tables}
        self._num_people = len(tables.segment)
        first = torch.arange(config.num_users + 1) * self._num_people // config.num_users
        self._first, self._width = first[:-1], first.diff().clamp(min=1)

    def populate(self, key: Tensor) -> Population:
        """The log's items, and people drawn for each world."""
        t = self._on(key.device)
        rows = self._drawn(key)
        worlds, zeros = len(key), torch.zeros_like(t.appeal)

        def all_worlds(table: Tensor) -> Tensor:
            return table.expand(worlds, *table.shape)

        return Population(
            user_vector=t.user_vector[rows], segment=t.segment[rows] % self._config.num_segments,
            user_features=t.user_features[rows],
            item_vector=all_worlds(t.item_vector), appeal=all_worlds(t.appeal), topics=all_worlds(t.topics),
            mood_effect=all_worlds(t.mood_effect), margin=all_worlds(zeros + 1.0), popularity=all_worlds(t.popularity),
            preference_weight=all_worlds(t.preference_weight), item_features=all_worlds(t.item_features))

    @property
    def people(self) -> Tensor:
        """The numbers in the log of the people, int64 ``[P]``, as a world with ``P`` users has them."""
        return next(iter(self._tables.values())).people

    def _drawn(self, key: Tensor) -> Tensor:
        """Which person each user is, int64 ``[B, U]``."""
        first, width = self._first.to(key.device), self._width.to(key.device)
        draw = uniform(key, 0, Stream.POPULATION, (self._config.num_users,), _PEOPLE * self._config.num_users)
        return first + torch.minimum((draw * width).long(), width - 1)

    def response(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
        """The mean level."""
        t, z = self._on(items.device), self._logit(state, items, shift)
        mean = t.levels[0].expand_as(z)
        for step, cut in zip(t.levels.diff().unbind(), t.cuts.unbind(), strict=True):
            mean = mean + step * torch.sigmoid(z - cut)
        return mean

    @property
    def has_levels(self) -> bool:
        """See ``Behaviour.has_levels``."""
        return True

    def level(self, state: State, items: Tensor, shift: Tensor, draw: Tensor) -> Tensor:
        """The level at this quantile."""
        t = self._on(items.device)
        value = self._logit(state, items, shift) + torch.logit(draw, 1e-6)
        return t.levels[torch.searchsorted(t.cuts, value)]

    def _logit(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
        population, taken = state.population, state.population.of_items(items)
        weight = population.preference_weight[:, None, None]
        return preference(weight, state.user_vector.unsqueeze(2), taken.vector, taken.appeal) + shift

    def _on(self, device: torch.device) -> FittedTables:
        """The tables on a device; copied there the first time that they are needed."""
        if device not in self._tables:
            self._tables[device] = next(iter(self._tables.values())).map(lambda table: table.to(device))
        return self._tables[device]
