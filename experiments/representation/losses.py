"""What two-tower models minimise: responses as the article has it, or a softmax over the catalogue."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from interplay.experiments.representation.histories import Batch
from interplay.experiments.representation.two_tower import TwoTower

Loss = Literal["softmax", "bce"]


def response_loss(model: TwoTower, batch: Batch) -> Tensor:
    """Mean cross-entropy of the responses to the targets: the article's equation in section 3.2."""
    assert batch.response is not None, "halves have them"
    example, place = batch.target.nonzero(as_tuple=True)
    if len(example) == 0:  # by chance nothing was left out: nothing is to be learnt
        return model.item_bias.sum() * 0.0
    users, item = model.users(batch.user, batch.history), batch.target[example, place] - 1
    logits = response_logits(model, users[example], batch.user[example], item)
    return nn.functional.binary_cross_entropy_with_logits(logits, batch.response[example, place])


def response_logits(model: TwoTower, code: Tensor, user: Tensor, item: Tensor) -> Tensor:
    """Pair by pair, with both biases and the base: float32 ``[N]``.

    Args:
        model: whose items and biases are meant.
        code: float32 ``[N, E]``, of the users, with what they met in it.
        user: int64 ``[N]``.
        item: int64 ``[N]``.
    """
    logits = model.pair_logits(code, model.items()[item]) + model.item_bias[item] + model.user_bias[user]
    return logits + model.shape.base


def ranking_loss(model: TwoTower, batch: Batch, loss: Loss, negatives: Tensor | None, log_chance: Tensor) -> Tensor:
    """Targets against the whole catalogue, or against sampled items.

    Args:
        model: what is trained.
        batch: examples with one or more targets.
        loss: ``"softmax"`` = multinomial likelihood (Liang et al., WWW 2018, equation 2), each example weighted by
            1 / sqrt of its targets, so that the busiest do not drown the others; ``"bce"`` = each item by itself.
        negatives: int64 ``[R]``, items drawn for the whole batch; None = all items.
        log_chance: float32 ``[I]``, log-probability that a draw is the item. It is taken off the logits of what was
            drawn and of targets, without which popular items would be pushed down for being drawn often (Bengio and
            Senecal 2008; Yi et al., "Sampling-bias-corrected neural modeling", RecSys 2019, equation 3).
    """
    users, items = model.users(batch.user, batch.history), model.items()
    there = batch.target > 0
    count = there.sum(1, keepdim=True).float()
    if negatives is None:
        logits = model.logits(users, items) + model.item_bias
        wanted = torch.zeros(len(users), 1 + len(items), device=logits.device)
        wanted = wanted.scatter(1, batch.target, there.float())[:, 1:]
    else:
        # How often each is expected among the draws, so that bce is noise-contrastive (Gutmann and Hyvarinen 2010).
        expected = log_chance + math.log(len(negatives))
        logits, wanted = _sampled(model, users, items, batch.target, negatives, expected)
    if loss == "bce":
        cost = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (cost * logits.isfinite()).sum(1).div(count[:, 0].clamp(min=1.0)).mean()
    found = torch.where(wanted > 0, logits.log_softmax(1), 0.0)
    return -(found / count.clamp(min=1.0).sqrt()).sum(1).mean()


def _sampled(model: TwoTower, users: Tensor, items: Tensor, target: Tensor, negatives: Tensor,
             expected: Tensor) -> tuple[Tensor, Tensor]:
    """Corrected logits of targets and negatives, and which of them are targets: ``[S, P + R]`` both."""
    example, place = target.nonzero(as_tuple=True)  # pair by pair: a table of vectors would be as wide as the longest
    chosen, lowest = target[example, place] - 1, torch.finfo(users.dtype).min / 4
    pairs = model.pair_logits(users[example], items[chosen]) + (model.item_bias - expected)[chosen]
    own = torch.full(target.shape, lowest, device=users.device).index_put((example, place), pairs)
    others = model.logits(users, items[negatives]) + (model.item_bias - expected)[negatives]
    # A negative that happens to be the target would be trained towards both.
    taken = torch.zeros(len(users), 1 + len(items), dtype=torch.bool, device=users.device).scatter(1, target, True)
    logits = torch.cat([own, others.masked_fill(taken[:, negatives + 1], lowest)], dim=1)
    return logits, torch.cat([(target > 0).float(), torch.zeros_like(others)], dim=1)
