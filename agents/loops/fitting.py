"""Updates of Q-learning on ``OptionScorer`` by the loops of ``fit_loop``, as functions of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.loops.flat import call, in_one_piece, joined, joined_copies, of_networks, rows_of_copies
from interplay.agents.loops.scorer import Form
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.schedules import Scalar
from interplay.envs.stacking import is_stacked, of_copies


class Rule(NamedTuple):
    """How deep Q-learning learns: see ``DQNOptions``."""

    double: bool
    huber_delta: float
    target_rate: float


class Parts(NamedTuple):
    """Rows to learn from, part by part.

    Attributes:
        places: int64 ``[n]``, which rows, of all parts.
        wanted: float32 ``[n]`` or ``[n, N]``, what their values should be.
        sizes: rows of each part.
    """

    places: Tensor
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
    given, rule = (*rows, parts.places, parts.wanted), (form.hidden, form.levels, form.normal, delta)
    moments = None if is_stacked(rows[0]) else optimiser.moments(progress)
    if moments is None:
        return _part_by_part(given, weights, parts.sizes, rule, lambda gradient: optimiser.follow(gradient, progress))
    (*tables, index, wanted), losses = (table[0] for table in _tables(1, given)), torch.empty(3)
    call("fit_loop", "improve", *tables, index, np.cumsum(parts.sizes), wanted, *moments, *rule, losses)
    return losses


def update(form: Form, networks: Sequence[Sequence[Tensor]], rows: Sequence[Tensor], batches: Tensor,
           optimiser: Optimiser, progress: Scalar, rule: Rule) -> Tensor | None:
    """``targets``, ``fit`` and a target network that follows, for one batch after another, all in one call.

    Args:
        form: as for ``targets``.
        networks: weights of the online network, and of the target network.
        rows: as for ``fit``, and then as for ``targets``.
        batches: int64 ``[K, n]``, the rows of each of K updates.
        optimiser: as for ``fit``.
        progress: as for ``fit``.
        rule: of the options.

    Returns:
        As for ``fit``, of the last batch; None where all has to be done step by step.
    """
    moments = None if is_stacked(batches) else optimiser.moments(progress)
    if moments is None:
        return None
    tables, losses = [np.ascontiguousarray(table.numpy()) for table in (*rows, batches)], torch.empty(3)
    call("fit_loop", "update", *tables, *moments, in_one_piece(networks[1]), rule.target_rate, rule.double, form.hidden,
         form.levels, form.normal, rule.huber_delta, losses)
    return losses


def _part_by_part(given: Sequence[Tensor], weights: Sequence[Tensor], sizes: Sequence[int],
                  rule: tuple[Any, ...], follow: Callable[[Tensor], None]) -> Tensor:
    """``fit`` where ``follow`` moves the weights: those of stacked networks, and of several processes."""
    stacked = is_stacked(given[0])

    def work(*tables: Tensor) -> list[Tensor]:
        layers, start = tables[len(given):], 0
        copies = len(layers[0]) if stacked else 1
        *rows, index, wanted = _tables(copies, tables[:len(given)])
        losses, agents = torch.empty(copies, 3), wanted.shape[1] // max(1, index.shape[1])
        for end in np.cumsum(sizes):
            flat = joined_copies(layers) if stacked else joined(layers)
            gradient = torch.zeros_like(flat)
            call("fit_loop", "fit", *rows, np.ascontiguousarray(index[:, start:end]), agents,
                 np.ascontiguousarray(wanted[:, start * agents:end * agents]), flat, *rule, losses, gradient)
            follow(gradient if stacked else gradient[0])
            start = end
        return [losses]

    return of_copies(work, *given, *weights)[0] if stacked else work(*given, *weights)[0][0]


def _tables(copies: int, given: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Of rows, an index and what is wanted, with axes for copies and for rows."""
    return [rows_of_copies(table, copies, last) for table, last in zip(given, (1, 2, 0, 0, 0, 0, 0), strict=True)]
