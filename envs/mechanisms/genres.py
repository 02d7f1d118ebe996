"""Creators choose how good their content is for each group of users: item actions are vectors.

Jagadeesan, Garg and Steinhardt, "Supply-side equilibria in recommender systems", NeurIPS 2023, with groups of users
whose tastes have nothing in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, NotNegative, Positive
from interplay.envs.drawing.colours import BUDGET
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import one_hot
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.given import inequality
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND, TOLERANCE
from interplay.envs.world import State


class Content(NamedTuple):
    """What creators offer: ``serves [B, I, G]`` is 1 for the groups that it is for, ``quality`` and ``bait [B, I]``."""

    serves: Tensor
    quality: Tensor
    bait: Tensor

    @property
    def vector(self) -> Tensor:
        """Worth to each group, float32 ``[B, I, G]``, of length ``quality``."""
        return self.serves * (self.quality / self.serves.sum(2).sqrt()).unsqueeze(2)


@dataclass(frozen=True)
class Genres(Mechanism):
    """Content is a vector v with a number for each of G groups; user u is of group u mod G, and takes the largest.

    A creator chooses which groups its content is for, all alike, and its quality, which is the length of v. It earns
    one for each user that takes its content, less ``quality ** cost_power``. Creators that are level share users. With
    a ``bait``, content may also promise that much more than it is worth, at no cost.

    Content holds in the step in which it is chosen; an item that rests keeps its own, and pays for it. Creators see
    their own content and success alone. Users are worth what they take, and their actions change nothing.
    """

    num_groups: Annotated[int, Bounds(1, 8)] = 2
    """G."""
    cost_power: Positive = 8.0
    """Above 2, content for one group at a time is cheaper than content for all."""
    highest: Positive = 1.0
    """The highest quality."""
    num_qualities: Annotated[int, Bounds(1)] = 12
    """Qualities that creators can choose, evenly from the highest down, without 0."""
    bait: NotNegative = 0.0
    """How much more than it is worth content can promise; 0 = creators have no such choice."""

    replaces_user_reward = True

    @property
    def num_contents(self) -> int:
        """What a creator can choose from."""
        return self._num_genres * self.num_qualities * (2 if self.bait > 0.0 else 1)

    @property
    def _num_genres(self) -> int:
        """Sets of groups that content may be for."""
        return (1 << self.num_groups) - 1

    @property
    def item_actions(self) -> Levels:
        """Numbers of contents: the quality varies first, then the groups, as the bits of a number, then the bait."""
        return Levels(tuple(float(number) for number in range(self.num_contents)))

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("quality", "bait", "share of users in the last step",
                *(f"serves group {group}" for group in range(self.num_groups)))

    def num_item_states(self, sizes: MarketSizes) -> int:
        """Own contents."""
        return self.num_contents

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Numbers of contents, of which any are as likely at first."""
        return {"content": self.integers(start, self.num_contents, start.sizes.num_items)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        return {"content": outcome.chosen_number(self, keep=state["content"])}

    def offered(self, state: State) -> Content:
        """What the numbers mean."""
        number, groups = state["content"], torch.arange(self.num_groups, device=state["content"].device)
        level, rest = number % self.num_qualities, number // self.num_qualities
        subset, baited = rest % self._num_genres + 1, rest // self._num_genres
        serves = (subset.unsqueeze(2) >> groups) & 1
        return Content(serves.float(), (level + 1) * (self.highest / self.num_qualities), baited * self.bait)

    def shares(self, content: Content) -> Tensor:
        """The part of each group that takes a creator's content, float32 ``[B, I, G]``."""
        promised = content.vector + content.bait.unsqueeze(2)
        best = promised >= promised.amax(1, keepdim=True) - TOLERANCE
        return best / best.sum(1, keepdim=True)

    def sizes_of_groups(self, state: State) -> Tensor:
        """Users of each group, int64 ``[G]``."""
        group = torch.arange(self.num_groups, device=state.active.device)
        return (state.active.shape[1] - group + self.num_groups - 1) // self.num_groups

    def _taken(self, state: State, content: Content) -> Tensor:
        """The part of all users that are of a group and take a creator's content, float32 ``[B, I, G]``."""
        return self.shares(content) * self.sizes_of_groups(state) / state.active.shape[1]

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """What the user's group takes is worth."""
        content, users = self.offered(after), before.active.shape[1]
        worth = (self.shares(content) * content.vector).sum(1)
        return worth[:, torch.arange(users, device=worth.device) % self.num_groups]

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Users less cost."""
        content = self.offered(after)
        taken = self._taken(after, content).sum(2) * after.active.shape[1]
        return taken - content.quality**self.cost_power

    def see_items(self, state: State) -> Tensor:
        """Own content and its success."""
        content = self.offered(state)
        own = torch.stack([content.quality, content.bait, self._taken(state, content).sum(2)], dim=2)
        return torch.cat([own, content.serves], dim=2).clamp(max=FEATURE_BOUND)

    def item_state(self, state: State) -> Tensor:
        """The number of its content."""
        return state["content"]

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """Of content that is taken: how many genres there are, and how few groups it serves. Of all: the rest."""
        content = self.offered(state)
        taken = self._taken(state, content)
        served, each = content.serves.sum(2), taken.sum(2)
        vector = content.vector / content.quality.unsqueeze(2)
        alike, pairs = (vector @ vector.transpose(1, 2)).sum((1, 2)), each.shape[1] * (each.shape[1] - 1)
        return {"genres": self._genres(state, each), "specialisation": (each * self._special(served)).sum(1),
                "similarity of creators": (alike - each.shape[1]) / max(1, pairs), "quality": content.quality.mean(1),
                "share of bait": (each * (content.bait > 0.0)).sum(1),
                "worth to a user": (taken * content.vector).sum((1, 2)), "exposure inequality": inequality(each)}

    def _genres(self, state: State, each: Tensor) -> Tensor:
        """Sets of groups that content is for which someone takes, float32 ``[B]``."""
        subset = state["content"] // self.num_qualities % self._num_genres
        taken = one_hot(subset, self._num_genres) * (each > 0.0).unsqueeze(2)
        return taken.amax(1).sum(1)

    def _special(self, served: Tensor) -> Tensor:
        """1 = for one group, 0 = for all."""
        return (self.num_groups - served) / max(1, self.num_groups - 1)

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("items", "quality", self.offered(state).quality, high=self.highest, colour=BUDGET)
