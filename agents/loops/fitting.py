"""Updates of Q-learning on ``OptionScorer`` by the loops of ``fit_loop``, as functions of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor

from interplay.agents.loops.flat import call, in_one_piece, joined_copies, of_networks, rows_of_copies
from interplay.agents.loops.scorer import Form
from interplay.envs.stacking import is_stacked, of_copies


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


def fit(form: Form, weights: Sequence[Tensor], rows: Sequence[Tensor], parts: Sequence[tuple[Tensor, Tensor]],
        follow: Callable[[Tensor], None], delta: float = 1.0) -> Tensor:
    """Move values of what was done in some rows towards those that are wanted, part by part.

    Args:
        form: the network's; its actions have one number each.
        weights: the network's, in its order.
        rows: own ``[R, F_own]`` or ``[R, N, F_own]``, options, action, valid and weight of all rows.
        parts: int64 ``[n]``, which rows, and float32 ``[n]`` or ``[n, N]``, what their values should be.
        follow: moves the weights against the gradient ``[P]`` of a part's loss; of stacked networks ``[S, P]``.
        delta: of Huber's loss.

    Returns:
        Of the last part: Huber's loss of valid rows, their mean value beside that of all rows ``[3]``.
    """
    stacked, each = is_stacked(rows[0]), len(weights)

    def work(*given: Tensor) -> list[Tensor]:
        of_parts, layers = given[_OF_FIT:-each], given[-each:]
        copies = len(layers[0]) if stacked else 1
        tables = [rows_of_copies(table, copies, last) for table, last in zip(given, (1, 2, 0, 0, 0), strict=False)]
        losses, alone = torch.empty(copies, 3), None if stacked else in_one_piece(layers).unsqueeze(0)
        for index, wanted in zip(of_parts[::2], of_parts[1::2], strict=True):
            flat = joined_copies(layers) if alone is None else alone
            places, aims, gradient = (rows_of_copies(index, copies, 0), rows_of_copies(wanted, copies, 0),
                                      torch.zeros_like(flat))
            call("fit_loop", "fit", *tables, places, aims.shape[1] // max(1, places.shape[1]), aims, flat, form.hidden,
                 form.levels, form.normal, delta, losses, gradient)
            follow(gradient if stacked else gradient[0])
        return [losses]

    given = (*rows, *chain.from_iterable(parts), *weights)
    return of_copies(work, *given)[0] if stacked else work(*given)[0][0]


_OF_FIT = 5  # tables of rows
