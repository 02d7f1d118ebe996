"""The loops of ``scorer_loop`` as functions of torch's tables: float32 in the CPU's memory, in one piece."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.agents.loops.flat import call
from interplay.agents.loops.scorer import Form


def scores(form: Form, flat: Tensor, own: Tensor, options: Tensor) -> Tensor:
    """Values of all actions.

    Args:
        form: the network's.
        flat: ``[S, P]``, the weights of S copies.
        own: ``[S, R, F_own]``.
        options: ``[S, R, M, F_option]``.

    Returns:
        ``[S, R, (1 + M * L) * Z]``.
    """
    found = flat.new_empty(*own.shape[:2], (1 + options.shape[2] * form.levels) * form.outputs)
    call("scorer_loop", "scores", own, options, flat, *form, found)
    return found


def taken(form: Form, flat: Tensor, own: Tensor, options: Tensor, action: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Values of one action of each row, ``[S, R, Z]``, and what ``gradients`` needs. Actions are int64 ``[S, R]``."""
    shape, width = action.shape, own.shape[2] + 2 * options.shape[3] + 2
    kept = (torch.empty_like(action), *(flat.new_empty(*shape, size) for size in (width, form.hidden, form.hidden)),
            flat.new_empty(shape[0], 2, shape[1]))
    found = flat.new_empty(*shape, form.outputs)
    call("scorer_loop", "taken", own, options, action, flat, form.levels, form.normal, *kept, found)
    return found, (own, action, *kept)


def gradients(form: Form, flat: Tensor, given: Tensor, own: Tensor, action: Tensor, *kept: Tensor) -> Tensor:
    """The gradient of all weights ``[S, P]``, from that of values ``given [S, R, Z]``, and what ``taken`` kept."""
    out = torch.zeros_like(flat)
    call("scorer_loop", "gradients", given, action, flat, own.shape[2], form.levels, form.normal, *kept, out)
    return out
