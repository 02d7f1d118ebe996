"""Baselines that learned representations have to beat on the same split. They are deterministic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from interplay.envs.data.factors import solve_rows
from interplay.envs.types import InterplayError
from interplay.experiments.representation.ranking import Ranker

Floats = NDArray[np.float64]

Baseline = Callable[..., Ranker]
"""Fitted to the pairs ``[U, I]`` that are liked, with strengths by name."""

_LARGEST = 20_000  # items whose square still fits into memory: 3 GB of float64


def popularity(seen: csr_matrix) -> Ranker:
    """The same list for all users: items by how many users met them."""
    count = np.asarray(seen.sum(0)).ravel()
    return lambda users: np.broadcast_to(count, (len(users), len(count)))


def ease(seen: csr_matrix, ridge: float = 200.0) -> Ranker:
    """Steck, "Embarrassingly shallow autoencoders for sparse data" (WWW 2019), equation 8.

    Raises:
        InterplayError: too many items to invert their Gram matrix.
    """
    _check_size(seen, "ease")
    gram = (seen.T @ seen).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weight = -inverse / np.diag(inverse)
    np.fill_diagonal(weight, 0.0)
    return lambda users: np.asarray(seen[users] @ weight)


def item_knn(seen: csr_matrix, neighbours: int = 100, shrink: float = 10.0) -> Ranker:
    """Cosine between items, shrunk where few users met both (Sarwar et al. 2001; Bell and Koren 2007).

    Raises:
        InterplayError: too many items for their similarity matrix.
    """
    _check_size(seen, "item-knn")
    both = (seen.T @ seen).toarray().astype(np.float64)
    norm = np.sqrt(np.diag(both))
    similarity = both / (np.outer(norm, norm) + shrink)
    np.fill_diagonal(similarity, 0.0)
    kept = min(neighbours, len(both))
    least = -np.partition(-similarity, kept - 1, axis=0)[kept - 1]
    similarity[similarity < least] = 0.0
    return lambda users: np.asarray(seen[users] @ similarity)


def implicit_als(seen: csr_matrix, size: int = 64, weight: float = 3.0, ridge: float = 30.0, iterations: int = 15,
                 seed: int = 0) -> Ranker:
    """Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (ICDM 2008): ``als_vectors``."""
    user, item = als_vectors(seen, size, weight, ridge, iterations, seed)
    return lambda users: np.asarray(user[users] @ item.T)


def als_vectors(seen: csr_matrix, size: int = 64, weight: float = 3.0, ridge: float = 30.0, iterations: int = 15,
                seed: int = 0) -> tuple[Floats, Floats]:
    """Vectors of users and items by Hu, Koren and Volinsky's equations 4 and 5: float64 ``[U, E]`` and ``[I, E]``.

    Args:
        seen: ``[U, I]``.
        size: of the vectors.
        weight: alpha: how much more a pair that occurred counts than one that did not.
        ridge: of both sides.
        iterations: rounds over both sides.
        seed: of the first item vectors.
    """
    item = 0.1 * np.random.default_rng(seed).standard_normal((seen.shape[1], size))
    by_item = seen.T.tocsr()
    for _ in range(iterations):
        user = _solved(seen, item, weight, ridge)
        item = _solved(by_item, user, weight, ridge)
    return _solved(seen, item, weight, ridge), item


def fold_in(seen: csr_matrix, item: Floats, weight: float, ridge: float) -> Floats:
    """A vector of each item, whose sum over what a user likes is about the user's own by ``als_vectors``: ``[I, E]``.

    Equation 4 with the same matrix for all users: that of a user that likes each item as often as users do on average.
    """
    share = seen.sum() / (seen.shape[0] * seen.shape[1])
    matrix = (1.0 + weight * share) * item.T @ item + ridge * np.eye(item.shape[1])
    vectors: Floats = (1.0 + weight) * np.linalg.solve(matrix, item.T).T
    return vectors


def _solved(rows: csr_matrix, other: Floats, weight: float, ridge: float) -> Floats:
    """Vectors of one side, given the other's."""
    target = (1.0 + weight) * (rows @ other)
    return solve_rows(weight * rows, other, target, np.full(len(target), ridge), common=other.T @ other)


def _check_size(seen: csr_matrix, name: str) -> None:
    if seen.shape[1] > _LARGEST:
        raise InterplayError(f"{name} needs the square of {seen.shape[1]:,} items, more than {_LARGEST:,}: leave it "
                             "out with --no-baselines, or keep fewer items")

