"""`mlp`: a layer that reads all steps side by side."""

from typing import ClassVar

import torch
from torch import Tensor

from interplay.agents.encoders.base import HistoryEncoder
from interplay.agents.parts.networks import linear_layer


class MLP(HistoryEncoder):
    """One layer over the whole history."""

    name: ClassVar[str] = "mlp"

    def make(self, length: int, size: int, device: torch.device) -> None:
        """See ``HistoryEncoder.make``."""
        self._body = linear_layer(length * size, size, device)

    def code(self, rows: Tensor) -> Tensor:
        """See ``HistoryEncoder.code``."""
        code: Tensor = self._body(rows.flatten(1))
        return code
