"""Opinions that friends and content move.

Friedkin and Johnsen, "Social influence and opinions", Journal of Mathematical Sociology 1990; with a ``confidence``
below 2, friends count only if they are near, as in Hegselmann and Krause, "Opinion dynamics and bounded confidence",
JASSS 2002. What a user takes pulls, too, as in Rossi, Polderman and Frasca, "The closed loop between opinion formation
and personalized recommendations", IEEE Transactions on Control of Network Systems 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, Fraction, NotNegative
from interplay.envs.drawing.colours import HIGH
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import gather_rows
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import TOLERANCE, InterplayError
from interplay.envs.world import State


@dataclass(frozen=True)
class Opinions(Mechanism):
    """``x_u <- (1 - a_u) x0_u + a_u ((1 - e) mean of friends' x + e v_j)``, with e = 0 for a user who takes nothing.

    Opinions x lie in [-1, 1] and begin at x0_u, which is drawn, as are a user's friends and its susceptibility a_u. The
    stance v_j of item j is evenly between -1 for the first item and 1 for the last. Users respond to near stances more.
    """

    num_friends: Annotated[int, Bounds(1)] = 4
    """Friends of each user; a friendship need not be mutual, and one friend may count twice."""
    least_susceptible: Fraction = 0.5
    """The lowest susceptibility."""
    most_susceptible: Fraction = 0.9
    """The highest."""
    exposure: Fraction = 0.3
    """e, weight of what a user takes against that of friends."""
    confidence: Annotated[float, Bounds(0, 2, above=True)] = 2.0
    """A friend whose opinion is further away counts as if it shared the user's own; 2 = all count."""
    closeness: NotNegative = 2.0
    """What a response's logit loses from an opinion to a stance at a distance of 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_susceptible > self.most_susceptible:
            raise InterplayError(f"least_susceptible={self.least_susceptible} is above most_susceptible="
                                 f"{self.most_susceptible}: lower it")

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.user_columns``."""
        return ("opinion", "mean opinion of friends")

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.item_columns``."""
        return ("stance",)

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Opinions, what they began as, susceptibilities, friends, and what these think."""
        users, first = start.sizes.num_users, 2
        drawn = self.uniform(start, users, first + self.num_friends)
        innate = 2.0 * drawn[..., 0] - 1.0
        friends = (drawn[..., first:] * users).long().clamp(max=users - 1)
        susceptible = self.least_susceptible + (self.most_susceptible - self.least_susceptible) * drawn[..., 1]
        return {"opinion": innate, "innate": innate, "susceptible": susceptible, "friends": friends,
                "heard": self._heard(innate, friends)}

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Stances."""
        none = start.full_items(0.0)
        place = torch.arange(none.shape[1], device=none.device) * (2.0 / max(1, none.shape[1] - 1)) - 1.0
        return {"stance": none + place}

    def _heard(self, opinion: Tensor, friends: Tensor) -> Tensor:
        """Mean opinion of friends, those too far away as one's own."""
        theirs, own = gather_rows(opinion, friends), opinion.unsqueeze(2)
        near = (theirs - own).abs() <= self.confidence
        return torch.where(near, theirs, own).mean(2)

    def shift(self, state: State, items: Tensor) -> Tensor:
        """Less for a stance that is further away."""
        return -self.closeness * (state.of_items("stance", items) - state["opinion"].unsqueeze(2)).abs()

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        weight = self.exposure * (outcome.position > 0)
        influence = (1.0 - weight) * state["heard"] + weight * state.of_items("stance", outcome.item)
        opinion = state["innate"] + state["susceptible"] * (influence - state["innate"])
        return {"opinion": opinion, "heard": self._heard(opinion, state["friends"])}

    def see_users(self, state: State) -> Tensor:
        """Own opinion and that of friends."""
        return torch.stack([state["opinion"], state["heard"]], dim=2)

    def see_items(self, state: State) -> Tensor:
        """Stances."""
        return state["stance"].unsqueeze(2)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """Variance of opinions, what part of it at the start is lost, their mean, and how far friends are apart."""
        opinion = state["opinion"]
        spread, first = (each.var(1, correction=0) for each in (opinion, state["innate"]))
        return {"polarisation": spread, "homogenisation": 1.0 - spread / first.clamp(min=TOLERANCE),
                "mean opinion": opinion.mean(1), "disagreement of friends": (opinion - state["heard"]).abs().mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("users", "opinion", state["opinion"], low=-1.0, colour=HIGH)
        picture.bar("items", "stance", state["stance"], low=-1.0, colour=HIGH)
