"""What users took before, which may move their later responses: mood and satiation.

Both are sums over a user's earlier rows with weights that fade: ``decay ** age`` times the response, where the age of
the last row is 0. Mood adds an effect of the item that was taken; satiation takes away for items of like topics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from interplay.experiments.fit.rows import Past

_EFFECT_PENALTY = 4.0
_MOST_CELLS = 1 << 24  # similarities of pairs of items


@dataclass(frozen=True, eq=False)
class Carry:
    """How much of the past matters.

    Attributes:
        mood_decay: part of the mood that is left after a step; 0 = there is no mood.
        common: float32 ``[]``, what a response does to the mood, on the logit scale.
        effect: float32 ``[I]``, how much more that is for each item; ``[0]`` = nothing.
        satiation_decay: the same of satiation; 0 = there is none.
        raw_satiation: float32 ``[]``, of its weight, on the scale on which it is fitted.
    """

    mood_decay: float = 0.0
    common: Tensor = field(default_factory=lambda: torch.zeros(()))
    effect: Tensor = field(default_factory=lambda: torch.zeros(0))
    satiation_decay: float = 0.0
    raw_satiation: Tensor = field(default_factory=lambda: torch.tensor(-2.0))

    @property
    def satiation(self) -> Tensor:
        """How much satiation with an item's topics lowers the logit."""
        return softplus(self.raw_satiation)

    def item_effect(self, num_items: int) -> Tensor:
        """What a response to each item does to later logits, float32 ``[I]``."""
        own = self.effect if len(self.effect) else torch.zeros(num_items)
        return self.common + own

    def penalty(self) -> Tensor:
        """What the effects of items cost in the likelihood."""
        return _EFFECT_PENALTY * self.effect.square().sum() / 2.0


class Carried(NamedTuple):
    """What the rows of a log carry over, for given decays.

    Attributes:
        weight: float32 ``[N, K]``, of earlier rows in the mood. total: float32 ``[N]``, their sum.
        item: int64 ``[N, K]``, what was taken in them.
        satiation: float32 ``[N]``, with the row's topics.
    """

    weight: Tensor
    total: Tensor
    item: Tensor
    satiation: Tensor

    def shift(self, carry: Carry) -> Tensor:
        """What mood and satiation add to the logit of each row."""
        mood = carry.common * self.total
        if len(carry.effect):
            mood = mood + (self.weight * carry.effect[self.item]).sum(1)
        return mood - carry.satiation * self.satiation if carry.satiation_decay > 0.0 else mood


def carried(past: Past, item: np.ndarray, topics: Tensor, carry: Carry) -> Carried:
    """Of rows with these items and this past."""
    age, reward, before = (torch.from_numpy(column) for column in past)
    before = before.long()
    satiation = torch.zeros(len(item))
    if carry.satiation_decay > 0.0:
        like = (topics @ topics.T)[torch.from_numpy(item).unsqueeze(1), before]
        satiation = (carry.satiation_decay**age * reward * like).sum(1)
    weight = carry.mood_decay**age * reward if carry.mood_decay > 0.0 else torch.zeros_like(reward)
    return Carried(weight, weight.sum(1), before, satiation)


def moods(topics: Tensor, timed: bool) -> list[dict[str, Any]]:
    """Moods to try: common to all items, or with an effect of each; none for rows whose order is not known."""
    common = [{"mood_decay": decay} for decay in (0.3, 0.5, 0.7, 0.9)]
    by_item = [{"mood_decay": decay, "effect": torch.zeros(len(topics))} for decay in (0.8, 0.95)]
    return [*common, *by_item] if timed else []


def satiations(topics: Tensor, timed: bool) -> list[dict[str, Any]]:
    """Satiations to try; none where all items are of one topic."""
    fits = timed and topics.shape[1] > 1 and len(topics) ** 2 <= _MOST_CELLS
    return [{"satiation_decay": decay} for decay in (0.5, 0.8, 0.9, 0.95)] if fits else []
