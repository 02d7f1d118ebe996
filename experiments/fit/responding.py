"""How users respond: an ordered logit on the log's own levels, with a bias of users, one of items, and a low rank.

McCullagh, "Regression models for ordinal data", JRSS B 1980: the response is above level l with probability
sigmoid(z - c_l), here with z = b_u + b_i + <x_u, y_i>, to which what came before may add (``carrying.py``). Where the
log has positions, a row in slot k is noticed with probability k^-eta, and else the response is the lowest level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from interplay.experiments.fit.carrying import LEARNT, Carried, Carry, Ends, History
from interplay.experiments.fit.optimising import leaf, minimise, with_tensors
from interplay.experiments.fit.rows import Bools, Floats, Rows

MOST_LEVELS = 32
"""Rewards of more values are put into bins, of equally many rows each."""

_STEPS = 200


@dataclass(frozen=True, eq=False)
class Responses:
    """A fitted model of responses.

    Attributes:
        levels: float64 ``[L]``, ascending.
        cuts: float32 ``[L - 1]``, ascending.
        user_bias, item_bias: float32 ``[U]`` and ``[I]``.
        user_factor, item_factor: float32 ``[U, R]`` and ``[I, R]``.
        penalties: of biases and of factors.
        carry: what is carried over from earlier rows.
        topics: float32 ``[I, G]``.
        raw_position: float32 ``[]``, of eta, on the scale on which it is fitted; None = slots do not matter.
    """

    levels: Floats
    cuts: Tensor
    user_bias: Tensor
    item_bias: Tensor
    user_factor: Tensor
    item_factor: Tensor
    penalties: tuple[float, float]
    carry: Carry
    topics: Tensor
    raw_position: Tensor | None = None

    @property
    def position_bias(self) -> Tensor:
        """eta."""
        return torch.zeros(()) if self.raw_position is None else softplus(self.raw_position)

    def still(self, rows: Rows) -> Tensor:
        """z of each row, but for what it carries over."""
        user, item = torch.from_numpy(rows.user), torch.from_numpy(rows.item)
        return self.user_bias[user] + self.item_bias[item] + (self.user_factor[user] * self.item_factor[item]).sum(1)

    def logit(self, rows: Rows) -> Tensor:
        """z of each row."""
        carried = self.carried(rows)
        return self.still(rows) if carried is None else self.still(rows) + carried.shift

    def carried(self, rows: Rows) -> Carried | None:
        """What the rows carry over; None where nothing is."""
        idle = self.carry.is_idle or rows.past is None
        return None if idle or rows.past is None else History.of(rows.past, self.topics).carried(self.carry)

    def log_likelihood(self, rows: Rows) -> Tensor:
        """Of each row's level, float32 ``[N]``."""
        return self.likelihood_at(self.logit(rows), Answers.of(rows, self.levels))

    def likelihood_at(self, logit: Tensor, answers: Answers) -> Tensor:
        """Of each row's level, for these logits ``[N]``, float32 ``[N]``."""
        found = log_probability(logit, self.cuts, answers.place)
        if self.raw_position is None:
            return found
        noticed = torch.exp(-self.position_bias * answers.log_position)
        return torch.log(noticed * found.exp() + (1.0 - noticed) * (answers.place == 0) + 1e-12)

    def ends(self, rows: Rows) -> Tensor:
        """The log-likelihood of each end of a session that is known, under a carry with leaving, float32 ``[M]``."""
        carried = self.carried(rows)
        assert carried is not None, "leaving goes by moods"
        return Ends.of(rows, len(self.carry.raw_hazard)).log_likelihood(self.carry, carried.mood)

    def likelihood_of_all(self, rows: Rows) -> float:
        """The log-likelihood of all rows and ends of sessions, under a carry with leaving."""
        with torch.no_grad():
            return float(self.log_likelihood(rows).sum() + self.ends(rows).sum())

    def information(self, rows: Rows) -> Tensor:
        """How much each row says of its logit: the second derivative of its log-likelihood, negated, ``[N]``.

        What is not noticed says nothing, which is left out here.
        """
        low, high = _edges(self.logit(rows), self.cuts, place_of(rows, self.levels))
        return torch.sigmoid(high) * torch.sigmoid(-high) + torch.sigmoid(low) * torch.sigmoid(-low)

    def of_users(self, some: Bools) -> Responses:
        """The same for some of its users, bool ``[U]``."""
        chosen = torch.from_numpy(some)
        return replace(self, user_bias=self.user_bias[chosen], user_factor=self.user_factor[chosen])

    def folded_in(self, rows: Rows) -> Responses:
        """The same for other users, whose own numbers alone are fitted to their rows."""
        start = replace(self, user_bias=torch.zeros(rows.num_users),
                        user_factor=torch.zeros(rows.num_users, self.user_factor.shape[1]))
        return fit_to(start, rows, ("user_bias", "user_factor"))


class Answers(NamedTuple):
    """What is known of ``N`` rows.

    Attributes:
        place: int64 ``[N]``, the level: the nearest one.
        log_position: float32 ``[N]``, the logarithm of the slot; 0 where it is not known.
    """

    place: Tensor
    log_position: Tensor

    @classmethod
    def of(cls, rows: Rows, levels: Floats) -> Answers:
        """Of the rows of a log."""
        slot = np.ones(len(rows)) if rows.position is None else rows.position
        return cls(place_of(rows, levels), torch.from_numpy(np.log(slot)).float())


def levels_of(reward: Floats) -> Floats:
    """The values that responses have in the market, ascending: the log's own, or means of bins if there are many."""
    values = np.unique(reward)
    if len(values) <= MOST_LEVELS:
        return values
    ordered = np.sort(reward)
    return np.unique([part.mean() for part in np.array_split(ordered, MOST_LEVELS)])


_OWN = ("cuts", "user_bias", "item_bias", "user_factor", "item_factor", "raw_position")
ALL = (*_OWN, *LEARNT)


def start_of(rows: Rows, levels: Floats, topics: Tensor, numbers: tuple[int, float, float], seed: int) -> Responses:
    """Where fits begin; ``numbers`` are the rank and the penalties of biases and factors."""
    rank, *penalties = numbers
    generator = torch.Generator().manual_seed(seed)
    return Responses(levels, marginal_cuts(rows, levels), torch.zeros(rows.num_users), torch.zeros(rows.num_items),
                     0.1 * torch.randn(rows.num_users, rank, generator=generator),
                     0.1 * torch.randn(rows.num_items, rank, generator=generator), (penalties[0], penalties[1]),
                     Carry(), topics)


def fit_to(start: Responses, rows: Rows, names: Sequence[str]) -> Responses:
    """With these of its tensors changed so that the rows, and the ends of sessions if users leave, become likely."""
    if len(start.levels) < 2:
        return start
    parts = _leaves_of(start, names)
    answers = Answers.of(rows, start.levels)
    history = None if start.carry.is_idle or rows.past is None else History.of(rows.past, start.topics)
    ends = Ends.of(rows, len(start.carry.raw_hazard)) if start.carry.leaves and "raw_hazard" in names else None

    def loss() -> Tensor:
        now, logit, left = _with(start, parts), torch.zeros(()), torch.zeros(())
        if history is not None:
            carried = history.carried(now.carry)
            # else cuts and moods are hard to part
            logit = carried.shift - (carried.shift.mean() if "cuts" in parts else 0.0)
            left = torch.zeros(()) if ends is None else ends.log_likelihood(now.carry, carried.mood).sum()
        bias, factor = now.penalties
        penalty = (bias * (now.user_bias.square().sum() + now.item_bias.square().sum())
                   + factor * (now.user_factor.square().sum() + now.item_factor.square().sum())) / 2.0
        likelihood = now.likelihood_at(now.still(rows) + logit, answers).sum() + left
        return (penalty + now.carry.penalty() - likelihood) / len(rows)

    minimise(loss, [part for part in parts.values() if part.numel()], _STEPS)
    with torch.no_grad():
        found = _with(start, {name: part.detach() for name, part in parts.items()})
        if history is None or "cuts" not in parts:
            return found
        return replace(found, cuts=found.cuts + history.carried(found.carry).shift.mean())


def _leaves_of(start: Responses, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors that are fitted, by name; cuts by their steps, which stay positive."""
    values = {name: getattr(start if name in _OWN else start.carry, name) for name in names}
    unused = set() if start.carry.has_satiation else {"raw_satiation_decay", "raw_satiation", "raw_recovery"}
    unused |= set() if start.carry.has_mood else {"raw_mood_decay", "common", "effect"}
    unused |= set() if start.carry.leaves else {"raw_bound", "raw_slope", "raw_hazard"}
    parts = {name: leaf(value) for name, value in values.items() if value is not None and name not in unused}
    if "cuts" in parts:
        steps = torch.log(torch.expm1(start.cuts.diff().clamp(min=1e-3)))
        parts["cuts"] = leaf(torch.cat([start.cuts[:1], steps]))
    return parts


def _with(start: Responses, parts: Mapping[str, Tensor]) -> Responses:
    """The model with the tensors that ``_leaves_of`` made leaves of."""
    own = {name: part for name, part in parts.items() if name in _OWN}
    if "cuts" in own:
        own["cuts"] = torch.cat([own["cuts"][:1], own["cuts"][:1] + softplus(own["cuts"][1:]).cumsum(0)])
    carry = with_tensors(start.carry, {name: part for name, part in parts.items() if name in LEARNT})
    return replace(with_tensors(start, own), carry=carry)


def marginal_cuts(rows: Rows, levels: Floats) -> Tensor:
    """The cuts of a model without users and items."""
    count = np.bincount(place_of(rows, levels).numpy(), minlength=len(levels)) + 0.5
    above = 1.0 - np.cumsum(count)[:-1] / count.sum()
    return torch.from_numpy(np.log((1.0 - above) / above)).float()


def place_of(rows: Rows, levels: Floats) -> Tensor:
    """The level of each row, int64 ``[N]``: the nearest one."""
    return torch.from_numpy(np.searchsorted((levels[1:] + levels[:-1]) / 2.0, rows.reward))


def log_probability(logit: Tensor, cuts: Tensor, place: Tensor) -> Tensor:
    """Of the level of each row, float32 ``[N]``."""
    low, high = _edges(logit, cuts, place)
    # log(sigmoid(high) - sigmoid(low)), without taking differences of numbers near 1
    return logsigmoid(high) + logsigmoid(-low) + torch.log(-torch.expm1((low - high).clamp(max=-1e-6)))


def _edges(logit: Tensor, cuts: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """The cuts below and above the level of each row, less its logit."""
    far = cuts.new_full((1,), 30.0)
    edges = torch.cat([-far, cuts, far])
    return edges[place] - logit, edges[place + 1] - logit
