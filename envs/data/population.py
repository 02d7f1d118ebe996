"""From the training part of a log to the people of a market: what agents can see of users and items."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

from interplay.envs.config import MarketConfig
from interplay.envs.data.features import standardised
from interplay.envs.data.log import InteractionLog
from interplay.envs.population import Population
from interplay.envs.types import InterplayError

_PRIOR_ROWS = 5.0  # rows at the mean reward that every item's own mean starts from
CERTAIN = 0.01
"""Rewards are kept this far from 0 and 1 where their logit is needed."""


class Vectors(NamedTuple):
    """Vectors whose product, with the items' biases, ranks items for each user.

    Attributes:
        user_vector, item_vector: float64 ``[U, E]`` and ``[I, E]``.
        item_bias: float64 ``[I]``.
    """

    user_vector: NDArray[np.float64]
    item_vector: NDArray[np.float64]
    item_bias: NDArray[np.float64]

    @property
    def embedding_size(self) -> int:
        """D of a market that has them: one more than E, for the bias."""
        return int(self.item_vector.shape[1]) + 1


def population_of(log: InteractionLog, vectors: Vectors, mean: float, config: MarketConfig,
            rng: np.random.Generator) -> Population:
    """One world of the training part's people.

    Args:
        log: the training part.
        vectors: of its users and items.
        mean: of its rewards, scaled.
        config: sizes are taken from here.
        rng: the segments start from it.

    Raises:
        InterplayError: vectors and config disagree on sizes.
    """
    _check_vectors(vectors, config)
    taste, vector = _market_vectors(vectors)
    count = np.bincount(log.item, minlength=log.num_items)
    topics = np.ones((log.num_items, 1)) if log.item_topics is None else log.item_topics
    ones, zeros = np.ones(log.num_items), np.zeros(log.num_items)
    segment = torch.from_numpy(segments_of(taste, config.num_segments, rng))
    rows = Population(float32(taste), segment, float32(vector), float32(_appeal(log, mean)),
                      float32(topics), float32(zeros), float32(ones), float32(count),
                      torch.ones(config.embedding_size), _features(log.user_features, log.num_users),
                      _features(log.item_features, log.num_items))
    return rows.map(lambda table: table.unsqueeze(0))


def _check_vectors(vectors: Vectors, config: MarketConfig) -> None:
    if vectors.embedding_size != config.embedding_size:
        raise InterplayError(f"embedding_size={config.embedding_size}, but the vectors and a bias make "
                             f"{vectors.embedding_size}: leave it out")
    rows = (len(vectors.user_vector), len(vectors.item_vector), len(vectors.item_bias))
    if rows != (config.num_users, config.num_items, config.num_items):
        raise InterplayError(f"vectors of {rows[0]} users and {rows[1]} items, but the log has {config.num_users} and "
                             f"{config.num_items}: learn them from the same log")


def _features(values: NDArray[np.float32] | None, count: int) -> Tensor:
    return torch.zeros(count, 0) if values is None else float32(standardised(values))


def _market_vectors(vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tastes of length 1 and item vectors whose product ranks items, for each user, exactly as the model does.

    An item's bias is its last coordinate and meets a constant on the users' side, as large as a typical taste;
    a user's bias moves no ranking and is left out. So a user that was never seen ranks by bias alone, and an item that
    was never seen is the zero vector, where the model knows nothing else of them. Item vectors have one common scale,
    at which 99% of their numbers lie in [-1, 1].

    Returns:
        ``[U, D]`` and ``[I, D]``, with D one more than the model's.
    """
    typical = float(np.sqrt((vectors.user_vector**2).sum(1).mean())) or 1.0
    taste = np.column_stack([vectors.user_vector, np.full(len(vectors.user_vector), typical)])
    vector = np.column_stack([vectors.item_vector, vectors.item_bias / typical])
    scale = float(np.quantile(np.abs(vector), 0.99)) or 1.0
    return taste / np.linalg.norm(taste, axis=1, keepdims=True), vector / scale


def _appeal(log: InteractionLog, mean: float) -> NDArray[np.float64]:
    """The logit of each item's mean reward, drawn to the log's mean where rows are few: float64 ``[I]``."""
    count = np.bincount(log.item, minlength=log.num_items)
    total = np.bincount(log.item, weights=log.scaled(log.reward), minlength=log.num_items)
    rate = np.clip((total + _PRIOR_ROWS * mean) / (count + _PRIOR_ROWS), CERTAIN, 1.0 - CERTAIN)
    logit: NDArray[np.float64] = np.log(rate / (1.0 - rate))
    return logit


def segments_of(taste: NDArray[np.float64], num_segments: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Users by k-means on their tastes, int64 ``[U]``; a segment may stay empty."""
    clusters = min(num_segments, len(np.unique(taste, axis=0)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        _, segment = kmeans2(taste, clusters, minit="++", rng=rng)
    return np.asarray(segment, dtype=np.int64)


def float32(values: NDArray[Any]) -> Tensor:
    """The values as a tensor of that type."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
