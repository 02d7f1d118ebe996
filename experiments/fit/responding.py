"""How users respond: an ordered logit on the log's own levels, with a bias of users, one of items, and a low rank.

McCullagh, "Regression models for ordinal data", JRSS B 1980: the response is above level l with probability
sigmoid(z - c_l), here with z = b_u + b_i + <x_u, y_i>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from interplay.experiments.fit.carrying import Carried, Carry, carried, moods, satiations
from interplay.experiments.fit.optimising import leaf, minimise, with_tensors
from interplay.experiments.fit.rows import TUNED_ON, Bools, Floats, Rows, divided, some_users
from interplay.experiments.fit.scores import Score

MOST_LEVELS = 32
"""Rewards of more values are put into bins, of equally many rows each."""

_RANKS = (0, 4, 8)
_BIAS_PENALTIES = (1.0, 3.0)
_FACTOR_PENALTIES = (4.0, 8.0)
_STANDARD_ERRORS = 3.0  # by which mood or satiation has to raise the likelihood of held-out rows
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

    def logit(self, rows: Rows, past: Carried | None = None) -> Tensor:
        """z of each row; ``past`` is what ``carried`` gives for them, if it is known already."""
        user, item = torch.from_numpy(rows.user), torch.from_numpy(rows.item)
        still = self.user_bias[user] + self.item_bias[item] + (self.user_factor[user] * self.item_factor[item]).sum(1)
        past = self.carried(rows) if past is None else past
        return still if past is None else still + past.shift(self.carry)

    def carried(self, rows: Rows) -> Carried | None:
        """What the rows carry over; None where nothing is."""
        idle = self.carry.mood_decay == 0.0 and self.carry.satiation_decay == 0.0
        return None if idle or rows.past is None else carried(rows.past, rows.item, self.topics, self.carry)

    def log_likelihood(self, rows: Rows) -> Tensor:
        """Of each row's level, float32 ``[N]``."""
        return _log_probability(self.logit(rows), self.cuts, _place(rows, self.levels))

    def information(self, rows: Rows) -> Tensor:
        """How much each row says of its logit: the second derivative of its log-likelihood, negated, ``[N]``."""
        low, high = _edges(self.logit(rows), self.cuts, _place(rows, self.levels))
        return torch.sigmoid(high) * torch.sigmoid(-high) + torch.sigmoid(low) * torch.sigmoid(-low)

    def of_users(self, some: Bools) -> Responses:
        """The same for some of its users, bool ``[U]``."""
        chosen = torch.from_numpy(some)
        return replace(self, user_bias=self.user_bias[chosen], user_factor=self.user_factor[chosen])

    def folded_in(self, rows: Rows) -> Responses:
        """The same for other users, whose own numbers alone are fitted to their rows."""
        start = replace(self, user_bias=torch.zeros(rows.num_users),
                        user_factor=torch.zeros(rows.num_users, self.user_factor.shape[1]))
        return _fitted(start, rows, ("user_bias", "user_factor"))


def levels_of(reward: Floats) -> Floats:
    """The values that responses have in the market, ascending: the log's own, or means of bins if there are many."""
    values = np.unique(reward)
    if len(values) <= MOST_LEVELS:
        return values
    ordered = np.sort(reward)
    return np.unique([part.mean() for part in np.array_split(ordered, MOST_LEVELS)])


def fit_responses(rows: Rows, topics: Tensor, seed: int) -> Responses:
    """The model whose rank and penalties predict a tenth of the rows best, fitted to all.

    Mood and satiation are there if these rows are likelier with them.
    """
    rng = np.random.default_rng(seed)
    some = rows.of_users(some_users(rows, TUNED_ON, rng))
    known, wanted = divided(some, 0.1, rng)
    levels = levels_of(rows.reward)
    tried = [(rank, bias, factor) for rank, bias, factor in product(_RANKS, _BIAS_PENALTIES, _FACTOR_PENALTIES)
             if rank > 0 or factor == _FACTOR_PENALTIES[0]]  # without factors their penalty makes no difference

    def start(of: Rows, rank: int, bias: float, factor: float) -> Responses:
        return _start(of, levels, topics, rank, (bias, factor), seed)

    def score(model: Responses) -> float:
        return float(model.log_likelihood(wanted).mean())

    def clearly_better(model: Responses, simple: Responses) -> bool:
        gain = (model.log_likelihood(wanted) - simple.log_likelihood(wanted)).numpy()
        return bool(gain.mean() > _STANDARD_ERRORS * gain.std() / len(gain) ** 0.5)

    if len(levels) < 2:
        return start(rows, *tried[0])
    found = [_fitted(start(known, *each), known, _ALL) for each in tried]
    best = max(range(len(tried)), key=lambda place: score(found[place]))
    model, timed = found[best], rows.past is not None
    for more in (moods(topics, timed), satiations(topics, timed)):
        model, *others = [_fitted(with_carry(model, **each), known, _ALL) for each in ({}, *more)]
        better = [other for other in others if clearly_better(other, model)]
        model = max(better, key=score) if better else model
    return _fitted(replace(start(rows, *tried[best]), carry=model.carry), rows, _ALL)


def with_carry(model: Responses, **changes: Any) -> Responses:
    """The model with other numbers of what is carried over."""
    return replace(model, carry=replace(model.carry, **changes))


_CARRIED = ("common", "effect", "raw_satiation")
_ALL = ("cuts", "user_bias", "item_bias", "user_factor", "item_factor", *_CARRIED)


def _start(rows: Rows, levels: Floats, topics: Tensor, rank: int, penalties: tuple[float, float],
           seed: int) -> Responses:
    generator = torch.Generator().manual_seed(seed)
    return Responses(levels, _marginal_cuts(rows, levels), torch.zeros(rows.num_users), torch.zeros(rows.num_items),
                     0.1 * torch.randn(rows.num_users, rank, generator=generator),
                     0.1 * torch.randn(rows.num_items, rank, generator=generator), penalties, Carry(), topics)


def _fitted(start: Responses, rows: Rows, names: Sequence[str]) -> Responses:
    """With these of its tensors changed so that the rows become likely."""
    if len(start.levels) < 2:
        return start
    parts = {name: leaf(getattr(start.carry if name in _CARRIED else start, name)) for name in names}
    if "cuts" in parts:  # by their steps, which stay positive
        cuts = start.cuts
        parts["cuts"] = leaf(torch.cat([cuts[:1], torch.log(torch.expm1(cuts.diff().clamp(min=1e-3)))]))
    place, past = _place(rows, start.levels), start.carried(rows)
    centre = past.total.mean() if past is not None and "cuts" in parts else torch.zeros(())
    past = None if past is None else past._replace(total=past.total - centre)  # else cuts and moods are hard to part

    def model() -> Responses:
        own = {name: part for name, part in parts.items() if name not in _CARRIED}
        if "cuts" in own:
            own["cuts"] = torch.cat([own["cuts"][:1], own["cuts"][:1] + softplus(own["cuts"][1:]).cumsum(0)])
        carry = with_tensors(start.carry, {name: parts[name] for name in _CARRIED if name in parts})
        return replace(with_tensors(start, own), carry=carry)

    def loss() -> Tensor:
        now = model()
        bias, factor = now.penalties
        penalty = (bias * (now.user_bias.square().sum() + now.item_bias.square().sum())
                   + factor * (now.user_factor.square().sum() + now.item_factor.square().sum())) / 2.0
        penalty = penalty + now.carry.penalty()
        return (penalty - _log_probability(now.logit(rows, past), now.cuts, place).sum()) / len(rows)

    minimise(loss, [part for part in parts.values() if part.numel()], _STEPS)
    with torch.no_grad():
        found = model()
        carry = with_tensors(found.carry, {name: getattr(found.carry, name).detach() for name in _CARRIED})
        own = {name: getattr(found, name).detach() for name in names if name not in _CARRIED}
        own |= {"cuts": own["cuts"] + carry.common * centre} if "cuts" in own else {}
        return replace(with_tensors(found, own), carry=carry)


def _marginal_cuts(rows: Rows, levels: Floats) -> Tensor:
    """The cuts of a model without users and items."""
    count = np.bincount(_place(rows, levels).numpy(), minlength=len(levels)) + 0.5
    above = 1.0 - np.cumsum(count)[:-1] / count.sum()
    return torch.from_numpy(np.log((1.0 - above) / above)).float()


def _place(rows: Rows, levels: Floats) -> Tensor:
    """The level of each row, int64 ``[N]``: the nearest one."""
    return torch.from_numpy(np.searchsorted((levels[1:] + levels[:-1]) / 2.0, rows.reward))


def _log_probability(logit: Tensor, cuts: Tensor, place: Tensor) -> Tensor:
    """Of the level of each row, float32 ``[N]``."""
    low, high = _edges(logit, cuts, place)
    # log(sigmoid(high) - sigmoid(low)), without taking differences of numbers near 1
    return logsigmoid(high) + logsigmoid(-low) + torch.log(-torch.expm1((low - high).clamp(max=-1e-6)))


def _edges(logit: Tensor, cuts: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """The cuts below and above the level of each row, less its logit."""
    far = cuts.new_full((1,), 30.0)
    edges = torch.cat([-far, cuts, far])
    return edges[place] - logit, edges[place + 1] - logit


def simpler(model: Responses, rows: Rows) -> dict[str, Responses]:
    """Models without mood and without satiation, each where the model has it, fitted to the same rows."""
    off: dict[str, dict[str, Any]] = {
        "mood": {"mood_decay": 0.0, "common": torch.zeros(()), "effect": torch.zeros(0)},
        "satiation": {"satiation_decay": 0.0}}
    return {part: _fitted(with_carry(model, **changes), rows, _ALL) for part, changes in off.items()
            if getattr(model.carry, f"{part}_decay") > 0.0}


def score_responses(model: Responses, without: Mapping[str, Responses], rows: Rows, wanted: Rows) -> list[Score]:
    """Of held-out rows, beside the shares of the levels in the training rows, and beside models without some parts."""
    with torch.no_grad():
        fitted = float(model.log_likelihood(wanted).mean())
        plain = {part: float(other.log_likelihood(wanted).mean()) for part, other in without.items()}
        simple = float(_log_probability(torch.zeros(len(wanted)), _marginal_cuts(rows, model.levels),
                                        _place(wanted, model.levels)).mean())
    name = f"ordered logit, biases of users and items, rank {model.user_factor.shape[1]}"
    found = [Score("how users respond", name, "shares of the levels", len(wanted), fitted, simple)]
    for part in ("mood", "satiation"):
        decay = getattr(model.carry, f"{part}_decay")
        found.append(Score(part, f"decay {decay:g}" if decay else "not clearly likelier", "none", len(wanted), fitted,
                           plain.get(part, fitted), decay > 0.0))
    return found
