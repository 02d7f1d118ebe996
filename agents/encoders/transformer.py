"""`transformer`: attention of the last step to all steps."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from interplay.agents.encoders.base import HistoryEncoder
from interplay.agents.parts.networks import linear_layer, undrawn_parameter
from interplay.envs.types import InterplayError

_HEADS = 4


class Transformer(HistoryEncoder):
    """One block, with a learnt vector for each place."""

    name: ClassVar[str] = "transformer"
    has_places: ClassVar[bool] = True

    @classmethod
    def check_size(cls, size: int) -> None:
        """See ``HistoryEncoder.check_size``."""
        if size % _HEADS:
            raise InterplayError(f"hidden={size} must be a multiple of {_HEADS} for encoder='transformer'")

    def make(self, length: int, size: int, device: torch.device) -> None:
        """See ``HistoryEncoder.make``."""
        self._place = undrawn_parameter(length, size, device=device)
        self._body = _Attention(size, device)

    def code(self, rows: Tensor) -> Tensor:
        """See ``HistoryEncoder.code``."""
        code: Tensor = self._body(rows + self._place)
        return code


class _Attention(nn.Module):
    """One pre-norm transformer block (Vaswani et al. 2017; Xiong et al. 2020), read at the last step.

    Nothing but the last step is read, so that only its query is formed: linear in H, not quadratic.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__()
        self._before, self._between = (nn.LayerNorm(size, device=device) for _ in range(2))
        self._query, self._out = linear_layer(size, size, device), linear_layer(size, size, device)
        self._key_value = linear_layer(size, 2 * size, device)
        self._widen, self._narrow = linear_layer(size, 2 * size, device), linear_layer(2 * size, size, device)

    def forward(self, rows: Tensor) -> Tensor:
        """``[S, H, size]`` to ``[S, size]``."""
        normed: Tensor = self._before(rows)
        query = self._query(normed[:, -1:]).unflatten(2, (_HEADS, -1)).transpose(1, 2)
        key, value = (part.unflatten(2, (_HEADS, -1)).transpose(1, 2) for part in self._key_value(normed).chunk(2, 2))
        found = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        last: Tensor = rows[:, -1] + self._out(found).squeeze(1)
        wide: Tensor = self._narrow(torch.relu(self._widen(self._between(last))))
        return last + wide
