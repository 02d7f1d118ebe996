"""Drift: tastes move towards what users respond to, and by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from interplay.envs.checking import Fraction, NotNegative
from interplay.envs.mechanisms.base import Mechanism, Outcome
from interplay.envs.noise import Stream, normal
from interplay.envs.vectors import normalise
from interplay.envs.world import State


@dataclass(frozen=True)
class Drift(Mechanism):
    """Tastes move towards what users respond to, and by chance.

    ``p_u <- (1 - rate y) p_u + rate y v_j + noise``, scaled to length 1.
    """

    rate: Fraction = 0.0
    """mu, how far a response pulls the user's taste towards the item."""
    noise: NotNegative = 0.0
    """Standard deviation of the noise added to each coordinate of a taste in each step."""

    @property
    def carries_over(self) -> bool:
        """Noise moves tastes, but not by what users do."""
        return self.rate > 0.0

    @property
    def is_idle(self) -> bool:
        """See ``Mechanism.is_idle``."""
        return self.rate == self.noise == 0.0

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """See ``Mechanism.update``."""
        if self.is_idle:
            return {}
        pull = self.rate * outcome.response.unsqueeze(2)
        taste = (1.0 - pull) * state.user_vector + pull * outcome.taken.vector
        if self.noise > 0.0:
            taste = taste + self.noise * normal(state.key, state.time, Stream.DRIFT, taste.shape[1:])
        return {"user_vector": normalise(taste)}
