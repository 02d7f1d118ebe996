"""How memories fade and grow: the model FSRS-6, which the program Anki schedules its cards by.

FSRS-6 is published as "The Algorithm" in the wiki of open-spaced-repetition/fsrs4anki, by its author Ye (see Ye, Su and
Cao, "A stochastic shortest path algorithm for optimizing spaced repetition scheduling", KDD 2022). A memory has a
stability S, the days after which it is recalled with probability .9, and a difficulty D between 1 and 10.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

AGAIN, GOOD, EASY = 1, 3, 4
"""Ratings of a review: forgotten, recalled, recalled with ease; 2 is recalled with trouble."""

_LEAST_STABILITY = 0.001

DEFAULT_WEIGHTS = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483,
    0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542)
"""w_0 to w_20, the defaults of FSRS-6 as its package ``fsrs`` has them (6.3), fitted to the reviews of Anki's users."""


class Memory(NamedTuple):
    """Memories after a review.

    Attributes:
        stability: S, of any shape.
        difficulty: D, of the same shape.
    """

    stability: Tensor
    difficulty: Tensor


class FSRS:
    """The equations of FSRS-6.

    Args:
        weights: w_0 to w_20.
    """

    def __init__(self, weights: tuple[float, ...] = DEFAULT_WEIGHTS) -> None:
        self._w = weights
        self._factor = 0.9 ** (-1.0 / weights[20]) - 1.0

    def recall(self, stability: Tensor, days: Tensor) -> Tensor:
        """Probability of recall so many days after the last review."""
        return torch.pow(1.0 + self._factor * days / stability, -self._w[20])

    def first(self, rating: Tensor) -> Memory:
        """After the first review, with this rating, int64."""
        stability = torch.stack([torch.full_like(rating, w, dtype=torch.get_default_dtype()) for w in self._w[:4]])
        first = stability.gather(0, (rating - 1).unsqueeze(0)).squeeze(0)
        return Memory(first.clamp(min=_LEAST_STABILITY), self._first_difficulty(rating).clamp(1.0, 10.0))

    def review(self, memory: Memory, days: Tensor, rating: Tensor) -> Memory:
        """After another review, so many days after the last one."""
        stability, difficulty = memory
        recall = self.recall(stability, days)
        known = self._recalled(memory, recall, rating)
        later = torch.where(rating == AGAIN, self._forgotten(memory, recall), known)
        found = torch.where(days < 1.0, self._same_day(stability, rating), later)
        return Memory(found.clamp(min=_LEAST_STABILITY), self._next_difficulty(difficulty, rating))

    def _first_difficulty(self, rating: Tensor | int) -> Tensor:
        return self._w[4] + 1.0 - torch.exp(self._w[5] * (torch.as_tensor(rating) - 1.0))

    def _next_difficulty(self, difficulty: Tensor, rating: Tensor) -> Tensor:
        """It moves by the rating, less the nearer it is to 10, and a little towards that of an easy memory."""
        moved = difficulty - self._w[6] * (rating - 3.0) * (10.0 - difficulty) / 9.0
        easy = self._w[4] + 1.0 - math.exp(self._w[5] * (EASY - 1.0))
        return (self._w[7] * easy + (1.0 - self._w[7]) * moved).clamp(1.0, 10.0)

    def _recalled(self, memory: Memory, recall: Tensor, rating: Tensor) -> Tensor:
        """S grows more the smaller it is, the easier the memory, and the less likely the recall was."""
        w, (stability, difficulty) = self._w, memory
        growth = math.exp(w[8]) * (11.0 - difficulty) * stability ** -w[9] * torch.expm1(w[10] * (1.0 - recall))
        hard, easy = torch.where(rating == 2, w[15], 1.0), torch.where(rating == EASY, w[16], 1.0)
        return stability * (1.0 + growth * hard * easy)

    def _forgotten(self, memory: Memory, recall: Tensor) -> Tensor:
        w, (stability, difficulty) = self._w, memory
        left = w[11] * difficulty ** -w[12] * ((stability + 1.0) ** w[13] - 1.0) * torch.exp(w[14] * (1.0 - recall))
        return torch.minimum(left, stability / math.exp(w[17] * w[18]))

    def _same_day(self, stability: Tensor, rating: Tensor) -> Tensor:
        growth = torch.exp(self._w[17] * (rating - 3.0 + self._w[18])) * stability ** -self._w[19]
        return stability * torch.where(rating == AGAIN, growth, growth.clamp(min=1.0))
