"""Funds that pay less the more money they manage, and may charge a fee.

Berk and Green, "Mutual fund flows and performance in rational markets", Journal of Political Economy 2004, with their
costs linear in size; without fees, Pigou's example of two roads (Roughgarden and Tardos, "How bad is selfish
routing?", Journal of the ACM 2002).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import NotEmpty, NotNegative
from interplay.envs.drawing.colours import BOOST, BUDGET, HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import combination, one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State


@dataclass(frozen=True)
class Crowding(Mechanism):
    """Fund j returns ``phi_j - a_j q_j - f_j`` to each of its investors, where q_j is its share of all users.

    A user that takes item j invests in fund j for one step; a skip earns nothing. The fund earns ``f_j q_j``.
    Fees that items choose are charged from the next step on, so that investors see them before.
    """

    gross: tuple[float, ...] = (1.0,)
    """phi_j of each fund; one number is that of all."""
    crowding: tuple[NotNegative, ...] = (1.0,)
    """a_j of each fund, what its return loses from no investor to all; one number is that of all."""
    fees: Annotated[tuple[NotNegative, ...], NotEmpty()] = (0.0,)
    """Fees that funds may charge, in rising order, if there is more than one; they begin with the first."""

    replaces_user_reward = True

    @property
    def item_actions(self) -> Levels | None:
        """See ``Mechanism.item_actions``."""
        return Levels(self.fees) if len(self.fees) > 1 else None

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("fee", "share of users in the last step", "net return in the last step")

    def num_user_states(self, sizes: MarketSizes) -> int:
        """All combinations of fees."""
        count: int = len(self.fees) ** sizes.num_items
        return count

    def num_item_states(self, sizes: MarketSizes) -> int:
        """All combinations of fees."""
        return self.num_user_states(sizes)

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Returns of each fund, the fee of the next step, and the share and the net return of the last step.

        Before the first step users do anything: each is in any fund or in none, as likely.
        """
        gross = start.of_items("crowding.gross", self.gross)
        crowding = start.of_items("crowding.crowding", self.crowding)
        fee, count = start.full_items(self.fees[0]), start.sizes.num_items
        choice = self.integers(start, count + 1, start.sizes.num_users)
        share = one_hot(choice, count + 1).mean(1)[:, 1:]
        return {"gross": gross, "crowding": crowding, "fee_level": torch.zeros_like(fee), "fee": fee,
                "invested": share, "net_return": gross - crowding * share - fee}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        takes = one_hot(outcome.item, state.alive.shape[1]) * (outcome.position > 0).unsqueeze(2)
        share = takes.sum(1) / takes.shape[1]
        after = {"invested": share, "net_return": state["gross"] - state["crowding"] * share - state["fee"]}
        if self.item_actions is None:
            return after
        return after | {"fee": outcome.chosen_level(self, keep=state["fee"]),
                        "fee_level": outcome.chosen_number(self, keep=state["fee_level"])}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """The net return of the user's fund."""
        return after.of_items("net_return", outcome.item) * (outcome.position > 0)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Fees."""
        return before["fee"] * after["invested"]

    def see_items(self, state: State) -> Tensor:
        """The fee that investors of the next step are charged, and how the fund did in the last."""
        seen = torch.stack([state["fee"], state["invested"], state["net_return"]], dim=2)
        return seen.clamp(-FEATURE_BOUND, FEATURE_BOUND)

    def user_state(self, state: State) -> Tensor:
        """The combination of fees."""
        return self._fees(state).expand(state.active.shape)

    def item_state(self, state: State) -> Tensor:
        """The combination of fees."""
        return self._fees(state).expand(state.alive.shape)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        return {"share of users who invest": state["invested"].sum(1), "mean fee": state["fee"].mean(1),
                "net return of a user": (state["invested"] * state["net_return"]).sum(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        best = max(self.gross)
        picture.bar("items", "investors", state["invested"], colour=BUDGET)
        picture.bar("items", "net return", state["net_return"], low=-best, high=best, colour=HIGH)
        if self.item_actions is not None:
            picture.bar("items", "fee", state["fee"], high=max(self.fees), colour=BOOST)

    def _fees(self, state: State) -> Tensor:
        """The number of the combination of fees, int64 ``[B, 1]``; the first fund is the lowest digit."""
        return combination(state["fee_level"].long(), len(self.fees))
