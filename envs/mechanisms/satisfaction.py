"""Content that is good now and leaves its users less satisfied: long-term satisfaction.

The environment of this name in RecSim, with its numbers: Ie et al., "RecSim: a configurable simulation platform for
recommender systems" (2019). Chocolate is clickbait, kale is the opposite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from interplay.envs.checking import Bounds, NotNegative, Positive
from interplay.envs.drawing.colours import LOW, MOOD
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.noise import normal
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import FEATURE_BOUND
from interplay.envs.world import State


@dataclass(frozen=True)
class Satisfaction(Mechanism):
    """Clickbait engages users more than other content; it makes them less satisfied, and then all engages them less.

    An item of mood effect e is clickbait to the degree q = (1 - e) / 2. With n a user's exposure to good content, which
    begins anywhere within 0.5 / (1 - memory) of 0:

    - satisfaction is s = sigmoid(sensitivity n);
    - a response to an item is worth exp(x), ``limit`` at most, with x drawn from N(s m, d), where m = q choc_mean +
      (1 - q) kale_mean and d = q choc_spread + (1 - q) kale_spread. This is the user's reward;
    - n' = memory n + e + N(0, innovation); without a response, n' = memory n + N(0, innovation).
    """

    memory: Annotated[float, Bounds(0.0, 0.999)] = 0.7
    """Part of the exposure that is left after a step."""
    sensitivity: NotNegative = 0.01
    """How much satisfaction depends on exposure."""
    innovation: NotNegative = 0.05
    """Standard deviation of the noise of exposure."""
    choc_mean: NotNegative = 5.0
    """Logarithm of what a response to pure clickbait is worth, for a satisfaction of 1."""
    choc_spread: Positive = 1.0
    """Its standard deviation."""
    kale_mean: NotNegative = 4.0
    """The same of content that is no clickbait."""
    kale_spread: Positive = 1.0
    """Its standard deviation."""
    limit: NotNegative = 100.0
    """The most that a response is worth; 0 = no limit. RecSim shows at most 100 to its agents, and rewards them without
    a limit."""

    replaces_user_reward = True

    def user_columns(self, sizes: MarketSizes) -> list[str]:
        """Exposure."""
        return ["exposure"]

    def user_tables(self, start: Start) -> dict[str, Tensor]:
        """n, float32 ``[B, U]``."""
        return {"exposure": (self.uniform(start, start.sizes.num_users) - 0.5) / (1.0 - self.memory)}

    def update(self, state: State, outcome: Outcome) -> dict[str, Tensor]:
        """n'."""
        moved = self.memory * state["exposure"] + outcome.response * outcome.taken.mood_effect
        return {"exposure": moved + self.innovation * self._noise(state)[:, 0]}

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """What responses are worth."""
        mean, spread = self._engagement(before["exposure"], outcome.taken.mood_effect)
        worth = torch.exp(mean + spread * self._noise(before)[:, 1])
        return outcome.response * (worth.clamp(max=self.limit) if self.limit > 0.0 else worth)

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """The mean of what they are worth."""
        mood_effect = state.population.of_items(items).mood_effect
        mean, spread = self._engagement(state["exposure"].unsqueeze(2), mood_effect)
        worth = torch.exp(mean + spread.square() / 2.0)
        if self.limit > 0.0:
            above = (mean - math.log(self.limit)) / spread
            worth = worth * torch.special.ndtr(-above - spread) + self.limit * torch.special.ndtr(above)
        paid = rate * worth
        return torch.cat([torch.zeros_like(paid[..., :1]), paid], dim=2)

    def see_users(self, state: State) -> Tensor:
        """As a part of the exposure of a user who never meets clickbait."""
        seen = (1.0 - self.memory) * state["exposure"]
        return seen.clamp(-FEATURE_BOUND, FEATURE_BOUND).unsqueeze(2)

    def measures(self, state: State) -> dict[str, Tensor]:
        """See ``Mechanism``."""
        return {"satisfaction": self._satisfaction(state["exposure"]).mean(1)}

    def draw(self, picture: Picture, state: State) -> None:
        """Satisfaction of users, and what clickbait items are."""
        picture.bar("users", "satisfaction", self._satisfaction(state["exposure"]), colour=MOOD)
        picture.bar("items", "clickbait", (1.0 - state.population.mood_effect) / 2.0, colour=LOW)

    def _satisfaction(self, exposure: Tensor) -> Tensor:
        return torch.sigmoid(self.sensitivity * exposure)

    def _engagement(self, exposure: Tensor, mood_effect: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the logarithm of what a response is worth."""
        clickbait = (1.0 - mood_effect) / 2.0
        mean = self.kale_mean + (self.choc_mean - self.kale_mean) * clickbait
        spread = self.kale_spread + (self.choc_spread - self.kale_spread) * clickbait
        return mean * self._satisfaction(exposure), spread

    def _noise(self, state: State) -> Tensor:
        """Standard normal draws of exposures and of what responses are worth, float32 ``[B, 2, U]``."""
        return normal(state.key, state.time, self.stream, (2, state["exposure"].shape[1]))
