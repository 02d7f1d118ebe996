"""What a step of a town moves in memory, and nothing else: the time below which no implementation can come."""

from __future__ import annotations

import torch

from interplay.envs.market import Market
from interplay.envs.types import SIDES
from interplay.envs.world import State


class Roofline:
    """Gathers rows of the slates' items, writes observations of their real sizes, scatters responses.

    Only what depends on what users are shown is done: no scores, no noise, no slates, no states. Indices are
    those of the state's own slates.

    Args:
        market: gives the sizes.
        state: gives the slates.
    """

    def __init__(self, market: Market, state: State) -> None:
        config, slate = market.config, state.slate
        self._rows = state.population.item_rows[0]
        self._shown = slate.items[0].flatten()
        self._taken = slate.items[0, :, 0]
        self._response = torch.ones(config.num_users)
        seen = {side: market.observe(state, side) for side in SIDES}
        self._source = [x.clone() for record in seen.values() for x in (record.own, record.mask)]
        self._source.append(seen["items"].options.clone())
        self._users = [state.user_vector.clone(), state["satiation"].clone(), state["mood"].clone()]
        self._clicks = torch.zeros(config.num_items)

    def play(self) -> None:
        """One step's worth: observations are new tensors, as they are in the market."""
        self._rows.index_select(0, self._shown)
        self._rows.index_select(0, self._taken)
        self.copy()

    def copy(self) -> None:
        """What depends on no slate."""
        for tensor in (*self._source, *self._users):
            torch.empty_like(tensor).copy_(tensor)
        self._clicks.scatter_add(0, self._taken, self._response)
