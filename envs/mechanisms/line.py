"""Creators choose where on a line their content stands, and each user takes the nearest: item actions are positions.

Hotelling, "Stability in competition", Economic Journal 1929; equilibria for any number: Eaton and Lipsey, "The
principle of minimum differentiation reconsidered", Review of Economic Studies 1975.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds
from interplay.envs.drawing.colours import BUDGET
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import combination
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.given import inequality
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State


@dataclass(frozen=True)
class Line(Mechanism):
    """Users' tastes lie evenly on [0, 1]. A creator earns the share of users that are nearest to its position.

    Creators at one position share its users. Positions hold in the step in which they are chosen; an item that rests
    stays where it is. Users are many, so actions of single users change nothing: each earns 1 less the mean distance
    of all users to what they take.
    """

    num_positions: Annotated[int, Bounds(2)] = 13
    """Positions that creators can choose, evenly from 0 to 1."""

    replaces_user_reward = True

    @property
    def positions(self) -> tuple[float, ...]:
        """All of them."""
        return tuple(place / (self.num_positions - 1) for place in range(self.num_positions))

    @property
    def item_actions(self) -> Levels:
        """The positions."""
        return Levels(self.positions)

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("position", "distance to the next below", "distance to the next above")

    def num_item_states(self, sizes: MarketSizes) -> int:
        """All combinations of positions."""
        count: int = self.num_positions ** sizes.num_items
        return count

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Numbers of positions, of which any are as likely at first."""
        return {"place": self.integers(start, self.num_positions, start.sizes.num_items)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        return {"place": outcome.chosen_number(self, keep=state["place"])}

    def position(self, state: State) -> Tensor:
        """Float32 ``[B, I]``."""
        return state["place"] / float(self.num_positions - 1)

    def bounds(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Between which points users are nearest to each position, two times float32 ``[B, I]``."""
        below, above = _neighbours(position)
        low = torch.where(below >= 0.0, (below + position) / 2.0, 0.0)
        return low, torch.where(above <= 1.0, (position + above) / 2.0, 1.0)

    def shares(self, position: Tensor) -> Tensor:
        """Share of users that each creator has, float32 ``[B, I]``."""
        low, high = self.bounds(position)
        return (high - low) / (position.unsqueeze(2) == position.unsqueeze(1)).sum(2)

    def distance(self, position: Tensor) -> Tensor:
        """Mean distance of users to the nearest creator, float32 ``[B]``."""
        low, high = self.bounds(position)
        own = ((position - low).square() + (high - position).square()) / 2.0
        return (own / (position.unsqueeze(2) == position.unsqueeze(1)).sum(2)).sum(1)

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """How near users are to what they take."""
        return (1.0 - self.distance(self.position(after))).unsqueeze(1).expand(before.active.shape)

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Shares of users."""
        return self.shares(self.position(after))

    def see_items(self, state: State) -> Tensor:
        """Own position and where the next creators are; 1 where there is none."""
        position = self.position(state)
        below, above = _neighbours(position)
        return torch.stack([position, (position - below).clamp(max=1.0), (above - position).clamp(max=1.0)], dim=2)

    def item_state(self, state: State) -> Tensor:
        """The combination of positions; the first item is the lowest digit."""
        return combination(state["place"], self.num_positions).expand(state.alive.shape)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        position = self.position(state)
        share, pairs = self.shares(position), max(1, position.shape[1] * (position.shape[1] - 1))
        apart = (position.unsqueeze(2) - position.unsqueeze(1)).abs().sum((1, 2)) / pairs
        return {"distance of users": self.distance(position), "distance between creators": apart,
                "exposure inequality": inequality(share)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("items", "position", self.position(state), colour=BUDGET)


def _neighbours(position: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest other positions below and above, float32 ``[B, I]``; -1 and 2 where there is none."""
    own, other = position.unsqueeze(2), position.unsqueeze(1)
    below = other.masked_fill(other >= own, -1.0).amax(2)
    return below, other.masked_fill(other <= own, 2.0).amin(2)
