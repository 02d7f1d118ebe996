"""From values to actions."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.agents.base import Player


def best(values: Tensor, mask: Tensor) -> Tensor:
    """The allowed action of highest value, the first of equals: ``[B, N, A]`` to int64 ``[B, N]``."""
    return values.masked_fill(~mask, -torch.inf).argmax(-1)


def any_allowed(agent: Player, mask: Tensor) -> Tensor:
    """A uniformly random allowed action, int64 ``[B, N]``."""
    return best(agent.draw(*mask.shape), mask)


def log_policy(scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-softmax over allowed actions, ``[..., A]``; finite but very low for the others."""
    return (scores / temperature).masked_fill(~mask, torch.finfo(scores.dtype).min / 4).log_softmax(-1)


def sampled(agent: Player, log_policy: Tensor) -> Tensor:
    """An action drawn from the policy by the Gumbel-max trick: ``[B, N, A]`` to int64 ``[B, N]``."""
    return (log_policy - (-agent.draw(*log_policy.shape).log()).log()).argmax(-1)


def epsilon_greedy(agent: Player, values: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    """With probability ``epsilon`` any allowed action, otherwise the best, int64 ``[B, N]``."""
    explores = agent.draw(*mask.shape[:2]) < epsilon
    return torch.where(explores, any_allowed(agent, mask), best(values, mask))
