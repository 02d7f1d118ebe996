"""The article's model of responses: two towers that meet in one space (section 3.2).

    u = f1(behaviour history),   i = f2(item),   logit = W . (u * i) + b_i        (or a layer over both, concatenated)

The product is elementwise, as the article's symbol says; the article errs where it calls that a dot product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from interplay.agents.encoders import HistoryEncoder, find_encoder
from interplay.agents.parts.networks import draw_weights, linear_layer, undrawn, undrawn_parameter
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

Encoder = Literal["mlp", "cnn", "gru", "transformer"]
Scorer = Literal["hadamard", "concatenation"]
ENCODERS: tuple[Encoder, ...] = ("mlp", "cnn", "gru", "transformer")

_SMALL = 0.05  # deviation of vectors before training
_CHUNK = 1 << 24  # numbers of a hidden layer that are held at once


class History(NamedTuple):
    """What users met before.

    Attributes:
        items: int64 ``[S, H]``, 1 + the item, the latest last; 0 where there is none.
        liked: bool ``[S, H]``, whether its response was above the threshold.
    """

    items: Tensor
    liked: Tensor


@dataclass(frozen=True)
class Shape:
    """What a model must fit.

    Attributes:
        num_users, num_items: U and I.
        encoder: of histories.
        scorer: how user and item meet.
        size: E, of vectors and layers.
        history_length: H of ``cnn``, ``gru`` and ``transformer``; ``mlp`` takes any.
        user_ids: whether each user has a vector of its own besides, and a bias.
        base: what logits of responses start from, and what decay draws them to.
    """

    num_users: int
    num_items: int
    encoder: Encoder = "mlp"
    scorer: Scorer = "hadamard"
    size: int = 256
    history_length: int = 50
    user_ids: bool = False
    base: float = 0.0


class TwoTower(nn.Module):
    """Logits of responses.

    ``mlp`` adds up a vector for each item of the history, which differs for liked and other items, and sends the sum
    through a tanh: the order does not count, and the history may have any length. The other encoders read the last
    steps in their order; agents' critics have the same ones.

    Args:
        shape: sizes and choices.
        user_features: float32 ``[U, Fu]``, side features; no columns where there are none.
        item_features: float32 ``[I, Fi]``.
        seed: of the weights.
    """

    def __init__(self, shape: Shape, user_features: Tensor, item_features: Tensor, seed: int) -> None:
        super().__init__()
        self.shape, device, size = shape, item_features.device, shape.size
        self.user_features: Tensor
        self.item_features: Tensor
        self.register_buffer("user_features", user_features)
        self.register_buffer("item_features", item_features)
        self._item = undrawn(nn.Embedding, shape.num_items, size, device=device)
        self._item_side = _side_layer(item_features, size)
        self._user_side = _side_layer(user_features, size)
        self._user = undrawn(nn.Embedding, shape.num_users, size, device=device) if shape.user_ids else None
        if shape.encoder == "mlp":
            self._met = undrawn_parameter(1 + 2 * shape.num_items, size, device=device)
        else:
            self._encoder: HistoryEncoder = find_encoder(shape.encoder)(2, shape.history_length,
                                                                        shape.num_items, size, device)
        if shape.scorer == "concatenation":
            self._of_user, self._of_item = (linear_layer(size, size, device) for _ in range(2))
        self._weight = undrawn_parameter(1, size, device=device)
        self.item_bias = undrawn_parameter(shape.num_items, device=device)
        self.user_bias = undrawn_parameter(shape.num_users, device=device)
        draw_weights(self, seed, "two-tower")
        _make_small(self)

    def users(self, user: Tensor, history: History) -> Tensor:
        """f1: int64 ``[S]`` and what they met, to float32 ``[S, E]``."""
        code = self._read(history)
        if self._user is not None:
            code = code + self._user(user)
        if self._user_side is not None:
            code = code + self._user_side(self.user_features[user])
        return code

    def items(self) -> Tensor:
        """f2 of the whole catalogue: float32 ``[I, E]``."""
        code: Tensor = self._item(torch.arange(self.shape.num_items, device=self.item_bias.device))
        return code if self._item_side is None else code + self._item_side(self.item_features)

    @property
    def history_encoder(self) -> HistoryEncoder | None:
        """The one that reads histories in their order; None for ``mlp``."""
        return None if self.shape.encoder == "mlp" else self._encoder

    def item_factors(self) -> Tensor:
        """f2 of the whole catalogue with W in it, so that a user's product with it is the logit: float32 ``[I, E]``.

        Raises:
            InterplayError: user and item meet in no product.
        """
        if self.shape.scorer != "hadamard":
            raise InterplayError(f"scorer={self.shape.scorer!r} ranks by no product of vectors: pretrain with --scorer "
                                 "hadamard")
        return self.items() * self._weight

    def logits(self, users: Tensor, items: Tensor) -> Tensor:
        """Every user ``[S, E]`` with every item ``[I, E]``, without biases: float32 ``[S, I]``."""
        if self.shape.scorer == "hadamard":
            return (users * self._weight) @ items.T
        of_users, of_items = self._of_user(users), self._of_item(items)
        rows = max(1, _CHUNK // of_items.numel())
        return torch.cat([torch.relu(part.unsqueeze(1) + of_items) @ self._weight[0] for part in of_users.split(rows)])

    def pair_logits(self, users: Tensor, items: Tensor) -> Tensor:
        """Pair by pair, ``[..., E]`` both, without biases: float32 ``[...]``."""
        if self.shape.scorer == "hadamard":
            return (users * items) @ self._weight[0]
        return torch.relu(self._of_user(users) + self._of_item(items)) @ self._weight[0]

    def _read(self, history: History) -> Tensor:
        there = history.items > 0
        if self.shape.encoder != "mlp":
            rows = torch.stack([there.float(), history.liked.float()], dim=-1)
            code: Tensor = self._encoder(rows, history.items)
            return code
        token = torch.where(there & history.liked, history.items + self.shape.num_items, history.items)
        total = nn.functional.embedding_bag(token, self._met, mode="sum", padding_idx=0)
        # The root keeps long and short histories apart, and still lets neither drown the other.
        return torch.tanh(total / there.sum(1, keepdim=True).clamp(min=1).sqrt())


def _side_layer(features: Tensor, size: int) -> nn.Module | None:
    return linear_layer(features.shape[1], size, features.device) if features.shape[1] > 0 else None


@torch.no_grad()
def _make_small(model: TwoTower) -> None:
    """Vectors that start small, so that their sums do not saturate, and a product that starts as a plain one."""
    for name, parameter in model.named_parameters():
        if name in ("_item.weight", "_user.weight", "_met", "_item_side.weight", "_user_side.weight"):
            parameter.mul_(_SMALL * (parameter.shape[1] / 2.0) ** 0.5)
    if model.shape.scorer == "hadamard":
        model._weight.fill_(1.0)


def check_shape(encoder: str, scorer: str, size: int) -> None:
    """Raise InterplayError unless there are such an encoder and scorer, and the size suits them."""
    if encoder not in ENCODERS:
        raise InterplayError(f"encoder={encoder!r} is unknown: {choice(ENCODERS, encoder)}")
    if scorer not in ("hadamard", "concatenation"):
        raise InterplayError(f"scorer={scorer!r} is unknown: choose hadamard or concatenation")
    if size < 1 or (encoder == "transformer" and size % 4):
        raise InterplayError(f"size={size} must be at least 1, and a multiple of 4 for encoder='transformer'")
