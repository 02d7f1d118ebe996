"""What a mechanism draws its own part on: bars and labels of agents, notes, and the canvas itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.checking import check_value
from interplay.envs.drawing.colours import LOW, OTHER, Colour
from interplay.envs.types import InterplayError

if TYPE_CHECKING:
    from interplay.envs.drawing.canvas import Canvas

Side = Literal["users", "items"]


class Bars(NamedTuple):
    """A small bar at each agent of a side.

    Attributes:
        name: in the legend.
        values: float64 ``[N]``.
        low: value of an empty bar; below 0, bars start in their middle, at 0.
        high: value of a full bar.
        colour: of the full part.
    """

    name: str
    values: NDArray[np.float64]
    low: float
    high: float
    colour: Colour

    def ends(self, value: float) -> tuple[float, float]:
        """Where the coloured part of a bar starts and ends, as parts of its length."""
        zero, end = (min(max((each - self.low) / (self.high - self.low), 0.0), 1.0) for each in (0.0, value))
        return min(zero, end), max(zero, end)

    def colour_of(self, value: float) -> Colour:
        """The colour of a bar: another one below 0."""
        return LOW if value < 0.0 else self.colour


class Picture:
    """A picture under way of one world.

    Attributes:
        canvas: to draw on freely; users and items are drawn above it.
        users: float64 ``[U, 2]``, pixels at which users stand.
        items: float64 ``[I, 2]``, pixels at which items stand.
        bars: of each side, in the order in which they were added.
        labels: of each side, a text at each agent.
        columns: whether users and items stand in columns, where there is room for words.
        notes: lines below the legend.
    """

    def __init__(self, canvas: Canvas, users: NDArray[np.float64], items: NDArray[np.float64], columns: bool) -> None:
        self.canvas, self.users, self.items, self.columns = canvas, users, items, columns
        self.bars: dict[Side, list[Bars]] = {"users": [], "items": []}
        self.labels: dict[Side, list[str]] = {"users": [], "items": []}
        self.notes: list[str] = []

    def bar(self, side: Side, name: str, values: Tensor, *, low: float = 0.0, high: float = 1.0,
            colour: Colour = OTHER) -> None:
        """Show a number of each agent as a small bar, and its mean in the legend.

        Args:
            side: ``"users"`` or ``"items"``.
            name: in the legend; at most about 12 letters.
            values: a table of one world, ``[1, N]``.
            low: value of an empty bar. If it is below 0, bars start in their middle.
            high: value of a full bar.
            colour: red, green and blue, 0 to 255.
        """
        numbers = values.detach().reshape(-1).double().cpu().numpy()
        self._check(side, f"bar {name!r}", len(numbers))
        self.bars[side].append(Bars(name, numbers, low, max(high, low + 1e-9), colour))

    def label(self, side: Side, texts: Sequence[str]) -> None:
        """Write a short text at each agent; labels of two mechanisms stand behind each other."""
        self._check(side, "label", len(texts))
        before = self.labels[side] or [""] * len(texts)
        self.labels[side] = [f"{old} {new}".strip() for old, new in zip(before, texts, strict=True)]

    def note(self, line: str) -> None:
        """Write a line below the legend."""
        self.notes.append(line)

    def _check(self, side: Side, what: str, count: int) -> None:
        check_value("side", side, Side)
        agents = len(getattr(self, side))
        if count != agents:
            raise InterplayError(f"{what} has {count} values for {agents} {side}: give one each, of one world")
