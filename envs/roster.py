"""The agents of one world by name: their actions as a row, and rows of values as dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from interplay.envs.checking import shown
from interplay.envs.facade import as_action
from interplay.envs.types import InterplayError

Value = TypeVar("Value")


class Roster:
    """Names of the agents that can be there, in the order of all rows.

    Args:
        possible: all of them.

    Attributes:
        possible: as above.
        illegal: how many actions became 0, by reason: ``"missing"``, or for a ``"dead"`` agent; ``"forbidden"`` ones
            are counted by the caller.
    """

    def __init__(self, possible: list[str]) -> None:
        self.possible, self.illegal = possible, {"forbidden": 0, "missing": 0, "dead": 0}
        self._place = {agent: k for k, agent in enumerate(possible)}
        self._flags = {flag: dict.fromkeys(possible, flag) for flag in (False, True)}

    def row(self, actions: Mapping[str, Any], agents: list[str]) -> NDArray[np.int64]:
        """An action for each possible agent, 0 for those that gave none or are not in ``agents``, which is counted."""
        if list(actions) == self.possible == agents:
            try:
                row = np.array(list(actions.values()))
            except ValueError:  # not one number each
                row = np.empty(0)
            if row.dtype.kind == "i" and row.ndim == 1:  # what nearly all clients send; agent by agent takes longer
                return row.astype(np.int64, copy=False)
        return np.array(self._row_by_agent(actions, agents))

    def _row_by_agent(self, actions: Mapping[str, Any], agents: list[str]) -> list[int]:
        row, missing, live = [0] * len(self._place), len(agents), set(agents)
        for agent, action in actions.items():
            if agent not in self._place:
                raise InterplayError(f"action for {shown(agent)}, which does not exist: use names of possible_agents")
            if agent not in live:
                self.illegal["dead"] += action is not None
            elif action is not None:
                row[self._place[agent]] = as_action(agent, action)
                missing -= 1
        self.illegal["missing"] += missing
        return row

    def flagged(self, agents: list[str], flag: bool) -> dict[str, bool]:
        """The flag for each of ``agents``; a copy takes a tenth of the time of a new dict."""
        return self._flags[flag].copy() if len(agents) == len(self.possible) else dict.fromkeys(agents, flag)

    def keep(self, values: Iterable[Value], agents: list[str]) -> dict[str, Value]:
        """Values of all possible agents by name, of which only those of ``agents`` are kept."""
        return dict(self.kept(values, agents))

    def kept(self, values: Iterable[Value], agents: list[str]) -> Iterable[tuple[str, Value]]:
        """The same as pairs."""
        pairs = zip(self.possible, values, strict=True)
        if len(agents) == len(self.possible):
            return pairs
        live = set(agents)
        return (pair for pair in pairs if pair[0] in live)
