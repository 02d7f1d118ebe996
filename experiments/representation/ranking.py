"""Full-catalogue ranking metrics: every item that a user has not seen competes, none is sampled.

Metrics on sampled negatives order models otherwise than the full ones do (Krichene and Rendle, "On sampled metrics for
item recommendation", KDD 2020), so that there are none here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from interplay.envs.data.log import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.common.statistics import Estimate, check_finite, mean_estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Ranker = Callable[[Ints], NDArray[np.floating]]
"""Scores ``[n, I]`` of all items for users int64 ``[n]``; only their order within a row counts."""

_CHUNK = 1 << 24  # scores held at once


class Ranking(NamedTuple):
    """Means over users who have something held out, with 95 % intervals over these users.

    Items with equal scores have no order. Each figure is the exact expectation over all orders of them, each as likely
    (McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied
    scores", ECIR 2008). So no figure depends on how items are numbered.

    Attributes:
        recall: share of a user's held-out items that are in the list.
        precision: share of the list's places that hold one.
        ndcg: discounted gain over that of the best list (Jarvelin and Kekalainen 2002), gains 0 and 1.
        map: precision at the place of each held-out item in the list, summed over these and divided by that of the
            best list.
        hit_rate: share of users with a held-out item in the list.
        mrr: 1 / rank of the first held-out item, over the whole catalogue.
        coverage: share of items that are in at least one list.
    """

    recall: Estimate
    precision: Estimate
    ndcg: Estimate
    map: Estimate
    hit_rate: Estimate
    mrr: Estimate
    coverage: float


def interactions(log: InteractionLog) -> csr_matrix:
    """The pairs of a log: 1 where a pair occurs, ``[U, I]``."""
    pairs = log.pairs().key
    rows, columns = np.divmod(pairs, log.num_items)
    return csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape=(log.num_users, log.num_items))


class Trial(NamedTuple):
    """A question to rankings. Each is ``[U, I]`` with 1 for a pair.

    Attributes:
        met: what is never listed, liked or not.
        liked: what may be learnt from.
        wanted: what should be found.
    """

    met: csr_matrix
    liked: csr_matrix
    wanted: csr_matrix

    def rank(self, ranker: Ranker, k: int = 10) -> Ranking:
        """How well ``ranker`` finds what is wanted."""
        return rank(ranker, self.met, self.wanted, k)

    def gains(self, ranker: Ranker) -> Floats:
        """NDCG@10 of each user with something wanted: float64 ``[n]``."""
        parts = _judged(ranker, self.met, self.wanted, 10)
        return np.array([figures[2] for of_users, _ in parts for figures in of_users])


def make_trial(met: InteractionLog, liked: InteractionLog, wanted: InteractionLog) -> Trial:
    """The trial of logs; what is wanted is not met, even if it is in ``met``, too."""
    unmet = interactions(met) - interactions(met).multiply(interactions(wanted))
    unmet.eliminate_zeros()
    return Trial(unmet.tocsr(), interactions(liked), interactions(wanted))


def top_k(scores: NDArray[np.floating], k: int) -> Ints:
    """Columns of the ``k`` highest scores of each row, best first, the lower column first among equals: ``[n, k]``."""
    k = min(k, scores.shape[1])
    worst = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    # Many items may tie with the last place: order all of those by number.
    order = np.argsort(np.where(scores >= worst, -scores, np.inf), axis=1, kind="stable")
    return order[:, :k].astype(np.int64)


def rank(ranker: Ranker, seen: csr_matrix, held_out: csr_matrix, k: int = 10) -> Ranking:
    """How well ``ranker`` finds what was held out.

    Args:
        ranker: what is judged.
        seen: ``[U, I]``, what is never listed: the training part.
        held_out: ``[U, I]``.
        k: length of the list.

    Raises:
        InterplayError: nothing is held out, ``k`` is no length, or scores are not finite.
    """
    figures, absent = [], np.ones(seen.shape[1])
    for of_users, unlisted in _judged(ranker, seen, held_out, k):
        figures += of_users
        absent *= unlisted
    recall, precision, ndcg, average, hit, reciprocal = (mean_estimate(values) for values in np.transpose(figures))
    return Ranking(recall, precision, ndcg, average, hit, reciprocal, float(1.0 - absent.mean()))


def _judged(ranker: Ranker, seen: csr_matrix, held_out: csr_matrix, k: int) -> \
        Iterator[tuple[list[tuple[float, ...]], Floats]]:
    """Figures of users with held-out rows, a part at a time, and each item's chance to be in none of their lists."""
    users = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int64)
    if k < 1 or len(users) == 0:
        raise InterplayError(f"k={k}, {len(users)} users with held-out rows: give a list at least one place and hold "
                             "something out")
    for part in np.array_split(users, -(-len(users) * seen.shape[1] // _CHUNK)):
        scores = unseen(ranker, part, seen)
        yield _figures(scores, held_out[part], k), _absent(scores, k)


def unseen(ranker: Ranker, users: Ints, seen: csr_matrix) -> NDArray[np.float32]:
    """Scores of what the users have not seen, -inf for the rest: ``[n, I]``.

    They are float32, since the rounding of a float64 solver is no preference.

    Raises:
        InterplayError: a score is not finite. Compared with NaN, everything would be last or first.
    """
    with np.errstate(over="ignore"):
        scores = np.array(ranker(users), dtype=np.float32)
    check_finite(scores, "scores of items")
    scores[seen[users].toarray() > 0] = -np.inf
    return scores


def _figures(scores: NDArray[np.float32], held_out: csr_matrix, k: int) -> list[tuple[float, ...]]:
    """The figures of each row, in the order of ``Ranking``."""
    ordered = np.sort(scores, axis=1)
    found = []
    for n, row in enumerate(ordered):
        own = scores[n, held_out.indices[held_out.indptr[n] : held_out.indptr[n + 1]]]
        found.append(_expected(_places(row, own), len(own), k))
    return found


class _Places(NamedTuple):
    """Where held-out items stand, best first: int64 ``[R]`` each. Those that can't be listed are left out.

    Attributes:
        above: items with a higher score.
        tied: items with the same score, itself included.
        own_above, own_tied: held-out ones among those.
    """

    above: Ints
    tied: Ints
    own_above: Ints
    own_tied: Ints


def _places(ordered: NDArray[np.float32], own: NDArray[np.float32]) -> _Places:
    """Places of the scores ``own [R]`` among ``ordered [I]``, which ascends."""
    own = np.sort(own[own > -np.inf])
    left, right = (np.searchsorted(ordered, own, side) for side in ("left", "right"))
    own_left, own_right = (np.searchsorted(own, own, side) for side in ("left", "right"))
    return _Places(*(part[::-1] for part in (len(ordered) - right, right - left, len(own) - own_right,
                                             own_right - own_left)))


def _expected(places: _Places, count: int, k: int) -> tuple[float, ...]:
    """Expectations of one user's figures over all orders of equal scores; ``count`` items are held out."""
    above, tied, own_above, own_tied = places
    if len(above) == 0:
        return (0.0,) * 6
    discounted, harmonic = _sums(k)
    start = np.minimum(above, k)
    inside = np.minimum(k - start, tied)  # how many of its equals the list holds
    stop = start + inside
    hits = (inside / tied).sum()
    gain = ((discounted[stop] - discounted[start]) / tied).sum()
    # At place j of a tie, another held-out item is before it with this chance for each of the places between.
    other = (own_tied - 1) / np.maximum(tied - 1, 1)
    precise = (harmonic[stop] - harmonic[start]) * (own_above + 1 - (above + 1) * other) + inside * other
    best = min(count, k)
    first = int(tied[0]), int(own_tied[0])
    return (hits / count, hits / k, gain / discounted[best], (precise / tied).sum() / best,
            1.0 - _missed(*first, int(inside[0])), _reciprocal(*first, int(above[0])))


@lru_cache(maxsize=8)
def _sums(k: int) -> tuple[Floats, Floats]:
    """Sums of discounts, and of 1 / place, over the first 0 to ``k`` places."""
    place = np.arange(1, k + 1)
    return np.append(0.0, np.cumsum(1.0 / np.log2(place + 1))), np.append(0.0, np.cumsum(1.0 / place))


@lru_cache(maxsize=1 << 16)
def _missed(tied: int, own: int, inside: int) -> float:
    """Chance that none of ``own`` of ``tied`` items is among the first ``inside`` of them."""
    drawn = np.arange(inside)
    return float(np.prod(np.maximum(tied - own - drawn, 0) / (tied - drawn)))


@lru_cache(maxsize=1 << 16)
def _reciprocal(tied: int, own: int, above: int) -> float:
    """Mean of 1 / rank of the first of ``own`` of ``tied`` items, behind ``above`` others."""
    drawn = np.arange(tied - own + 1)  # equals before it
    none_yet = np.append(1.0, np.cumprod((tied - own - drawn[:-1]) / (tied - drawn[:-1])))
    return float((none_yet * own / (tied - drawn) / (above + 1 + drawn)).sum())


def _absent(scores: NDArray[np.float32], k: int) -> Floats:
    """Chance of each item ``[I]`` to be in none of the lists of ``k``."""
    k = min(k, scores.shape[1])
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    above, tied = scores > last, scores == last
    chance = (k - above.sum(1, keepdims=True)) / tied.sum(1, keepdims=True)
    listed = np.where(above, 1.0, np.where(tied & (last > -np.inf), chance, 0.0))
    absent: Floats = (1.0 - listed).prod(0)
    return absent
