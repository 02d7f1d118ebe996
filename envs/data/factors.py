"""A biased low-rank model of a log's rewards, fitted by alternating least squares."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from interplay.envs.data.log import InteractionLog
from interplay.envs.types import InterplayError

Floats = NDArray[np.float64]

_CHUNK = 1 << 24  # numbers of the normal equations that are held at once: 128 MiB
_NARROW = 32  # up to this width, a loop over rows takes longer than their products


class Factors(NamedTuple):
    """``mean + user_bias[u] + item_bias[i] + <user_vector[u], item_vector[i]>``, on the scale [0, 1].

    Attributes:
        mean: of the training rewards, weighted as the fit was.
        user_bias, item_bias: float64 ``[U]`` and ``[I]``; 0 for users or items that were never seen.
        user_vector, item_vector: float64 ``[U, D]`` and ``[I, D]``; 0 for users or items that were never seen.
    """

    mean: float
    user_bias: Floats
    item_bias: Floats
    user_vector: Floats
    item_vector: Floats

    def predict(self, user: NDArray[np.int64], item: NDArray[np.int64]) -> Floats:
        """Expected rewards of pairs (int64 ``[N]`` each), float64 ``[N]``; may lie a little outside [0, 1]."""
        taste = np.einsum("nd,nd->n", self.user_vector[user], self.item_vector[item])
        predicted: Floats = self.mean + self.user_bias[user] + self.item_bias[item] + taste
        return predicted


def fit_factors(log: InteractionLog, size: int = 16, ridge: float = 0.33, iterations: int = 10,
                seed: int = 0, weight: Floats | None = None) -> Factors:
    """Fit the model to ``log``, which should be a training part.

    In turn each side's vectors and biases are the exact ridge solution for the other's. The penalty of a user or
    item with n rows is ``ridge * sqrt(n)``: between the fixed one, which lets the busy overfit, and the one in
    proportion to n, which keeps them from being learnt.

    A row of weight w counts as w rows, in the error as in n. With inverse propensities as weights the error is that of
    Schnabel et al., "Recommendations as treatments" (ICML 2016), equation 8, and unbiased for the error over all pairs;
    n is then about alike for all, so that the penalty too is about the fixed one of that equation.

    Args:
        log: its rewards are scaled to [0, 1] first.
        size: D; 0 fits biases alone.
        ridge: 0.33 was the best of several on held-out MovieLens-100K ratings.
        iterations: rounds over both sides.
        seed: of the first item vectors; the fit follows from it exactly.
        weight: float64 ``[N]``, at least 0, of each row; only their ratios matter, since they are divided by their mean
            (self-normalised). None = all alike.

    Raises:
        InterplayError: a number is out of its range, the weights are no weights of these rows, or all rewards are
            equal.
    """
    if size < 0 or iterations < 1 or not ridge > 0.0:
        raise InterplayError(f"size={size}, iterations={iterations}, ridge={ridge}: give a size of at least 0, "
                             "iterations of at least 1 and a ridge above 0")
    reward = log.scaled(log.reward).astype(np.float64)
    times = np.ones_like(reward) if weight is None else _self_normalised(weight, len(log))
    mean = float((times * reward).mean())
    rows, rest = _sparse(log, times), _sparse(log, times * (reward - mean))
    by_item = rows.T.tocsr(), rest.T.tocsr()
    item_vector = 0.1 * np.random.default_rng(seed).standard_normal((log.num_items, size))
    item_bias = np.zeros(log.num_items)
    for _ in range(iterations):
        user_vector, user_bias = _solve(rows, rest, item_vector, item_bias, ridge)
        item_vector, item_bias = _solve(*by_item, user_vector, user_bias, ridge)
    return Factors(mean, user_bias, item_bias, user_vector, item_vector)


def _self_normalised(weight: Floats, count: int) -> Floats:
    """Weights whose mean is 1, so that a ridge means the same on every scale."""
    if weight.shape != (count,):
        raise InterplayError(f"weight has shape {weight.shape} where the log has {count} rows: give one for each row")
    wrong = weight[~(np.isfinite(weight) & (weight >= 0.0))]
    if len(wrong) or not weight.any():
        raise InterplayError(f"weight={wrong[0] if len(wrong) else 0.0:g}: give finite weights of at least 0, "
                             "not all of them 0")
    normalised: Floats = weight / weight.mean()
    return normalised


def _sparse(log: InteractionLog, value: Floats) -> csr_matrix:
    """Values summed by pair, ``[U, I]``."""
    return csr_matrix((value, (log.user, log.item)), shape=(log.num_users, log.num_items))


def _solve(rows: csr_matrix, rest: csr_matrix, vector: Floats, bias: Floats,
           ridge: float) -> tuple[Floats, Floats]:
    """Vectors and biases of one side, given the other's.

    Args:
        rows: ``[N, J]``, how often each pair occurs, or the sum of its rows' weights.
        rest: ``[N, J]``, each pair's sum of reward - mean, weighted.
        vector: ``[J, D]``, the other side's.
        bias: ``[J]``, the other side's.
        ridge: penalty for one row.

    Returns:
        ``[N, D]`` and ``[N]``.
    """
    design = np.column_stack([vector, np.ones(len(vector))])
    target = rest @ design - rows @ (bias[:, None] * design)
    count = np.asarray(rows.sum(1)).ravel()
    count[count == 0.0] = 1.0  # a side's member without rows keeps a penalty, and so a solution: 0
    solution = solve_rows(rows, design, target, ridge * np.sqrt(count))
    return solution[:, :-1], solution[:, -1]


def solve_rows(rows: csr_matrix, design: Floats, target: Floats, ridge: Floats, common: Floats | float = 0.0) -> Floats:
    """The half of alternating least squares that solves for one side.

    Row n is ``(sum_j rows[n, j] x_j x_j' + common + ridge[n])^-1 target[n]`` with x_j the rows of ``design``.

    Args:
        rows: ``[N, J]``, weights of pairs.
        design: ``[J, W]``.
        target: ``[N, W]``.
        ridge: ``[N]``.
        common: ``[W, W]``, the same in all rows.

    Returns:
        ``[N, W]``.
    """
    width, solution = design.shape[1], np.empty_like(target)
    chunk = max(1, _CHUNK // (width * width))
    for part in (slice(start, start + chunk) for start in range(0, len(target), chunk)):
        gram = _grams(rows[part], design) + ridge[part, None, None] * np.eye(width) + common
        solution[part] = np.linalg.solve(gram, target[part, :, None])[:, :, 0]
    return solution


def _grams(rows: csr_matrix, design: Floats) -> Floats:
    """``sum_j rows[n, j] x_j x_j'`` of each row, ``[N, W, W]``."""
    width = design.shape[1]
    if width <= _NARROW:  # one sparse product
        outer = (design[:, :, None] * design[:, None, :]).reshape(len(design), width * width)
        narrow: Floats = (rows @ outer).reshape(-1, width, width)
        return narrow
    grams = np.empty((rows.shape[0], width, width))
    for n, (start, end) in enumerate(pairwise(rows.indptr)):  # one dense product for each row
        met = design[rows.indices[start:end]]
        grams[n] = (rows.data[start:end, None] * met).T @ met
    return grams
