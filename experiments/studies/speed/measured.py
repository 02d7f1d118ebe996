"""One case or peer, as it was measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

USERS, AGENTS = "user-interactions/s", "agent-steps/s"


@dataclass(frozen=True)
class Measured:
    """One case or peer with one number of threads.

    Attributes:
        name: of the case or peer.
        threads: that it was given.
        what: its sizes, in words.
        version: of its package.
        unit: of ``rates``.
        rates: of all repeats.
        peak_bytes: the most memory that its process held.
        users: of ours, users that answer a slate in a piece.
        agents: of ours, agents that take a step in a piece.
        bytes_per_agent: of a state and its observations, where that was weighed.
    """

    name: str
    threads: int
    what: str
    version: str
    unit: str
    rates: tuple[float, ...]
    peak_bytes: int
    users: int | None = None
    agents: int | None = None
    bytes_per_agent: float | None = None

    @property
    def rate(self) -> float:
        """The median, which one disturbed repeat does not move."""
        return statistics.median(self.rates)

    def per_second(self, unit: str) -> float | None:
        """The rate in this unit; None where it has none."""
        if unit == self.unit:
            return self.rate
        if self.users is None or self.agents is None:
            return None
        share = self.users / self.agents
        return self.rate * (share if unit == USERS else 1.0 / share)
