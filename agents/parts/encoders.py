"""From a user's history to one vector: the article's section 3.2, step 1, with the networks that it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from interplay.agents.parts.networks import linear_layer, undrawn, undrawn_parameter
from interplay.envs.types import InterplayError

Encoding = Literal["none", "mlp", "cnn", "gru", "transformer"]
ENCODINGS: tuple[Encoding, ...] = ("none", "mlp", "cnn", "gru", "transformer")

_HEADS = 4  # of the transformer
_KERNEL = 3  # steps that a convolution sees at once


class HistoryEncoder(nn.Module):
    """``[..., H, F]`` (and ids ``[..., H]``) to ``[..., size]``, the latest step last.

    Args:
        kind: ``"mlp"`` reads all steps side by side, ``"cnn"`` convolves over time (two layers) and keeps the largest
            of each channel and the last, ``"gru"`` reads step by step, ``"transformer"`` lets the last step attend to
            all.
        num_features: F.
        length: H.
        num_ids: ids of items, each of which has a learnt vector that is added to its features; 0 = ids are not
            read, which is right where the items of two worlds are not the same.
        size: width of the code.
        device: where the weights live.
    """

    def __init__(self, kind: Encoding, num_features: int, length: int, num_ids: int, size: int,
                 device: torch.device) -> None:
        super().__init__()
        self.kind, self.length = kind, length
        self._feature = linear_layer(num_features, size, device)
        self._id = undrawn(nn.Embedding, num_ids + 1, size, device=device) if num_ids > 0 else None
        if kind == "mlp":
            self._body: nn.Module = linear_layer(length * size, size, device)
        elif kind == "cnn":
            first, second = (undrawn(nn.Conv1d, size, size, _KERNEL, padding=_KERNEL // 2, device=device)
                             for _ in range(2))
            self._body = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
            self._join = linear_layer(2 * size, size, device)
        elif kind == "gru":
            self._body = undrawn(nn.GRU, size, size, batch_first=True, device=device)
        else:
            self._place = undrawn_parameter(length, size, device=device)
            self._body = _Attention(size, device)

    def begin(self, other: HistoryEncoder, columns: Sequence[int]) -> None:
        """Take the weights of one of the same kind, ids and size, which reads no more than this does.

        Args:
            other: what to start as.
            columns: where its features stand among these; all others count for nothing at first.
        """
        state = other.state_dict()
        weight = torch.zeros_like(self.state_dict()["_feature.weight"])
        weight[:, list(columns)] = state["_feature.weight"].to(weight.device)
        state["_feature.weight"] = weight
        if "_place" in state:  # the latest step is the last place
            state["_place"] = state["_place"][-self.length:]
        self.load_state_dict(state)

    def forward(self, history: Tensor, ids: Tensor) -> Tensor:
        """Encode; leading axes stay as they are."""
        rows: Tensor = self._feature(history)
        if self._id is not None:
            rows = rows + self._id(ids)
        code: Tensor = getattr(self, f"_{self.kind}")(torch.relu(rows).flatten(0, -3))
        return torch.relu(code).view(*rows.shape[:-2], code.shape[-1])

    def _mlp(self, rows: Tensor) -> Tensor:
        code: Tensor = self._body(rows.flatten(1))
        return code

    def _cnn(self, rows: Tensor) -> Tensor:
        found: Tensor = self._body(rows.transpose(1, 2))
        code: Tensor = self._join(torch.cat([found.amax(2), found[:, :, -1]], dim=1))
        return code

    def _gru(self, rows: Tensor) -> Tensor:
        states: Tensor = self._body(rows)[0]
        return states[:, -1]

    def _transformer(self, rows: Tensor) -> Tensor:
        code: Tensor = self._body(rows + self._place)
        return code


class Pretrained(NamedTuple):
    """What was learnt from a log of the same items before any training, for agents to start from.

    Attributes:
        item_vector: float32 ``[I, E]``.
        encoder: of histories, which reads whether something was taken, whether it was liked, and its id; None where
            histories were not read in their order.
    """

    item_vector: Tensor
    encoder: HistoryEncoder | None


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


def check_encoding(encoder: str, hidden: int) -> None:
    """Raise InterplayError unless there is such an encoder and the width suits it."""
    if encoder not in ENCODINGS:
        raise InterplayError(f"encoder={encoder!r} is unknown: choose from {', '.join(ENCODINGS)}")
    if encoder == "transformer" and hidden % _HEADS:
        raise InterplayError(f"hidden={hidden} must be a multiple of {_HEADS} for encoder='transformer'")
