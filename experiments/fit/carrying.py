"""What users took before, which may move their later responses and end their sessions: mood and satiation.

Both are mechanisms of the market, here on the logit scale. The mood m of a user is decay m + y e_j after a response y
to item j; it raises later logits by m. Satiation with topics lowers them. Users whose mood comes near the lowest
possible one, -b, may end their session: with probability sigmoid(2 - slope (m + b)), beside a hazard of the session's
length. Then m also stays within [-b, b].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from interplay.envs.mechanisms.visits import AT_LOWEST
from interplay.experiments.fit.rows import Past, Rows

_EFFECT_PENALTY = 4.0
_MOST_CELLS = 1 << 24  # similarities of pairs of items
_LARGEST_DECAY = 0.99  # so that nothing is left after the steps that stand for never
_LOWEST = (1e-4, 1e-3, 1e-2)  # shares of moods below the lowest one with which a fit of leaving begins
_SHARP = 10.0  # slope times lowest mood there
_PRIOR = 1.0  # ends of sessions of average length that each bin of the hazard starts from

LEARNT = ("raw_mood_decay", "common", "effect", "raw_bound", "raw_slope", "raw_hazard", "raw_satiation_decay",
          "raw_satiation", "raw_recovery")
"""The tensors of a ``Carry`` that are fitted."""

ENDS = ("raw_bound", "raw_slope", "raw_hazard")
"""Those of them that say when users leave."""


@dataclass(frozen=True, eq=False)
class Carry:
    """How much of the past matters.

    Attributes:
        has_mood, leaves, has_satiation: whether there is a mood, whether it ends sessions, whether there is satiation.
        raw_mood_decay, raw_satiation_decay: float32 ``[]``, of the part that is left after a step, on the scale on
            which it is fitted, as all that is called raw.
        common: float32 ``[]``, what a response does to the mood.
        effect: float32 ``[I]``, how much more that is for each item; ``[0]`` = nothing.
        raw_bound, raw_slope: float32 ``[]``, of the lowest mood and of how sharply users leave near it.
        raw_hazard: float32 ``[L]``, log-odds of a session's end by its length, in the bins of ``Hazard``.
        raw_satiation, raw_recovery: float32 ``[]``, of the weight of satiation, and of what is lost of it in a step.
    """

    has_mood: bool = False
    leaves: bool = False
    has_satiation: bool = False
    raw_mood_decay: Tensor = field(default_factory=lambda: torch.tensor(1.5))
    common: Tensor = field(default_factory=lambda: torch.zeros(()))
    effect: Tensor = field(default_factory=lambda: torch.zeros(0))
    raw_bound: Tensor = field(default_factory=lambda: torch.zeros(()))
    raw_slope: Tensor = field(default_factory=lambda: torch.zeros(()))
    raw_hazard: Tensor = field(default_factory=lambda: torch.zeros(0))
    raw_satiation_decay: Tensor = field(default_factory=lambda: torch.tensor(1.5))
    raw_satiation: Tensor = field(default_factory=lambda: torch.tensor(-2.0))
    raw_recovery: Tensor = field(default_factory=lambda: torch.tensor(-4.0))

    @property
    def mood_decay(self) -> Tensor:
        """Part of the mood that is left after a step, above 0."""
        return _LARGEST_DECAY * torch.sigmoid(self.raw_mood_decay)

    @property
    def satiation_decay(self) -> Tensor:
        """The same of satiation."""
        return _LARGEST_DECAY * torch.sigmoid(self.raw_satiation_decay)

    @property
    def satiation(self) -> Tensor:
        """How much satiation with an item's topics lowers the logit."""
        return softplus(self.raw_satiation)

    @property
    def recovery(self) -> Tensor:
        """Satiation lost in each step."""
        return softplus(self.raw_recovery)

    @property
    def bound(self) -> Tensor:
        """b; infinite unless users leave because of it."""
        return softplus(self.raw_bound) if self.leaves else torch.tensor(torch.inf)

    @property
    def slope(self) -> Tensor:
        """How sharply users leave near the lowest mood."""
        return softplus(self.raw_slope)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is carried over."""
        return not (self.has_mood or self.has_satiation)

    def item_effect(self, num_items: int) -> Tensor:
        """What a response to each item does to the mood, float32 ``[I]``."""
        own = self.effect if len(self.effect) else torch.zeros(num_items)
        return self.common + own

    def penalty(self) -> Tensor:
        """What the effects of items, and hazards unlike the average, cost in the likelihood."""
        cost = _EFFECT_PENALTY * self.effect.square().sum() / 2.0
        if self.leaves:
            mean = self.raw_hazard.detach().mean().exp().clamp(max=0.5)
            cost = cost - _PRIOR * (logsigmoid(self.raw_hazard) + logsigmoid(-self.raw_hazard) / mean).sum()
        return cost


class Carried(NamedTuple):
    """What the rows of a log carry over.

    Attributes:
        shift: float32 ``[N]``, added to the logit of each row.
        mood: float32 ``[N]``, after it.
    """

    shift: Tensor
    mood: Tensor


class History(NamedTuple):
    """What of the past does not depend on the carry; lanes are as in ``Past``.

    Attributes:
        gap: float32 ``[P, T]``, steps without a row before each row.
        reward: float32 ``[P, T]``. item: int64 ``[P, T]``. topics: float32 ``[I, G]``.
        place: int64 ``[N]``, of the rows in the lanes.
    """

    gap: Tensor
    reward: Tensor
    item: Tensor
    topics: Tensor
    place: Tensor

    @classmethod
    def of(cls, past: Past, topics: Tensor) -> Self:
        """The lanes of a past."""
        gap, reward, item = (torch.from_numpy(column[past.lanes]) for column in (past.gap, past.reward, past.item))
        return cls(gap.float() - 1.0, reward.float(), item, topics, torch.from_numpy(past.place))

    def carried(self, carry: Carry) -> Carried:
        """Of all rows, under this carry."""
        shift = mood = torch.zeros_like(self.reward)
        if carry.has_mood:
            push = self.reward * carry.item_effect(len(self.topics))[self.item]
            shift, mood = _moods(push, self.gap, carry.mood_decay, carry.bound)
        if carry.has_satiation:
            shift = shift - carry.satiation * self._satiation(carry.satiation_decay, carry.recovery)
        return Carried(shift.flatten()[self.place], mood.flatten()[self.place])

    def _satiation(self, decay: Tensor, recovery: Tensor) -> Tensor:
        """With the topics of each row, float32 ``[P, T]``."""
        topics, rest = self.topics[self.item], (decay**self.gap).unsqueeze(2)
        push, lost = self.reward.unsqueeze(2) * topics - recovery, recovery * (1.0 - rest) / (1.0 - decay)
        now, found = torch.zeros_like(topics[:, 0]), []
        for more, left, less, own in zip(*(each.unbind(1) for each in (push, rest, lost, topics)), strict=True):
            before = torch.relu(left * now - less)
            found.append((before * own).sum(1))
            now = torch.relu(decay * before + more)
        return torch.stack(found, dim=1)


def _moods(push: Tensor, gap: Tensor, decay: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
    """Moods before and after each row, ``[P, T]`` each."""
    now, before, after = torch.zeros_like(push[:, 0]), [], []
    for more, left in zip(push.unbind(1), (decay**gap).unbind(1), strict=True):
        then = left * now
        now = torch.clamp(decay * then + more, -bound, bound)
        before.append(then)
        after.append(now)
    return torch.stack(before, dim=1), torch.stack(after, dim=1)


class Ends(NamedTuple):
    """Ends of sessions that are known, of ``M`` rows.

    Attributes:
        row: int64 ``[M]``, the rows after which it is known whether the session is over.
        length: int64 ``[M]``, the bin of the session's length so far.
        over: bool ``[M]``.
    """

    row: Tensor
    length: Tensor
    over: Tensor

    @classmethod
    def of(cls, rows: Rows, bins: int) -> Self:
        """Of the rows of a log; lengths are counted in so many bins."""
        row = np.flatnonzero(rows.ends >= 0)
        length = np.ceil(np.log2(rows.stay[row]) - 1e-9).astype(np.int64)
        return cls(torch.from_numpy(row), torch.from_numpy(np.minimum(length, bins - 1)),
                   torch.from_numpy(rows.ends[row] == 1))

    def log_likelihood(self, carry: Carry, mood: Tensor | None) -> Tensor:
        """Of each, float32 ``[M]``, for moods ``[N]`` after all rows; without moods by length alone."""
        stays = logsigmoid(-carry.raw_hazard)[self.length]
        if mood is not None:
            stays = stays + logsigmoid(carry.slope * (mood[self.row] + carry.bound) - AT_LOWEST)
        return torch.where(self.over, torch.log(-torch.expm1(stays.clamp(max=-1e-7))), stays)


def moods(topics: Tensor, carry: Carry) -> list[Carry]:
    """Moods to try: common to all items, or with an effect of each."""
    return [replace(carry, has_mood=True, raw_mood_decay=torch.tensor(start), effect=torch.zeros(count))
            for count, start in ((0, 0.0), (len(topics), 2.0))]


def satiations(topics: Tensor, carry: Carry) -> list[Carry]:
    """Satiation to try; none where all items are of one topic."""
    return [replace(carry, has_satiation=True)] if topics.shape[1] > 1 else []


def leavings(carry: Carry, mood: Tensor, hazard: Sequence[float]) -> list[Carry]:
    """The carry with leaving, to try: from lowest moods below which so few of the moods ``[N]`` are.

    Each begins so sharp that users in a neutral mood hardly ever leave: else moods would be fitted to that first, and
    to responses no more.

    Args:
        carry: with a mood.
        mood: after each row.
        hazard: of sessions by their length, as ``Hazard`` has it.
    """
    bounds = [torch.tensor(max(-value, 1e-3), dtype=torch.float32) for value in np.quantile(mood.numpy(), _LOWEST)]
    return [replace(with_hazard(carry, hazard), leaves=True, raw_bound=torch.log(torch.expm1(bound)),
                    raw_slope=_SHARP / bound) for bound in bounds]


def with_hazard(carry: Carry, hazard: Sequence[float]) -> Carry:
    """The carry with this hazard of sessions by their length."""
    return replace(carry, raw_hazard=torch.logit(torch.tensor(hazard, dtype=torch.float32), 1e-4))
