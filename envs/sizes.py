"""The sizes of a market: what all its parts must agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from interplay.envs.checking import Bounds, Checked

_MOST = 2**31 - 1  # numbers of users, items and steps are hashed as 32-bit integers

Size = Annotated[int, Bounds(1), Bounds(high=_MOST)]
Length = Annotated[int, Bounds(0), Bounds(high=_MOST)]


@dataclass(frozen=True)
class MarketSizes(Checked):
    """How many there are of each kind."""

    num_users: Size = 64
    """U, users in a world."""
    num_items: Size = 32
    """I, items in a world."""
    slate_size: Size = 4
    """K, slots of a slate."""
    embedding_size: Size = 8
    """D, size of the vectors of users and items."""
    num_topics: Size = 4
    """G, topics that users get tired of."""
    num_segments: Size = 4
    """C, segments of users that items can target."""
    num_user_features: Length = 0
    """Fu, features of users that the behaviour gives, such as age."""
    num_item_features: Length = 0
    """Fi, features of items, such as price."""
    horizon: Size = 50
    """T, steps of an episode."""
