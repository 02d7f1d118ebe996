"""Synthetic behaviour: the article's preference formula, on people who are drawn or given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.behaviour.base import Behaviour, implements
from interplay.envs.checking import check_arguments, shown
from interplay.envs.config import MarketConfig
from interplay.envs.indexing import gather_rows, one_hot
from interplay.envs.noise import Stream, check_draws, normal, uniform
from interplay.envs.population import Population
from interplay.envs.types import InterplayError
from interplay.envs.vectors import normalise
from interplay.envs.world import State


def preference(weight: Tensor, user: Tensor, item: Tensor, bias: Tensor) -> Tensor:
    """The logit ``w . (p * v) + b`` of the article, section 4.1; its response is the sigmoid of this.

    The product is elementwise, as the article's symbol says; its text calls it a dot product.

    Args:
        weight: w, ``[..., D]``; the four broadcast together.
        user: p, ``[..., D]``.
        item: v, ``[..., D]``.
        bias: b, ``[...]``.

    Returns:
        ``[...]``.
    """
    return (weight * user * item).sum(-1) + bias


class SyntheticBehaviour(Behaviour):
    """Responses by ``sigmoid(w . (p_u * v_j) + b_j + state)``.

    Args:
        population: gives the population for noise keys (int32 ``[B, 2]``): ``TownPopulation``, ``GivenPopulation`` or
            yours.
    """

    name: ClassVar[str] = "synthetic"

    def __init__(self, population: Callable[[Tensor], Population]) -> None:
        check_arguments(SyntheticBehaviour.__init__, population=population)
        self._population = population

    def populate(self, key: Tensor) -> Population:
        """The population of these worlds."""
        return self._population(key)

    @property
    def same_population(self) -> bool:
        """Whether all worlds have the same people: those of ``GivenPopulation``, which no subclass has changed."""
        given = type(self._population)
        return (type(self).populate is SyntheticBehaviour.populate and "populate" not in vars(self)
                and issubclass(given, GivenPopulation) and given.__call__ is GivenPopulation.__call__)

    @implements("preference")
    def response(self, state: State, items: Tensor, shift: Tensor) -> Tensor:
        """The sigmoid of the preference plus ``shift``."""
        population, taken = state.population, state.population.of_items(items)
        weight = population.preference_weight[:, None, None]
        base = preference(weight, state.user_vector.unsqueeze(2), taken.vector, taken.appeal)
        return torch.sigmoid(base + shift)


class GivenPopulation:
    """The same few people, written out by hand, in every world.

    What is left out is the same for all: one user of vector ``[1]``; one segment, one topic and no mood effect; items
    whose vectors are 0, so that appeal alone counts.

    Args (each one row per user or item):
        appeal: ``[I]``. user_vector: ``[U][D]``, of length 1. segment: ``[U]``. item_vector: ``[I][D]``.
        topics: ``[I][G]``. mood_effect: ``[I]``. preference_weight: ``[D]``, w of the preference formula.

    Attributes:
        sizes: fields of ``MarketConfig`` that follow from these rows.

    Raises:
        InterplayError: rows are no finite numbers, or of different lengths, or segments are no numbers from 0.
    """

    def __init__(self, *, appeal: Sequence[float], user_vector: Sequence[Sequence[float]] = ((1.0,),),
                 segment: Sequence[int] | None = None, item_vector: Sequence[Sequence[float]] | None = None,
                 topics: Sequence[Sequence[float]] | None = None, mood_effect: Sequence[float] | None = None,
                 preference_weight: Sequence[float] | None = None) -> None:
        people = _rows("user_vector", user_vector, 2)
        appeals = _rows("appeal", appeal, 1)
        (users, size), items = people.shape, len(appeals)
        weight = torch.full((size,), float(item_vector is not None))
        segments = _rows("segment", segment, 1, torch.zeros(users))
        if (segments != segments.long()).any() or segments.min() < 0:
            raise InterplayError(f"segment={shown(segment)} are no numbers of segments: give integers from 0")
        tables = (people, segments.long(),
                  _rows("item_vector", item_vector, 2, torch.zeros(items, size)), appeals,
                  _rows("topics", topics, 2, torch.ones(items, 1)),
                  _rows("mood_effect", mood_effect, 1, torch.zeros(items)), torch.ones(items), torch.zeros(items),
                  _rows("preference_weight", preference_weight, 1, weight))
        per_item = {"item_vector": tables[2], "topics": tables[4], "mood_effect": tables[5]}
        for name, table, rows, of in (("segment", tables[1], users, "user_vector"),
                                      *((name, table, items, "appeal") for name, table in per_item.items())):
            if len(table) != rows:
                raise InterplayError(f"{name} has {len(table)} rows, but {of} has {rows}: give one for each")
        self._tables = {people.device: [table.unsqueeze(0) for table in tables]}
        self.sizes = {"num_users": users, "num_items": items, "embedding_size": size,
                      "num_topics": tables[4].shape[1], "num_segments": int(tables[1].max()) + 1}
        self._one: Population | None = None

    def __call__(self, key: Tensor) -> Population:
        """These people for each key."""
        # Copied once and kept: a reset that a GPU replays must not wait for the host.
        if key.device not in self._tables:
            self._tables[key.device] = [table.to(key.device) for table in next(iter(self._tables.values()))]
        tables = self._tables[key.device]
        if key.shape[0] == 1 and kernels.usable(key):  # always the same record, with what was derived from it
            self._one = self._one or Population(*tables)
            return self._one
        return Population(*tables).expand(key.shape[0])


def _rows(name: str, values: Sequence[Any] | None, dimensions: int, otherwise: Tensor | None = None) -> Tensor:
    """What was written out as float32, or else what stands for it."""
    if values is None and otherwise is not None:
        return otherwise
    try:
        table = torch.as_tensor(values, dtype=torch.float32).clone()
    except (TypeError, ValueError) as error:
        raise InterplayError(f"{name}={shown(values)} is no table of numbers: give rows of equal length") from error
    if table.dim() != dimensions or table.numel() == 0:
        each = "one number" if dimensions == 1 else "one list of numbers"
        raise InterplayError(f"{name}={shown(values)} has the wrong shape: give {each} for each, and at least one")
    if not table.isfinite().all():
        raise InterplayError(f"{name}={shown(values)} has numbers that are not finite in float32: give finite ones")
    return table


class TownPopulation:
    """People drawn for each world: every topic has a centre, users and items gather round the centres.

    A user's segment is the topic that drew it (modulo C). An item's topic mix leans to its own topic. Sweet
    items (mood_effect below 0) have more appeal, so that what pleases now is what spoils the mood.

    Args:
        config: sizes are taken from here.
        spread: how far people lie from their centre, against a centre of length 1.
        taste_scale: every dimension's preference weight in the logit.
        sweetness: appeal lost for one unit of mood effect.
    """

    def __init__(self, config: MarketConfig, spread: float = 0.6, taste_scale: float = 2.0,
                 sweetness: float = 0.3) -> None:
        check_arguments(TownPopulation.__init__, config=config, spread=spread, taste_scale=taste_scale,
                        sweetness=sweetness)
        largest = max(config.num_users, config.num_items, config.num_topics)
        check_draws("population", 2 * largest * config.embedding_size)
        check_draws("topics of items", config.num_items * config.num_topics)
        self._config = config
        self._spread, self._taste_scale, self._sweetness = spread, taste_scale, sweetness

    def __call__(self, key: Tensor) -> Population:
        """Draw the worlds of these keys."""
        c = self._config
        centres = normalise(normal(key, 0, Stream.POPULATION, (c.num_topics, c.embedding_size)))
        user_topic = self._topic(key, 1, c.num_users)
        item_topic = self._topic(key, 2, c.num_items)
        lean = one_hot(item_topic, c.num_topics)
        topics = lean * 3.0 + uniform(key, 4, Stream.POPULATION, (c.num_items, c.num_topics))
        mood_effect = 2.0 * uniform(key, 5, Stream.POPULATION, (c.num_items,)) - 1.0
        quality = 0.5 * normal(key, 6, Stream.POPULATION, (c.num_items,))
        ones = torch.ones_like(mood_effect)
        return Population(
            user_vector=self._around(key, 7, gather_rows(centres, user_topic)),
            segment=user_topic % c.num_segments,
            item_vector=self._around(key, 8, gather_rows(centres, item_topic)),
            appeal=quality - self._sweetness * mood_effect,
            topics=topics / topics.sum(-1, keepdim=True),
            mood_effect=mood_effect,
            margin=ones,
            popularity=torch.zeros_like(ones),
            preference_weight=torch.full_like(centres[:, 0], self._taste_scale),
        )

    def _topic(self, key: Tensor, step: int, count: int) -> Tensor:
        return (uniform(key, step, Stream.POPULATION, (count,)) * self._config.num_topics).long()

    def _around(self, key: Tensor, step: int, centre: Tensor) -> Tensor:
        noise = normal(key, step, Stream.POPULATION, tuple(centre.shape[1:]))
        return normalise(centre + self._spread * noise / self._config.embedding_size**0.5)


CERTAIN = 40.0
"""An appeal whose sigmoid is 1 in float32; that of its negative is 4e-18."""


def all_alike(config: MarketConfig, appeal: float) -> SyntheticBehaviour:
    """Users and items that differ in nothing; where vectors have a place for each user, users are numbered by them.

    For markets in which mechanisms decide what is earned. With an appeal of ``-CERTAIN`` no user responds.
    """
    users, size = range(config.num_users), config.embedding_size
    return SyntheticBehaviour(GivenPopulation(
        user_vector=[[float(d == user % size) for d in range(size)] for user in users],
        appeal=[appeal] * config.num_items))
