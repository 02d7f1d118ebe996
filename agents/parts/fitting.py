"""Updates of ``dqn`` and ``pqn`` by the loops of ``fit_loop``, as functions of torch."""

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
from interplay.envs.stacking import at_once, copies_of, is_stacked

_OF_FIT = 1, 2, 0, 0, 0, 0, 0  # axes behind those for rows: of ``fit``'s rows, its index and what is wanted
_OF_UPDATE = 1, 2, 0, 0, 0, 1, 2, 1, 0, 0, 1  # and of those of ``update``, and its batches


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
    copies = copies_of(rows[0])
    moments = optimiser.moments(progress, copies)
    if moments is None:
        return _part_by_part(given, weights, parts.sizes, rule, lambda gradient: optimiser.follow(gradient, progress))

    def work(*given: Tensor) -> Tensor:
        tables, losses = _tables(copies, given, _OF_FIT), torch.empty(max(1, copies), 3)
        *rows, index, wanted = tables
        call("fit_loop", "improve", *rows, index, np.cumsum(parts.sizes), wanted, *moments, *rule, losses)
        return losses

    return _of_all(work, given)


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
    copies, given = copies_of(batches), (*rows, batches)
    moments = optimiser.moments(progress, copies)
    if moments is None:
        return None

    def work(*tables: Tensor) -> Tensor:
        target, losses = in_one_piece(tables[len(given):], copies), torch.empty(max(1, copies), 3)
        call("fit_loop", "update", *_tables(copies, tables[:len(given)], _OF_UPDATE), *moments, target,
             rule.target_rate, rule.double, form.hidden, form.levels, form.normal, rule.huber_delta, losses)
        return losses

    return _of_all(work, (*given, *networks[1]))


def _part_by_part(given: Sequence[Tensor], weights: Sequence[Tensor], sizes: Sequence[int],
                  rule: tuple[Any, ...], follow: Callable[[Tensor], None]) -> Tensor:
    """``fit`` where ``follow`` moves the weights: in the first step, and of several processes."""
    copies = copies_of(given[0])

    def work(*tables: Tensor) -> Tensor:
        layers, start = tables[len(given):], 0
        *rows, index, wanted = _tables(copies, tables[:len(given)], _OF_FIT)
        losses, agents = torch.empty(max(1, copies), 3), wanted.shape[1] // max(1, index.shape[1])
        for end in np.cumsum(sizes):
            flat = joined_copies(layers) if copies else joined(layers)
            gradient = torch.zeros_like(flat)
            call("fit_loop", "fit", *rows, np.ascontiguousarray(index[:, start:end]), agents,
                 np.ascontiguousarray(wanted[:, start * agents:end * agents]), flat, *rule, losses, gradient)
            follow(gradient if copies else gradient[0])
            start = end
        return losses

    return _of_all(work, (*given, *weights))


def _of_all(work: Callable[..., Tensor], given: Sequence[Tensor]) -> Tensor:
    """What ``work`` gives for tables of one copy, or of all copies under vmap; its own first axis counts copies."""
    return at_once(work, *given) if is_stacked(given[0]) else work(*given)[0]


def _tables(copies: int, given: Sequence[Tensor], axes: Sequence[int]) -> list[NDArray[Any]]:
    """Tables with axes for copies, for rows, and for so many more; 0 copies are one that is not stacked."""
    return [rows_of_copies(table, max(1, copies), last) for table, last in zip(given, axes, strict=True)]
