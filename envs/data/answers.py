"""What a log answers for pairs of users and items, as tensors that a market reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interplay.envs.data.factors import Factors
from interplay.envs.data.population import float32
from interplay.envs.population import Population


class AnswerTables(NamedTuple):
    """The answers of a log on one device.

    Attributes:
        population: one world's population, a leading axis of 1.
        key: int64 ``[P]``, ``user * I + item`` of the pairs that have an answer, ascending.
        answer: float32 ``[P]``, their mean rewards in [0, 1].
        user_factor, item_factor: float32 ``[F, U, D + 1]`` and ``[F, I, D + 1]``; a pair's product is the model's
            guess, that of fold ``(user + item) % F`` where there are several models.
        weight: float32 ``[P]``, of the pairs in targets of learning; ones where those do not ask for weights.
        skip_weight: float32 ``[]``, the weight of a skip, whose reward is always known.
    """

    population: Population
    key: Tensor
    answer: Tensor
    user_factor: Tensor
    item_factor: Tensor
    weight: Tensor
    skip_weight: Tensor

    def to(self, device: torch.device) -> AnswerTables:
        """The same on ``device``."""
        population = self.population.map(lambda table: table.to(device))
        return AnswerTables(population, *(table.to(device) for table in self[1:]))

    def look_up(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Which pairs of users and ``items [B, U, K]`` have an answer, and their places (any, where not).

        Returns:
            Bool and int64 ``[B, U, K]``.
        """
        wanted = (self._users(items) * self.item_factor.shape[1] + items).contiguous()
        place = torch.searchsorted(self.key, wanted).clamp(max=self.key.shape[0] - 1)
        return self.key[place] == wanted, place

    def guess(self, items: Tensor) -> Tensor:
        """The model's rewards, float32 ``[B, U, K]`` in [0, 1]."""
        user = self._users(items)
        fold = (user + items) % len(self.user_factor)
        return (self.user_factor[fold, user] * self.item_factor[fold, items]).sum(-1).clamp(0.0, 1.0)

    def _users(self, items: Tensor) -> Tensor:
        return torch.arange(self.user_factor.shape[1], device=items.device).unsqueeze(1)


def factor_tables(models: Sequence[Factors]) -> tuple[Tensor, Tensor]:
    """``AnswerTables.user_factor`` and ``item_factor``: biases become coordinates that meet a 1 on the other side."""
    users, items = zip(*map(_as_product, models), strict=True)
    return torch.stack(users), torch.stack(items)


def _as_product(factors: Factors) -> tuple[Tensor, Tensor]:
    user_bias, item_bias = factors.mean + factors.user_bias, factors.item_bias
    user = np.column_stack([factors.user_vector, user_bias, np.ones_like(user_bias)])
    item = np.column_stack([factors.item_vector, np.ones_like(item_bias), item_bias])
    return float32(user), float32(item)
