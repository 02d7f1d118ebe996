"""Satiation: users get tired of the topics that they respond to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from interplay.envs.checking import Fraction, NotNegative, Positive
from interplay.envs.drawing.colours import SATIATION
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import num_whole
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.sizes import MarketSizes
from interplay.envs.world import State

_MOST_TOPICS = 2  # with a bar each


@dataclass(frozen=True)
class Satiation(Mechanism):
    """Users get tired of the topics that they respond to.

    ``s_u <- decay s_u + gain y g_j - recovery``, in [0, max]; it lowers the logit by ``weight <s_u, g_j>``.
    """

    weight: NotNegative = 0.0
    """lambda, how much satiation with an item's topics lowers the response."""
    decay: Fraction = 1.0
    """delta_s, the part of satiation that is left after a step."""
    gain: NotNegative = 0.0
    """alpha, satiation from one response."""
    recovery: NotNegative = 0.0
    """rho_s, satiation lost in each step."""
    max: Positive = 4.0
    """S, the largest satiation with a topic."""

    @property
    def is_idle(self) -> bool:
        """See ``Mechanism.is_idle``."""
        return self.weight == 0.0

    def shift(self, state: State, items: Tensor) -> Tensor:
        """Less for topics that the user is tired of."""
        topics = state.population.of_items(items).topics
        return -(self.weight * (state["satiation"].unsqueeze(2) * topics).sum(-1))

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """s_u, float32 ``[B, U, G]`` in [0, S]."""
        return {"satiation": start.full_users(0.0, start.sizes.num_topics)}

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """One for each topic."""
        return [f"satiation_{g}" for g in range(sizes.num_topics)]

    def see_users(self, state: State) -> Tensor:
        """As a part of the largest."""
        return state["satiation"] / self.max

    def digit_sizes(self, sizes: MarketSizes) -> Sequence[int]:
        """See ``exact_states``."""
        return [num_whole(1.0, self.max)] * sizes.num_topics

    def digits(self, state: State) -> Tensor:
        """Satiation with each topic in whole numbers, float32 ``[B, U, G]``."""
        return state["satiation"]

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        satiation = self.decay * state["satiation"] + self.gain * outcome.response.unsqueeze(2) * outcome.taken.topics
        return {"satiation": (satiation - self.recovery).clamp(0.0, self.max)}

    def draw(self, picture: Picture, state: State) -> None:
        """A bar for each topic, if there are few, or for their mean."""
        if self.is_idle:
            return
        each = state["satiation"]
        topics = each.unbind(2) if each.shape[2] <= _MOST_TOPICS else [each.mean(2)]
        for number, values in enumerate(topics):
            name = "satiation" if len(topics) == 1 else f"satiation {number}"
            picture.bar("users", name, values, high=self.max, colour=SATIATION)
