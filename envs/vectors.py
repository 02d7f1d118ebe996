"""Vectors of length 1."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(vector: Tensor) -> Tensor:
    """The vectors ``[..., D]`` scaled to length 1.

    Squares are added up in one order, halves first, so that kernels can give the same bits.
    """
    squares = vector * vector
    while squares.shape[-1] > 1:
        half = squares.shape[-1] // 2
        pairs, rest = squares[..., :half] + squares[..., half:2 * half], squares[..., 2 * half:]
        squares = torch.cat([pairs, rest], dim=-1) if rest.shape[-1] else pairs
    return scaled(vector, squares)


def scaled(vector: Tensor, squares: Tensor) -> Tensor:
    """The vectors ``[..., D]`` by the roots of ``squares [..., 1]``; nothing is divided by less than 1e-12."""
    return vector / squares.sqrt().clamp(min=1e-12)
