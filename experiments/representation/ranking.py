"""Full-catalogue ranking metrics: every item that a user has not seen competes, none is sampled.

Metrics on sampled negatives order models otherwise than the full ones do (Krichene and Rendle, "On sampled metrics for
item recommendation", KDD 2020), so that there are none here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from interplay.envs.data.log import InteractionLog
from interplay.envs.types import InterplayError
from interplay.experiments.statistics import Estimate, mean_estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Ranker = Callable[[Ints], NDArray[np.floating]]
"""Scores ``[n, I]`` of all items for users int64 ``[n]``; only their order within a row counts."""

_CHUNK = 1 << 24  # scores held at once


class Ranking(NamedTuple):
    """Means over users who have something held out, with intervals from bootstrapping these users.

    Attributes:
        recall: share of a user's held-out items that are in the list.
        ndcg: discounted gain over that of the best list (Jarvelin and Kekalainen 2002), gains 0 and 1.
        hit_rate: share of users with a held-out item in the list.
        mrr: 1 / rank of the first held-out item, over the whole catalogue.
        coverage: share of items that are in anybody's list.
    """

    recall: Estimate
    ndcg: Estimate
    hit_rate: Estimate
    mrr: Estimate
    coverage: float


def interactions(log: InteractionLog) -> csr_matrix:
    """Who met what: 1 where a pair occurs, ``[U, I]``."""
    pairs = log.pairs().key
    rows, columns = np.divmod(pairs, log.num_items)
    return csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape=(log.num_users, log.num_items))


def top_k(scores: NDArray[np.floating], k: int) -> Ints:
    """Columns of the ``k`` highest scores of each row, best first, the lower number first among equals: ``[n, k]``."""
    k = min(k, scores.shape[1])
    worst = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    # Whoever ties with the last place may be among many: order all of those by number.
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
        InterplayError: nothing is held out, or ``k`` is no length.
    """
    users = np.flatnonzero(np.diff(held_out.indptr)).astype(np.int64)
    if k < 1 or len(users) == 0:
        raise InterplayError(f"k={k}, {len(users)} users with held-out rows: give a list at least one place and hold "
                             "something out")
    listed, figures = np.zeros(seen.shape[1], dtype=bool), []
    for part in np.array_split(users, -(-len(users) * seen.shape[1] // _CHUNK)):
        scores = _unseen(ranker, part, seen)
        relevant = held_out[part].toarray() > 0
        top = top_k(scores, k)
        listed[top[np.take_along_axis(scores, top, 1) > -np.inf]] = True
        figures.append(_figures(scores, relevant, top))
    recall, ndcg, hit, reciprocal = (mean_estimate(values) for values in np.concatenate(figures, axis=1))
    return Ranking(recall, ndcg, hit, reciprocal, float(listed.mean()))


def _unseen(ranker: Ranker, users: Ints, seen: csr_matrix) -> Floats:
    """Scores of what the users have not seen, -inf for the rest."""
    scores = np.array(ranker(users), dtype=np.float64)
    scores[seen[users].toarray() > 0] = -np.inf
    return scores


def _figures(scores: Floats, relevant: NDArray[np.bool_], top: Ints) -> Floats:
    """Recall, NDCG, hit and reciprocal rank of each row: ``[4, n]``."""
    hits = np.take_along_axis(relevant, top, 1)
    count = relevant.sum(1)
    discount = 1.0 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = discount.cumsum()[np.minimum(count, top.shape[1]) - 1]
    best = np.where(relevant, scores, -np.inf)
    first = best.argmax(1)
    value = best[np.arange(len(best)), first][:, None]
    before = (scores > value) | ((scores == value) & (np.arange(scores.shape[1]) < first[:, None]))
    return np.stack([hits.sum(1) / count, (hits * discount).sum(1) / ideal, hits.any(1), 1.0 / (1.0 + before.sum(1))])
