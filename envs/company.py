"""All agents of a market except the user who gets recommendations."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.checking import check_arguments
from interplay.envs.market import Market
from interplay.envs.masks import item_mask
from interplay.envs.noise import Stream, any_of
from interplay.envs.world import State, Step

Others = Literal["random", "first"]
Items = Literal["rest", "random"]


class Company:
    """What all agents do except the first user of each world, which gets recommendations.

    Args:
        market: the core.
        num_worlds: of a batch.
        others: see ``RecommendEnv``.
        items: see ``RecommendEnv``.
    """

    def __init__(self, market: Market, num_worlds: int, others: Others, items: Items) -> None:
        check_arguments(Company.__init__, others=others, items=items)
        self._market, self._first, self._rests = market, others == "first", items == "rest"
        self._rest = np.zeros((num_worlds, market.config.num_items), np.int64)

    def play(self, state: State, mask: NDArray[np.bool_], given: NDArray[np.int64]) -> tuple[State, Step]:
        """A step in which the first users do what is ``given``, int64 ``[B]``; ``mask`` is what all users may do."""
        return self._market.advance(state, *self.actions(state, mask, given))

    def actions(self, state: State, mask: NDArray[np.bool_],
                given: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What users and items do, int64 ``[B, U]`` and ``[B, I]``."""
        users = self._users(state, mask)
        users[:, 0] = given
        return users, self._items(state, mask)

    def _users(self, state: State, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """What users do by their rule, the first of them, too."""
        if self._first or mask.shape[1] == 1:
            return mask[:, :, 1].astype(np.int64)
        return self._any_of(state, torch.from_numpy(mask).to(self._market.device), 0)

    def _items(self, state: State, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """What items do by their rule; their draws come after those of users."""
        if self._rests:
            return self._rest
        return self._any_of(state, item_mask(self._market.constants, state), mask[0].size)

    @staticmethod
    def _any_of(state: State, mask: Tensor, first: int) -> NDArray[np.int64]:
        drawn: NDArray[np.int64] = any_of(state.key, state.time, Stream.ACTION, mask, first).cpu().numpy()
        return drawn
