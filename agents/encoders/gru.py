"""`gru`: a recurrent layer that reads step by step (Cho et al. 2014)."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from interplay.agents.encoders.base import HistoryEncoder
from interplay.agents.parts.networks import undrawn


class GRU(HistoryEncoder):
    """The state after the last step."""

    name: ClassVar[str] = "gru"

    def make(self, length: int, size: int, device: torch.device) -> None:
        """See ``HistoryEncoder.make``."""
        self._body = undrawn(nn.GRU, size, size, batch_first=True, device=device)

    def code(self, rows: Tensor) -> Tensor:
        """See ``HistoryEncoder.code``."""
        states: Tensor = self._body(rows)[0]
        return states[:, -1]
