"""Numbers that grow with every step, such as how many draws an agent has taken.

Python counts them. A recorded graph (``envs/graphs.py``) would keep the value that they had when it was recorded, so
for it they live on the device as well, and every replay counts on there.
"""

from __future__ import annotations

from collections.abc import Hashable
from copy import copy
from typing import ClassVar, Self

import torch
from torch import Tensor

from interplay.agents.parts.stateful import Stateful


class _OnDevice:
    """The numbers as tensors, which are no state: they follow from Python's."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.values = values


class Counting(Stateful):
    """State with integers that only ``_advance`` changes.

    May be overridden: ``_counters`` and ``graph_phase``.
    """

    _counters: ClassVar[tuple[str, ...]] = ()
    """Names of these integers."""
    _on_device: _OnDevice | None = None

    @property
    def graph_phase(self) -> Hashable:
        """What the numbers decide about the way that the next step goes: a graph is recorded for each phase."""
        return None

    def _advance(self, name: str, by: int = 1) -> int | Tensor:
        """Add to a number; gives what ``_counted`` gives."""
        vars(self)[name] += by
        if self._on_device is not None:
            self._on_device.values[name].add_(by)
        return self._counted(name)

    def _counted(self, name: str) -> int | Tensor:
        """A number: an integer, or int64 ``[]`` on the device where graphs are recorded."""
        number: int = vars(self)[name]
        return number if self._on_device is None else self._on_device.values[name]

    @property
    def counts_on_device(self) -> bool:
        """Whether the numbers live on the device, too."""
        return self._on_device is not None

    def count_on(self, device: torch.device) -> None:
        """Count on the device, too, from now on."""
        self._on_device = _OnDevice({name: torch.tensor(vars(self)[name], device=device) for name in self._counters})

    def count_on_host(self) -> None:
        """Count in Python alone, from now on."""
        vars(self).pop("_on_device", None)

    def counting_apart(self) -> Self:
        """A shallow copy whose numbers are its own, and are Python's."""
        new = copy(self)
        new.count_on_host()
        return new
