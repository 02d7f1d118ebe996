"""`cnn`: convolutions over time."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from interplay.agents.encoders.base import HistoryEncoder
from interplay.agents.parts.networks import linear_layer, undrawn

_KERNEL = 3  # steps that a convolution sees at once


class CNN(HistoryEncoder):
    """Two convolutions, then the largest value of each channel and its last."""

    name: ClassVar[str] = "cnn"

    def make(self, length: int, size: int, device: torch.device) -> None:
        """See ``HistoryEncoder.make``."""
        first, second = (undrawn(nn.Conv1d, size, size, _KERNEL, padding=_KERNEL // 2, device=device)
                         for _ in range(2))
        self._body = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        self._join = linear_layer(2 * size, size, device)

    def code(self, rows: Tensor) -> Tensor:
        """See ``HistoryEncoder.code``."""
        found: Tensor = self._body(rows.transpose(1, 2))
        code: Tensor = self._join(torch.cat([found.amax(2), found[:, :, -1]], dim=1))
        return code
