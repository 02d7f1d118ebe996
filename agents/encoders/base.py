"""From a user's history to one vector: the article's section 3.2, step 1, with the networks that it names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from interplay.agents.parts.networks import linear_layer, undrawn
from interplay.envs.types import InterplayError


class HistoryEncoder(nn.Module, ABC):
    """``[..., H, F]`` (and ids ``[..., H]``) to ``[..., size]``, the latest step last.

    Must be overridden: ``name``, ``make`` and ``code``. May be overridden: ``check_size`` and ``has_places``.

    Args:
        num_features: F.
        length: H.
        num_ids: ids of items, each of which has a learnt vector that is added to its features; 0 = ids are not
            read, which is right where the items of two worlds are not the same.
        size: width of the code.
        device: where the weights live.
    """

    name: ClassVar[str]
    has_places: ClassVar[bool] = False
    """Whether each step's place has weights of its own, so that trained weights do not serve longer histories."""

    def __init__(self, num_features: int, length: int, num_ids: int, size: int, device: torch.device) -> None:
        super().__init__()
        self.length = length
        self._feature = linear_layer(num_features, size, device)
        self._id = undrawn(nn.Embedding, num_ids + 1, size, device=device) if num_ids > 0 else None
        self.make(length, size, device)

    @abstractmethod
    def make(self, length: int, size: int, device: torch.device) -> None:
        """Make the layers that ``code`` uses, without drawing their weights (``parts.networks.undrawn``)."""

    @abstractmethod
    def code(self, rows: Tensor) -> Tensor:
        """Encode ``[S, H, size]`` as ``[S, size]``."""

    @classmethod
    def check_size(cls, size: int) -> None:
        """Raise InterplayError unless codes can have this width."""

    def warm_start(self, other: HistoryEncoder, columns: Sequence[int]) -> None:
        """Take the weights of one of the same kind, ids and size, which reads no more than this does.

        Args:
            other: what to start as.
            columns: where its features stand among these; all others count for nothing at first.
        """
        state = other.state_dict()
        weight = torch.zeros_like(self.state_dict()["_feature.weight"])
        weight[:, list(columns)] = state["_feature.weight"].to(weight.device)
        state["_feature.weight"] = weight
        if self.has_places:  # the latest step is the last place
            state["_place"] = state["_place"][-self.length:]
        self.load_state_dict(state)

    def forward(self, history: Tensor, ids: Tensor) -> Tensor:
        """Encode; leading axes stay as they are."""
        rows: Tensor = self._feature(history)
        if self._id is not None:
            rows = rows + self._id(ids)
        code = self.code(torch.relu(rows).flatten(0, -3))
        wanted = rows.shape[:-2].numel(), rows.shape[-1]
        if code.shape != wanted:
            raise InterplayError(f"encoder {type(self).__name__}: code gave {list(code.shape)}, must give [S, size] = "
                                 f"{list(wanted)}")
        return torch.relu(code).view(*rows.shape[:-2], code.shape[-1])


class Pretrained(NamedTuple):
    """What was learnt from a log of the same items before any training, for agents to start from.

    Attributes:
        item_vector: float32 ``[I, E]``.
        encoder: of histories, which reads whether something was taken, whether it was liked, and its id; None where
            histories were not read in their order.
    """

    item_vector: Tensor
    encoder: HistoryEncoder | None
