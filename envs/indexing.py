"""From indices to tensors, without reading them on the host."""

from __future__ import annotations

import torch
from torch import Tensor


def one_hot(index: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """1 at each index, else 0: int64 ``[...]`` to ``[..., count]``. Torch's own reads the indices on a CPU."""
    zeros = torch.zeros(*index.shape, count, dtype=dtype, device=index.device)
    return zeros.scatter_(-1, index.unsqueeze(-1), 1)
