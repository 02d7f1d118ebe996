"""``OptionScorer`` by compiled loops or a GPU's kernels, as functions of torch: with gradients, and for stacked seeds.

``scorer_cpu`` and ``scorer_gpu`` have the same three functions, of tables whose first axis counts copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from interplay.agents.loops.flat import joined, joined_copies, plain, separated, separated_copies
from interplay.agents.loops.flat import usable as loops_usable
from interplay.envs.kernels import of_gpu
from interplay.envs.stacking import at_once, is_stacked

_WIDEST_ON_GPU = 64  # layers, features and outputs that a program's registers hold


class Form(NamedTuple):
    """What an ``OptionScorer`` is made of, beside its weights.

    Attributes:
        hidden: width.
        levels: L, actions for each option.
        outputs: Z, numbers for each action.
        normal: whether hidden layers are normalised.
    """

    hidden: int
    levels: int
    outputs: int
    normal: bool


def usable(form: Form, own: Tensor, options: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether loops or kernels can work on these."""
    sizes = form.hidden, own.shape[-1], options.shape[-1], form.levels * form.outputs
    return loops_usable(form.hidden, weights, own, options) or (
        max(sizes) <= _WIDEST_ON_GPU and plain(_on_gpu, weights, own, options))


def _on_gpu(table: Tensor) -> bool:
    return of_gpu("interplay.agents.loops.scorer_gpu", table) is not None


def can_score(form: Form, own: Tensor, options: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether ``scores`` can work on these, too: it gives no gradients."""
    return not (torch.is_grad_enabled() and weights[0].requires_grad) and usable(form, own, options, weights)


def scores(form: Form, weights: Sequence[Tensor], own: Tensor, options: Tensor) -> Tensor:
    """What ``OptionScorer.forward`` gives, without gradients.

    Args:
        form: the network's.
        weights: the network's, in its order.
        own: float32 ``[..., F_own]``.
        options: float32 ``[..., M, F_option]``.

    Returns:
        float32 ``[..., 1 + M * L, Z]``.
    """
    if is_stacked(own):
        return at_once(partial(_scores_of_copies, form), own, options, *weights)
    return _scores(form, joined(weights), own, options)


def _scores_of_copies(form: Form, own: Tensor, options: Tensor, *weights: Tensor) -> Tensor:
    return _scores(form, joined_copies(weights), own, options)


def _scores(form: Form, flat: Tensor, own: Tensor, options: Tensor) -> Tensor:
    """Of copies, whose weights are ``flat [S, P]``."""
    mine, theirs = _rows(own, flat, 1), _rows(options, flat, 2)
    found: Tensor = _functions(flat).scores(form, flat, mine, theirs)
    return found.view(*own.shape[:-1], 1 + theirs.shape[2] * form.levels, form.outputs)


def taken(form: Form, weights: Sequence[Tensor], own: Tensor, options: Tensor, action: Tensor) -> Tensor:
    """What ``OptionScorer.taken`` gives, with gradients of the weights: float32 ``[..., Z]``.

    Args:
        form: as for ``scores``.
        weights: as for ``scores``.
        own: as for ``scores``.
        options: as for ``scores``.
        action: int64 ``[...]``.
    """
    if is_stacked(own):
        return at_once(partial(_taken_of_copies, form, True), own, options, action, *weights)
    return _taken_of_copies(form, False, own, options, action, *weights)


def _taken_of_copies(form: Form, *given: Any) -> Tensor:
    found: Tensor = _Taken.apply(form, *given)  # type: ignore[no-untyped-call]
    return found


class _Taken(torch.autograd.Function):
    """Values of actions that were taken; with ``stacked``, all tensors have a first axis that counts copies."""

    @staticmethod
    def forward(ctx: Any, form: Form, stacked: bool, own: Tensor, options: Tensor, action: Tensor,
                *weights: Tensor) -> Tensor:
        """See ``taken``."""
        flat = joined_copies(weights) if stacked else joined(weights)
        mine, theirs, done = (_rows(table, flat, last) for table, last in ((own, 1), (options, 2), (action, 0)))
        found: Tensor
        found, ctx.kept = _functions(flat).taken(form, flat, mine, theirs, done)
        ctx.form, ctx.flat, ctx.weights, ctx.stacked = form, flat, weights, stacked
        return found.view(*action.shape, form.outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> Any:
        """Gradients of the weights alone."""
        copies = given.reshape(len(ctx.flat), -1, ctx.form.outputs).contiguous()
        out = _functions(ctx.flat).gradients(ctx.form, ctx.flat, copies, *ctx.kept)
        return None, None, None, None, None, *(separated_copies if ctx.stacked else separated)(out, ctx.weights)


def _functions(flat: Tensor) -> Any:
    """Those for the device where the weights are; imported late, for what they need may not be installed."""
    return import_module(f"interplay.agents.loops.scorer_{'gpu' if flat.is_cuda else 'cpu'}")


def _rows(table: Tensor, flat: Tensor, last: int) -> Tensor:
    """A table with an axis for the copies of ``flat [S, P]``, one for rows, and its last ones, in one piece."""
    places = table.dim() - last
    rows = table.shape[:places].numel() // len(flat)
    return table.reshape(len(flat), rows, *table.shape[places:]).contiguous()
