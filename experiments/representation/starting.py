"""Where two towers begin: at a factorisation of what is liked, in place of random weights."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from interplay.experiments.representation.baselines import als_vectors, fold_in
from interplay.experiments.representation.tuning import Strengths
from interplay.experiments.representation.two_tower import TwoTower

_LINEAR = 0.2  # root mean square of what goes into the tanh, which is nearly linear there
_SPREAD = 2.0  # deviation of the first logits


@torch.no_grad()
def start_from_als(model: TwoTower, seen: csr_matrix, strengths: Strengths) -> None:
    """Give ``mlp`` towers the vectors of ``implicit_als``, in their first columns.

    A user's code is the sum of the vectors of what it likes (``fold_in``), so that lists are nearly those of ALS, and
    users that are known better later need no new fit.

    Args:
        model: with the encoder ``mlp`` and the scorer ``hadamard``.
        seen: ``[U, I]``, what is liked.
        strengths: of ``implicit_als``.
    """
    size = min(int(strengths["size"]), model.shape.size)
    _, item = als_vectors(seen, size, strengths["weight"], strengths["ridge"])
    read = fold_in(seen, item, strengths["weight"], strengths["ridge"])
    count = np.maximum(np.asarray(seen.sum(1)), 1.0)
    read *= _LINEAR / _root_mean_square((seen @ read) / np.sqrt(count))
    item *= _SPREAD / max(1e-9, float((np.tanh((seen @ read) / np.sqrt(count)) @ item.T).std()))
    _put(model.get_parameter("_item.weight"), item)
    for liked in range(2):  # a pair that the threshold of responses calls disliked is taken all the same
        first = 1 + liked * model.shape.num_items
        _put(model._met[first : first + model.shape.num_items], read)


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return max(1e-9, float(np.sqrt(np.square(values).mean())))


def _put(table: Tensor, vectors: NDArray[np.float64]) -> None:
    """Vectors in the first columns; the other columns keep their small random weights."""
    table[:, : vectors.shape[1]] = torch.from_numpy(vectors).float()
