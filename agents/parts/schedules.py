"""What changes as training goes on."""

from __future__ import annotations

from dataclasses import dataclass

from interplay.envs.types import InterplayError


def linear(start: float, end: float, progress: float) -> float:
    """From ``start`` at progress 0 to ``end`` at progress 1 and after."""
    return start + (end - start) * min(1.0, progress)


@dataclass(frozen=True)
class Exploring:
    """Options of agents that explore by epsilon-greedy."""

    epsilon_start: float = 1.0
    """Share of random actions at the start."""
    epsilon_end: float = 0.05
    """Share of random actions from ``exploration_fraction`` on."""
    exploration_fraction: float = 0.5
    """Part of the training over which the share falls."""

    def __post_init__(self) -> None:
        for name in ("epsilon_start", "epsilon_end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InterplayError(f"{name}={getattr(self, name)} must lie between 0 and 1")
        if not 0.0 < self.exploration_fraction <= 1.0:
            raise InterplayError(f"exploration_fraction={self.exploration_fraction} must lie above 0 and at most at 1")

    def epsilon(self, progress: float) -> float:
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
