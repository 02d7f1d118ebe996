"""Pairs of users and items in the rows of a log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def are_new(user: NDArray[np.int64], item: NDArray[np.int64], num_items: int) -> NDArray[np.bool_]:
    """Whether each row is the first of its user and its item, bool ``[N]``; ``user`` and ``item`` are int64 ``[N]``."""
    _, first = np.unique(user * np.int64(num_items) + item, return_index=True)
    new = np.zeros(len(user), dtype=np.bool_)
    new[first] = True
    return new
