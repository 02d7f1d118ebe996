"""Popularity feedback: what many took before is shown more.

With a strength of 1 and one user this is the urn of Eggenberger and Polya (1923). Salganik, Dodds and Watts,
"Experimental study of inequality and unpredictability in an artificial cultural market", Science 2006, saw its effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from interplay.envs.checking import NotNegative, Positive
from interplay.envs.drawing.picture import Picture
from interplay.envs.indexing import gather_rows
from interplay.envs.mechanisms.base import Mechanism, Start
from interplay.envs.world import State


@dataclass(frozen=True)
class Popularity(Mechanism):
    """Item j is shown in proportion to ``(a_j + responses so far) ** strength``."""

    prior: tuple[Positive, ...] = (1.0,)
    """a_j, what each item counts as before any response; one number is that of all."""
    strength: NotNegative = 1.0
    """0 = popularity does not matter; above 1, one item takes nearly all in the end."""

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """The prior weights."""
        return {"prior": start.of_items("popularity.prior", self.prior)}

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        """Logarithms of weights."""
        return self.strength * gather_rows((state["prior"] + state.popularity).log(), items)

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """See ``Mechanism.measures``."""
        weight = state["prior"] + state.popularity
        share = weight / weight.sum(1, keepdim=True)
        unequal = (share.unsqueeze(2) - share.unsqueeze(1)).abs().sum((1, 2)) / (2.0 * share.shape[1])
        return {"share of item 0": share[:, 0], "largest share": share.amax(1), "exposure inequality": unequal}

    def draw(self, picture: Picture, state: State) -> None:
        """See ``Mechanism.draw``."""
        weight = state["prior"] + state.popularity
        picture.bar("items", "popularity", weight / weight.sum(1, keepdim=True))
