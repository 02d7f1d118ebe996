"""Visits: users come for sessions of some steps, stay away in between, and do so for as long as their activity lasts.

A log says how many rows a user has in all, and when sessions end; ``interplay fit`` makes these parameters of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Self

import torch
from torch import Tensor

from interplay.envs.checking import Fraction, NotEmpty, NotNegative, Positive
from interplay.envs.drawing.picture import Picture
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.world import State

AT_LOWEST = 2.0
"""Log-odds to end a session at the lowest mood."""


@dataclass(frozen=True)
class Visits(Mechanism):
    """Each user is present for a number of steps in all, in sessions that end at random, with time away in between.

    User k of U lasts for as many steps as the (k + a draw from [0, 1]) / U quantile of ``steps`` says, so that users
    with higher numbers are more active. It alone decides which users are present: of a mood at its lowest, users leave
    by ``mood_slope`` and not by ``mood.leaving``.
    """

    steps: Annotated[tuple[Positive, ...], NotEmpty()] = (10.0, 40.0)
    """How many steps users are present in all: values at evenly spaced quantiles, ascending."""
    hazard: Annotated[tuple[Fraction, ...], NotEmpty()] = (0.1,)
    """Probability that a session ends after a step. The first value is for the first step of a session; the next
    ones are for steps 2, 3 to 4, 5 to 8 and so on, and the last one for all that follow."""
    return_rate: Fraction = 0.5
    """Probability that an absent user whose steps are not used up comes back in a step."""
    mood_slope: NotNegative = 0.0
    """How sharply users leave near their lowest mood; 0 = their mood makes no difference."""
    lowest_mood: Positive = 4.0
    """A session also ends with probability sigmoid(2 - mood_slope (mood + lowest_mood)) after a step."""

    @property
    def users_return(self) -> bool:
        """Whether users who have left may come back."""
        return self.return_rate > 0.0

    def without_return(self) -> Self:
        """See ``Mechanism.without_return``."""
        return replace(self, return_rate=0.0)

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Steps that each user has left, and steps of its present session: float32 ``[B, U]``."""
        users, values = start.sizes.num_users, len(self.steps)
        rank = torch.arange(users, device=start.key.device) + self.uniform(start, users)
        place = (rank * (values / users)).long().clamp(max=values - 1)
        left = torch.zeros_like(rank)
        for number, value in enumerate(self.steps):  # no copy from the host, so that a GPU can replay it
            left = torch.where(place == number, value, left)
        # A fraction of a step is a step with that probability.
        left = torch.floor(left + self.uniform(start, users, offset=users)).clamp(min=1.0)
        return {"left": left, "stay": torch.zeros_like(left)}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Counts the step, and decides which users are present in the next one."""
        here, users = state.active, state.active.shape[1]
        left, stay = state["left"] - here.to(torch.float32), torch.where(here, state["stay"] + 1.0, 0.0)
        ends = self.uniform(state, users) < self._hazard_at(stay)
        back = self.uniform(state, users, offset=users) < self.return_rate
        active = torch.where(here, ~ends, back) & (left > 0.5)
        return {"left": left, "stay": stay, "active": active}

    def leaves(self, state: State) -> Tensor:
        """Users whose mood is near its lowest."""
        if self.mood_slope == 0.0:
            return torch.zeros_like(state.active)
        users = state.active.shape[1]
        chance = torch.sigmoid(AT_LOWEST - self.mood_slope * (state["mood"] + self.lowest_mood))
        return state.active & (self.uniform(state, users, offset=2 * users) < chance)

    def _hazard_at(self, stay: Tensor) -> Tensor:
        """The hazard after so many steps of a session."""
        found = torch.full_like(stay, self.hazard[0])
        for number, value in enumerate(self.hazard[1:]):
            found = torch.where(stay > 2.0**number, value, found)
        return found

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        picture.bar("users", "steps left", state["left"], high=self.steps[-1] + 1.0)
