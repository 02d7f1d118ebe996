"""Cross-play: how the users of each run do with the items of each other run.

Agents that were trained together may rely on each other's habits. Then the diagonal of the matrix is better than the
rest of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.progress import progress
from interplay.experiments.common.tables import table
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.players import Players
from interplay.experiments.loop.run import Run

Matrix = NDArray[np.float64]


class CrossPlay(NamedTuple):
    """Mean returns per episode in held-out worlds.

    Attributes:
        market: its name.
        names: of the runs.
        users: float64 ``[runs, runs]``, return of all users of the row's run with the items of the column's.
        items: float64 ``[runs, runs]``, return of all items in the same worlds.
    """

    market: str
    names: tuple[str, ...]
    users: Matrix
    items: Matrix

    def markdown(self) -> str:
        """Both matrices as tables."""
        return "\n\n".join(f"Return of all {side}:\n\n{self._table(values)}"
                           for side, values in (("users", self.users), ("items", self.items)))

    def _table(self, values: Matrix) -> str:
        rows = [(name, *(f"{value:.5g}" for value in row)) for name, row in zip(self.names, values, strict=True)]
        return table(("users of \\ items of", *self.names), rows)

    def picture(self) -> Picture:
        """Both matrices as colours, with their numbers."""
        size = 2.2 + 0.75 * len(self.names)
        figure = Picture(figsize=(2 * size, size), layout="constrained")
        for place, (side, values) in enumerate((("users", self.users), ("items", self.items)), 1):
            axis = figure.add_subplot(1, 2, place)
            axis.imshow(values, cmap="Blues", vmin=values.min() - 0.1 * np.ptp(values), vmax=values.max())
            axis.set_title(f"{self.market}: return of all {side}", fontsize=10, loc="left")
            axis.set_xticks(range(len(self.names)), self.names, rotation=30, ha="right", fontsize=8)
            axis.set_yticks(range(len(self.names)), self.names, fontsize=8)
            axis.set_xlabel("items of")
            axis.set_ylabel("users of")
            middle = (values.min() + values.max()) / 2.0
            for (row, column), value in np.ndenumerate(values):
                axis.text(column, row, f"{value:.5g}", ha="center", va="center", fontsize=8,
                          color="white" if value > middle else "black")
        return figure


def cross_play(runs: Sequence[Run], names: Sequence[str], worlds: int | None = None) -> CrossPlay:
    """Let the users of each run play with the items of each run, without exploration.

    Args:
        runs: at least two, of one market without a platform.
        names: of the runs.
        worlds: held-out worlds; None = as many as the first run used.

    Raises:
        InterplayError: there are fewer, their markets differ, or one has a platform.
    """
    _check(runs, names)
    first = runs[0].task
    count, market = worlds or first.training.eval_worlds, first.held_out
    found = np.empty((2, len(runs), len(runs)))
    with progress("cross-play", found[0].size * market.config.horizon):
        for row, users in enumerate(runs):
            for column, items in enumerate(runs):
                players = Players({"users": users.players["users"], "items": items.players["items"]}).copied()
                score = evaluate(market, players, count)
                found[:, row, column] = score.user_return.mean, score.item_return.mean
    return CrossPlay(first.name, tuple(names), *found)


def _check(runs: Sequence[Run], names: Sequence[str]) -> None:
    if len(runs) < 2:
        raise InterplayError(f"cross-play of {len(runs)} run: give at least two")
    for run, name in zip(runs, names, strict=True):
        if run.players.has_platform:
            raise InterplayError(f"{name!r} has a platform, which belongs to neither side: choose runs without one")
        if run.task.fingerprint != runs[0].task.fingerprint:
            raise InterplayError(f"{name!r} is of another market than {names[0]!r}: choose runs of one market")


def loaded(folders: Sequence[Path], allow_code: bool = False) -> tuple[list[Run], list[str]]:
    """The runs in these folders, and their names: the folders' own, or whole paths where two are alike."""
    own = [folder.name for folder in folders]
    names = own if len(set(own)) == len(own) else [str(folder) for folder in folders]
    return [Run.load(folder, "cpu", allow_code) for folder in folders], names
