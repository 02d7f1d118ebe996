"""Slates drawn by scores and noise: in plain torch, and as an operator that is one kernel on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.checking import FLOAT_MAX
from interplay.envs.kernels import top_k
from interplay.envs.kernels.operators import operator
from interplay.envs.noise import Stream, as_gumbel, gumbel, uniform_rows


def plackett_luce(score: Tensor, noise: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw ordered slates without replacement, each next slot with probability softmax over what is left.

    Adding Gumbel noise and taking the top ``size`` is exactly that draw (Yellott 1977; Kool et al., "Stochastic
    beams and where to find them", ICML 2019).

    Args:
        score: float32 ``[..., M]``; -inf for what must not be shown.
        noise: standard Gumbel draws of the same shape.
        size: K.

    Returns:
        ``(index, valid, log_propensity)``: int64 ``[..., K]``, bool ``[..., K]`` (False where nothing was left
        to show) and float32 ``[...]``, the log-probability of the slate in its order.
    """
    top, index = top_k(score + noise, size)
    valid = top > -torch.inf
    # Beside the highest: float32 loses the chances in scores of hundreds. What has no candidate stays -inf.
    score = score - score.amax(-1, keepdim=True).clamp(min=-FLOAT_MAX)
    chosen = score.gather(-1, index)
    rest = score.scatter(-1, index, -torch.inf).logsumexp(-1, keepdim=True)
    # Mass that is left when slot k is drawn: what no slot took, and what slots k.. take.
    left = torch.logaddexp(chosen.flip(-1).logcumsumexp(-1).flip(-1), rest)
    return index, valid, torch.where(valid, chosen - left, 0.0).sum(-1)


def draw(score: Tensor, key: Tensor, step: Tensor, offset: int, first: Tensor | None,
         size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw slates with the noise of the worlds.

    Args:
        score: float32 ``[B, U, M]``; -inf for what must not be shown.
        key: int32 ``[B, 2]``, keys of the worlds.
        step: int32 ``[B]``.
        offset: index of the first user's first draw of noise; those of the next user follow.
        first: int32 ``[U]``, such an index of each user, where they do not follow one another; None = they do.
        size: K.

    Returns:
        As ``plackett_luce``.
    """
    if first is None:
        noise = gumbel(key, step, Stream.SLATE, tuple(score.shape[1:]), offset)
    else:
        noise = as_gumbel(uniform_rows(key, step, Stream.SLATE, first, score.shape[2]))
    return plackett_luce(score, noise, size)


def _draw_by_torch(*slates: Any) -> tuple[Tensor, Tensor, Tensor]:
    """``draw``, always by torch, since a graph replays what it did."""
    with kernels.switched_off():
        return draw(*slates)


def _draw_alike(score: Tensor, key: Tensor, step: Tensor, offset: int, first: Tensor | None,
                size: int) -> tuple[Tensor, Tensor, Tensor]:
    shape = (*score.shape[:2], size)
    return (score.new_empty(shape, dtype=torch.int64), score.new_empty(shape, dtype=torch.bool),
            score.new_empty(score.shape[:2]))


DRAW_SLATES = operator("draw_slates(Tensor score, Tensor key, Tensor step, SymInt offset, Tensor? first, SymInt size)"
                       " -> (Tensor, Tensor, Tensor)", _draw_by_torch, "interplay.envs.slates_gpu", _draw_alike)
