"""From values to actions."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.agents.base import Offer, Player, filled
from interplay.envs.kernels import best as best


def any_slate(agent: Player, mask: Tensor, size: int) -> Offer:
    """Slates whose every slot takes any candidate that is left, with their chances."""
    slots = filled(mask, size, lambda left: (agent.draw_allowed(left), None)).slots
    return Offer(slots, any_slate_log_propensity(mask, size))


def any_slate_log_propensity(mask: Tensor, size: int) -> Tensor:
    """Log-probability of a slate whose every slot takes any candidate that is left, float32 ``[B, N]``.

    Args:
        mask: bool ``[B, N, 1 + M]``, of which action 0 is to leave a slot empty, where nothing is left.
        size: K.
    """
    left = mask[..., 1:].sum(-1, keepdim=True) - torch.arange(size, device=mask.device)
    return -left.clamp(min=1).log().sum(-1)


def log_policy(scores: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-softmax over allowed actions, ``[..., A]``; finite but very low for the others."""
    return (scores / temperature).masked_fill(~mask, torch.finfo(scores.dtype).min / 4).log_softmax(-1)


def sampled(agent: Player, log_policy: Tensor) -> Tensor:
    """An action drawn from the policy by the Gumbel-max trick: ``[B, N, A]`` to int64 ``[B, N]``."""
    return (log_policy - (-agent.draw(*log_policy.shape).log()).log()).argmax(-1)


def epsilon_greedy(agent: Player, values: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    """With probability ``epsilon`` any allowed action, otherwise the best, int64 ``[B, N]``."""
    explores = agent.draw(*mask.shape[:2]) < epsilon
    return torch.where(explores, agent.draw_allowed(mask), best(values, mask))
