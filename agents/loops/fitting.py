"""Updates of Q-learning on ``OptionScorer`` by the loops of ``fit_loop``, as functions of torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interplay.agents.loops.flat import call, of_networks, rows_of_copies
from interplay.agents.loops.scorer import Form


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


def fit(form: Form, weights: Sequence[Tensor], rows: Sequence[Tensor], index: Tensor, wanted: Tensor,
        delta: float = 1.0) -> tuple[Tensor, Tensor]:
    """What moves values of what was done in some rows towards those that are wanted.

    Args:
        form: the network's; its actions have one number each.
        weights: the network's, in its order.
        rows: own ``[R, F_own]`` or ``[R, N, F_own]``, options, action, valid and weight of all rows.
        index: int64 ``[n]``, which rows.
        wanted: float32 ``[n]`` or ``[n, N]``.
        delta: of Huber's loss.

    Returns:
        Huber's loss of valid rows, their mean value beside that of all rows ``[3]``; and the gradient of all weights
        ``[P]``.
    """
    def work(own: Tensor, options: Tensor, action: Tensor, valid: Tensor, weight: Tensor, index: Tensor, wanted: Tensor,
             flat: Tensor) -> list[Tensor]:
        copies = len(flat)
        tables = [rows_of_copies(table, copies, last) for table, last in (
            (own, 1), (options, 2), (action, 0), (valid, 0), (weight, 0), (index, 0))]
        aims = rows_of_copies(wanted, copies, 0)
        losses, gradient = flat.new_empty(copies, 3), torch.zeros_like(flat)
        call("fit_loop", "fit", *tables, aims.shape[1] // max(1, tables[-1].shape[1]), aims, flat, form.hidden,
             form.levels, form.normal, delta, losses, gradient)
        return [losses, gradient]

    losses, gradient = of_networks(work, (*rows, index, wanted), [weights])
    return losses, gradient
