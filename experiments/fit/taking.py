"""What users take: a conditional logit over the catalogue, in which what was taken before weighs more or less.

McFadden 1973: user u takes item i with probability w_ui exp(s_ui) / sum_j w_uj exp(s_uj), where w is 1 for items that
the user has not taken yet and the rate of repeats for others. The score is

    s_ui = <p_u, q_i> + <t_u, topics_i> + gamma (z_ui - biases) + a_i:

taste of a low rank, the user's liking of topics, what the user responds well to, and popularity. The likelihood is that
of each user's rows in their order, over all items. Where a log keeps its slates, it is that of their first items: what
users then take depends on how they choose, which a market leaves to its agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from interplay.experiments.fit.optimising import leaf, minimise, with_tensors
from interplay.experiments.fit.responding import Responses
from interplay.experiments.fit.rows import TUNED_ON, Rows, divided, some_users
from interplay.experiments.fit.scores import Score

_RANKS = (0, 8)
_PENALTIES = (2.0, 8.0, 32.0)
_POPULARITY_PENALTY = 0.1
_STEPS = 80
_CELLS = 1 << 22  # scores held at once
_WIDE = 8192  # items above which only a sample of those that a user did not take is looked at
_SAMPLE = 2048  # items of it, and rows that share it, about
_TINY = 1e-300  # what is left of all weights at least, in float64
_LEAST_GAMMA = 0.1  # else agents could not see in vectors what users respond to


@dataclass(frozen=True, eq=False)
class Takes:
    """A fitted model of what users take.

    Attributes:
        user_factor, item_factor: float32 ``[U, R]`` and ``[I, R]``: p and q.
        liking: float32 ``[U, G]``: t.
        popularity: float32 ``[I]``: a.
        raw_gamma, raw_rate: float32 ``[]``, of gamma and of the rate of repeats, on the scale on which they are fitted.
        topics: float32 ``[I, G]``.
        user_response, item_response: float32 ``[U, R']`` and ``[I, R']``, factors of the model of responses.
        penalty: of factors and liking.
        repeats: whether the rate of repeats is above 0.
    """

    user_factor: Tensor
    item_factor: Tensor
    liking: Tensor
    popularity: Tensor
    raw_gamma: Tensor
    raw_rate: Tensor
    topics: Tensor
    user_response: Tensor
    item_response: Tensor
    penalty: float
    repeats: bool

    @property
    def gamma(self) -> Tensor:
        """How much the response that a user can expect moves what it takes."""
        return softplus(self.raw_gamma) + _LEAST_GAMMA

    @property
    def rate(self) -> Tensor:
        """The factor of what was taken before."""
        return self.raw_rate.exp() if self.repeats else torch.zeros(())

    def scores(self, users: slice, items: Tensor | slice = slice(None)) -> Tensor:
        """s of some users and of some or all items, float32 ``[n, I]``."""
        user = torch.cat([self.user_factor[users], self.liking[users], self.gamma * self.user_response[users]], dim=1)
        item = torch.cat([self.item_factor, self.topics, self.item_response], dim=1)
        return user @ item[items].T + self.popularity[items]

    def folded_in(self, rows: Rows, responses: Responses) -> Takes:
        """The same for other users, whose own numbers alone are fitted to their rows."""
        start = replace(self.of_others(rows.num_users), user_response=responses.user_factor)
        return _fitted(start, rows, ("user_factor", "liking"))

    def of_others(self, num_users: int) -> Takes:
        """The same for so many unknown users."""
        return with_tensors(self, {name: torch.zeros(num_users, getattr(self, name).shape[1])
                                   for name in ("user_factor", "liking", "user_response")})

    def of_each_user(self, rows: Rows) -> Tensor:
        """The log-likelihood of each user's rows in their order, float64 ``[U]``."""
        users, chunks = _chunks(rows)
        parts = [torch.zeros(some.stop - some.start, dtype=torch.float64).index_add(
            0, own.user, _in_order(self.scores(some), self.rate, own)) for some, own in zip(users, chunks, strict=True)]
        return torch.cat(parts)

    def log_likelihood(self, known: Rows, wanted: Rows) -> float:
        """Mean over rows that follow on ``known``, each as if it were the next."""
        with torch.no_grad():
            parts = [_of_next(self.scores(users), self.rate, of_known, of_wanted).sum() for users, of_known, of_wanted
                     in zip(*_chunks(known), _chunks(wanted)[1], strict=True)]
        return float(sum(parts)) / len(wanted)


def fit_takes(rows: Rows, topics: Tensor, responses: Responses, seed: int) -> Takes:
    """The model whose rank and penalty best predict users that it was not fitted to.

    Of a fifth of the users, half of the rows say what they like, and the others are predicted.
    """
    rng = np.random.default_rng(seed)
    some = some_users(rows, TUNED_ON, rng)
    new = some & (rng.random(rows.num_users) < 0.2)
    old, (known, wanted) = rows.of_users(some & ~new), divided(rows.of_users(new), 0.5, rng)
    of_old, of_new = responses.of_users(some & ~new), responses.of_users(new)

    def score(rank: int, penalty: float) -> float:
        takes = _fitted(_start(old, topics, of_old, rank, penalty, seed), old, _ALL)
        return takes.folded_in(known, of_new).log_likelihood(known, wanted)

    tried = list(product(_RANKS, _PENALTIES))
    best = tried[int(np.argmax([score(*each) for each in tried]))] if len(wanted) and len(old) else tried[-1]
    return _fitted(_start(rows, topics, responses, *best, seed), rows, _ALL)


def popularity_alone(rows: Rows, takes: Takes) -> Takes:
    """The same without anything that makes users differ."""
    return _fitted(takes.of_others(rows.num_users), rows, ("popularity", "raw_rate"))


_ALL = ("user_factor", "item_factor", "liking", "popularity", "raw_gamma", "raw_rate")


def _start(rows: Rows, topics: Tensor, responses: Responses, rank: int, penalty: float, seed: int) -> Takes:
    generator = torch.Generator().manual_seed(seed)
    count = torch.from_numpy(np.bincount(rows.offered, minlength=rows.num_items)).float()
    return Takes(0.1 * torch.randn(rows.num_users, rank, generator=generator),
                 0.1 * torch.randn(rows.num_items, rank, generator=generator),
                 torch.zeros(rows.num_users, topics.shape[1]), (count + 0.5).log() - (count + 0.5).log().mean(),
                 torch.tensor(-1.0), torch.zeros(()), topics, responses.user_factor, responses.item_factor, penalty,
                 rows.has_repeats)


def _fitted(start: Takes, rows: Rows, names: Sequence[str]) -> Takes:
    """With these of its tensors changed so that the rows become likely."""
    parts = {name: leaf(getattr(start, name)) for name in names}
    users, chunks = _chunks(rows) if rows.num_items <= _WIDE else _sampled(rows)

    def loss() -> Tensor:
        likelihood = torch.zeros(())
        for some, own in zip(users, chunks, strict=True):  # one after the other, since all scores could be too many
            now = with_tensors(start, parts)
            part = -_in_order(now.scores(some, own.items), now.rate, own).sum() / len(rows)
            part.backward()  # type: ignore[no-untyped-call]
            likelihood += part.detach()
        now = with_tensors(start, parts)
        taste = sum(table.square().sum() for table in (now.user_factor, now.item_factor, now.liking))
        return likelihood + (now.penalty * taste + _POPULARITY_PENALTY * now.popularity.square().sum()) / 2 / len(rows)

    minimise(loss, [part for part in parts.values() if part.numel()], _STEPS)
    return with_tensors(start, {name: part.detach() for name, part in parts.items()})


class _Chunk(NamedTuple):
    """Rows of neighbouring users, ``n`` of them.

    Attributes:
        user: int64 ``[N']``, from 0. item: int64 ``[N']``.
        first: bool ``[N']``, whether the user has not taken the item in an earlier row.
        offered, offered_new: the same of the item that is to be predicted; see ``Rows``.
        begin: int64 ``[N']``, the row with which the user begins.
        items: int64 ``[M]``, the items that ``item`` numbers; all of them where the catalogue is not wide.
        log_count: float32 ``[M]`` or ``[]``, the logarithm of how many items each of these stands for.
    """

    user: Tensor
    item: Tensor
    first: Tensor
    offered: Tensor
    offered_new: Tensor
    begin: Tensor
    items: Tensor | slice = slice(None)
    log_count: Tensor = torch.zeros(())


def chunks_of(rows: Rows) -> list[slice]:
    """All users in stretches of so many that their scores can be held at once."""
    count = max(1, _CELLS // rows.num_items)
    return [slice(begin, min(begin + count, rows.num_users)) for begin in range(0, rows.num_users, count)]


def _chunks(rows: Rows) -> tuple[list[slice], list[_Chunk]]:
    """The stretches of ``chunks_of`` and their rows."""
    users = chunks_of(rows)
    return users, [_chunk(rows, some) for some in users]


def _chunk(rows: Rows, some: slice) -> _Chunk:
    row = slice(*np.searchsorted(rows.user, [some.start, some.stop]))
    user = rows.user[row] - some.start
    own = (user, rows.item[row], rows.first[row], rows.offered[row], rows.offered_new[row], np.searchsorted(user, user))
    chunk = _Chunk(*(torch.from_numpy(np.ascontiguousarray(column)) for column in own))
    return chunk._replace(offered=chunk.item) if rows.shown is None else chunk


def _sampled(rows: Rows) -> tuple[list[slice], list[_Chunk]]:
    """The same in shorter stretches, with the items that their users took and a sample of the others.

    Each item of the sample stands for as many as its share says, so that the sum over all items has the right mean.
    """
    rng, last = np.random.default_rng(0), np.cumsum(rows.lifetimes)
    edges = np.unique(np.r_[0, np.searchsorted(last, np.arange(_SAMPLE, last[-1], _SAMPLE)) + 1, rows.num_users])
    users, chunks = [slice(*each) for each in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)], []
    for chunk in (_chunk(rows, some) for some in users):
        taken, place = torch.unique(torch.stack([chunk.item, chunk.offered]), return_inverse=True)
        others = np.setdiff1d(np.arange(rows.num_items), taken.numpy())
        sample = torch.from_numpy(rng.permutation(others)[:_SAMPLE])
        count = torch.cat([torch.ones(len(taken)), torch.full((len(sample),), len(others) / max(1, len(sample)))])
        chunks.append(chunk._replace(item=place[0], offered=place[0 if rows.shown is None else 1],
                                     items=torch.cat([taken, sample]), log_count=count.log()))
    return users, chunks


def _in_order(scores: Tensor, rate: Tensor, rows: _Chunk) -> Tensor:
    """Log-likelihood of each row, given the user's earlier rows, for scores ``[n, I]``."""
    row, weight, total = _weights(scores, rows)
    weight_once = weight * rows.first
    before = weight_once.cumsum(0) - weight_once
    before = before - before[rows.begin]
    return _log_share(row, total[rows.user] - (1.0 - rate) * before, rate, rows.offered_new)


def _of_next(scores: Tensor, rate: Tensor, known: _Chunk, wanted: _Chunk) -> Tensor:
    """The same of each ``wanted`` row, given all ``known`` rows of the user."""
    _, weight, _ = _weights(scores, known)
    row, _, total = _weights(scores, wanted)
    taken = torch.zeros_like(total).index_add(0, known.user, weight * known.first)
    width = scores.shape[1]
    new = ~torch.isin(wanted.user * width + wanted.offered, known.user * width + known.item)
    return _log_share(row, (total - (1.0 - rate) * taken)[wanted.user], rate, new)


def _weights(scores: Tensor, rows: _Chunk) -> tuple[Tensor, Tensor, Tensor]:
    """Scores less the user's highest: of what is offered in each row, exp of that of what is taken, and its sum."""
    least = scores - scores.detach().amax(1, keepdim=True)
    row = least[rows.user, rows.offered].double()
    taken = row if rows.offered is rows.item else least[rows.user, rows.item].double()
    return row, taken.exp(), (least + rows.log_count).exp().sum(1, dtype=torch.float64)


def _log_share(row: Tensor, total: Tensor, rate: Tensor, new: Tensor) -> Tensor:
    """The logarithm of a row's part of the weights of all items; at most 0, however little is left of those."""
    own = row + torch.where(new, 1.0, rate).log()
    # As logarithms, since the weight of an unlikely item is 0 in float64, and 0 / 0 would count as likely.
    return own - torch.maximum(total.clamp(min=_TINY).log(), own)


def score_takes(takes: Takes, simple: Takes, known: Rows, wanted: Rows) -> list[Score]:
    """Of held-out rows that follow on ``known``, beside popularity alone; and of repeats, beside none of their own.

    Args:
        takes: of the users of ``known``.
        simple: of popularity alone.
        known: rows that the users are known by.
        wanted: other rows of the same users.
    """
    fitted, popular = takes.log_likelihood(known, wanted), simple.log_likelihood(known, wanted)
    alike = replace(takes, raw_rate=torch.zeros(()), repeats=True).log_likelihood(known, wanted)
    parts = f"taste of rank {takes.item_factor.shape[1]}, topics, response, popularity"
    what = "take" if known.shown is None else "are shown"
    return [Score(f"what users {what}", f"conditional logit: {parts}", "popularity alone", len(wanted), fitted,
                  popular),
            Score("repeats", f"what was taken weighs {float(takes.rate):.3g} times", "it weighs as before", len(wanted),
                  fitted, alike)]
