"""Mood: items lift or spoil it, it moves every response, and users whose mood is at its lowest leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from interplay.envs.checking import Fraction, NotNegative, Positive
from interplay.envs.drawing.colours import MOOD
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import num_whole
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.noise import Stream, uniform
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import TOLERANCE
from interplay.envs.world import State


@dataclass(frozen=True)
class Mood(Mechanism):
    """Items lift or spoil users' mood, which moves every response; users whose mood is at its lowest may leave.

    ``h_u <- decay h_u + y n_j``, in [-max, max]; it raises the logit by ``weight h_u``.
    """

    weight: NotNegative = 0.0
    """kappa, how much mood raises the response."""
    decay: Fraction = 1.0
    """delta_h, the part of mood that is left after a step."""
    max: Positive = 4.0
    """H: mood lies in [-H, H]."""
    leaving: bool = False
    """Users whose mood reaches -H leave."""
    return_rate: Fraction = 0.0
    """Probability that a user who has left comes back in a step, in a neutral mood."""

    @property
    def is_idle(self) -> bool:
        """See ``Mechanism.is_idle``."""
        return self.weight == 0.0 and not self.leaving

    @property
    def users_return(self) -> bool:
        """Whether users who have left may come back."""
        return self.leaving and self.return_rate > 0.0

    def without_return(self) -> Self:
        """See ``Mechanism.without_return``."""
        return replace(self, return_rate=0.0)

    def shift(self, state: State, items: Tensor) -> Tensor:
        """More in a good mood."""
        return (self.weight * state["mood"]).unsqueeze(2).expand(items.shape)

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """h_u, float32 ``[B, U]`` in [-H, H]."""
        return {"mood": start.full_users(0.0)}

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """See ``Mechanism.user_columns``."""
        return ("mood",)

    def see_users(self, state: State) -> Tensor:
        """As a part of the largest."""
        return (state["mood"] / self.max).unsqueeze(2)

    def digit_sizes(self, sizes: MarketSizes) -> Sequence[int]:
        """See ``exact_states``."""
        return (num_whole(2.0, self.max),)

    def digits(self, state: State) -> Tensor:
        """The mood in whole numbers, float32 ``[B, U, 1]``."""
        return (state["mood"] + self.max).unsqueeze(2)

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Moods, and which users are there, if they may leave."""
        mood = self.decay * state["mood"] + outcome.response * outcome.taken.mood_effect
        mood = mood.clamp(-self.max, self.max)
        if not self.leaving:
            return {"mood": mood}
        returns = uniform(state.key, state.time, Stream.RETURN, mood.shape[1:]) < self.return_rate
        mood = mood.masked_fill(returns & ~state.active, 0.0)
        return {"mood": mood, "active": torch.where(state.active, mood > TOLERANCE - self.max, returns)}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        if not self.is_idle:
            picture.bar("users", "mood", state["mood"], low=-self.max, high=self.max, colour=MOOD)
