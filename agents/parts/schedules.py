"""What changes as training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from interplay.envs.checking import Bounds, Checked, Fraction
from interplay.envs.types import InterplayError

Scalar = float | Tensor
"""A number, or float64 ``[]`` where it lives on the device, as it must for graphs: see ``Counting``."""


def linear(start: float, end: float, progress: Scalar) -> Scalar:
    """From ``start`` at progress 0 to ``end`` at progress 1 and after."""
    return start + (end - start) * (progress.clamp(max=1.0) if isinstance(progress, Tensor) else min(1.0, progress))


@dataclass(frozen=True, kw_only=True)
class Exploring(Checked):
    """Options of agents that explore by epsilon-greedy."""

    epsilon_start: Fraction = 1.0
    """Share of random actions at the start."""
    epsilon_end: Fraction = 0.05
    """Share of random actions from ``exploration_fraction`` on."""
    exploration_fraction: Annotated[float, Bounds(0, 1, above=True)] = 0.5
    """Part of the training over which the share falls."""

    def epsilon(self, progress: Scalar) -> Scalar:
        """Share of random actions when this part of the training is done."""
        return linear(self.epsilon_start, self.epsilon_end, progress / self.exploration_fraction)


def check_at_least_one(options: object, *names: str) -> None:
    """Raise InterplayError unless each of these options is at least 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise InterplayError(f"{name}={getattr(options, name)} must be at least 1")


def check_above_zero(options: object, *names: str) -> None:
    """Raise InterplayError unless the options of these names are above 0."""
    for name in names:
        if getattr(options, name) <= 0.0:
            raise InterplayError(f"{name}={getattr(options, name)} must be above 0")
