"""Updates of Q-learning on ``OptionScorer`` by the loops of ``fit_loop``, as functions of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.loops.flat import call, joined, joined_copies, of_networks, rows_of_copies
from interplay.agents.loops.scorer import Form
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.schedules import Scalar
from interplay.envs.stacking import is_stacked, of_copies


class Parts(NamedTuple):
    """Rows to learn from, part by part.

    Attributes:
        index: int64 ``[n]``, which rows, of all parts.
        wanted: float32 ``[n]`` or ``[n, N]``, what their values should be.
        sizes: rows of each part.
    """

    index: Tensor
    wanted: Tensor
    sizes: Sequence[int]


def targets(form: Form, networks: Sequence[Sequence[Tensor]], rows: Sequence[Tensor], index: Tensor,
            double: bool) -> Tensor:
    """``reward + discount * value`` of the best allowed action in each row, float32 ``[n]``.

    Args:
        form: of both networks; its actions have one number each.
        networks: weights of the network that chooses the action, and of the one that says its value, if ``double``.
        rows: own ``[R, F_own]``, options, mask, reward and discount of all rows.
        index: int64 ``[n]``, which rows.
        double: whether another network says the value.
    """
    def work(own: Tensor, options: Tensor, mask: Tensor, reward: Tensor, discount: Tensor, index: Tensor,
             *flat: Tensor) -> list[Tensor]:
        copies = len(flat[0])
        tables = [rows_of_copies(table, copies, last) for table, last in (
            (own, 1), (options, 2), (mask, 1), (reward, 0), (discount, 0), (index, 0))]
        found = flat[0].new_empty(tables[-1].shape)
        call("fit_loop", "targets", *tables, *flat, form.hidden, form.levels, form.normal, double, found)
        return [found]

    return of_networks(work, (*rows, index), networks)[0]


def fit(form: Form, weights: Sequence[Tensor], rows: Sequence[Tensor], parts: Parts, optimiser: Optimiser,
        progress: Scalar, delta: float = 1.0) -> Tensor:
    """Move values of what was done in some rows towards those that are wanted, part by part.

    Args:
        form: the network's; its actions have one number each.
        weights: the network's, in its order.
        rows: own ``[R, F_own]`` or ``[R, N, F_own]``, options, action, valid and weight of all rows.
        parts: which rows, and what their values should be.
        optimiser: of all these weights.
        progress: part of the training that is done.
        delta: of Huber's loss.

    Returns:
        Of the last part: Huber's loss of valid rows, their mean value beside that of all rows ``[3]``.
    """
    stacked, rule = is_stacked(rows[0]), (form.hidden, form.levels, form.normal, delta)

    def tables_of(copies: int, given: Sequence[Tensor]) -> list[NDArray[Any]]:
        return [rows_of_copies(table, copies, last) for table, last in zip(given, _OF_FIT, strict=False)]

    def work(*given: Tensor) -> list[Tensor]:
        layers = given[len(_OF_FIT):]
        copies = len(layers[0]) if stacked else 1
        *tables, index, wanted = tables_of(copies, given)
        losses, agents, start = torch.empty(copies, 3), wanted.shape[1] // max(1, index.shape[1]), 0
        for size in parts.sizes:
            flat = joined_copies(layers) if stacked else joined(layers)
            gradient = torch.zeros_like(flat)
            call("fit_loop", "fit", *tables, index[:, start:start + size], agents, wanted[:, agents * start:agents * (start + size)], flat, *rule, losses, gradient)
            optimiser.follow(gradient if stacked else gradient[0], progress)
            start += size
        return [losses]

    given = (*rows, parts.index, parts.wanted)
    if stacked:
        return of_copies(work, *given, *weights)[0]
    moments = optimiser.moments(progress)
    if moments is None:
        return work(*given, *weights)[0][0]
    *tables, index, wanted = tables_of(1, given)
    losses = torch.empty(3)
    call("fit_loop", "improve", *(table[0] for table in tables), index[0], np.cumsum(parts.sizes), wanted[0], *moments, *rule, losses)
    return losses


_OF_FIT = 1, 2, 0, 0, 0, 0, 0  # axes behind those of agents: of rows, an index, and what is wanted
