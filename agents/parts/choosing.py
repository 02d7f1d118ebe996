"""From values to actions and slates, greedy or epsilon-greedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from interplay.agents.parts.schedules import Scalar
from interplay.envs.checking import shown
from interplay.envs.kernels import best as best
from interplay.envs.kernels import can_compare
from interplay.envs.types import InterplayError

if TYPE_CHECKING:
    from interplay.agents.parts.player import Player


class Offer(NamedTuple):
    """Slates that a platform filled.

    Attributes:
        slots: int64 ``[B, N, K]``, the candidate in each slot, from 1; 0 = left empty.
        log_propensity: float32 ``[B, N]``, log-probability of these slots, in their order, given what the platform saw
            and has learnt; None where it is not known. With it a log can be used for off-policy evaluation.
    """

    slots: Tensor
    log_propensity: Tensor | None = None


def filled(mask: Tensor, size: int, take: Callable[[Tensor], tuple[Tensor, Tensor | None]]) -> Offer:
    """Slates of one slot after the other, each of what those before it have left.

    Args:
        mask: bool ``[B, N, 1 + M]``, of which action 0 leaves a slot empty, where nothing is left.
        size: K.
        take: of a mask, the candidates that it chooses, int64 ``[B, N]``, and the log-probability of that, if known.
    """
    slots: list[Tensor] = []
    chances: list[Tensor] = []
    for _ in range(size):
        mask = something(mask)
        slot, chance = take(mask)
        slots.append(slot)
        if chance is not None:
            chances.append(chance)
        mask = mask.scatter(-1, slot.unsqueeze(-1), False)
    return Offer(torch.stack(slots, dim=-1), torch.stack(chances).sum(0) if chances else None)


def something(mask: Tensor) -> Tensor:
    """The mask ``[..., 1 + M]`` without action 0, but where there is no other."""
    return torch.cat([~mask[..., 1:].any(-1, keepdim=True), mask[..., 1:]], dim=-1)


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


def epsilon_greedy(agent: Player, values: Tensor, mask: Tensor, epsilon: Scalar) -> Tensor:
    """With probability ``epsilon`` any allowed action, otherwise the best, int64 ``[B, N]``."""
    if not agent.counts_on_device and isinstance(epsilon, float) and can_compare(values, mask):
        return agent.draw_greedy(epsilon, values, mask)
    explores = agent.draw(*mask.shape[:2]) < epsilon
    return torch.where(explores, agent.draw_allowed(mask), best(values, mask))


def choose(agent: Player, values: Tensor, mask: Tensor, explore: bool) -> Tensor:
    """The action of highest value; with probability ``agent.epsilon``, if it explores, any allowed one.

    Raises:
        InterplayError: the values are no tensor of real numbers of the mask's shape.
    """
    if not isinstance(values, Tensor) or values.shape != mask.shape or not values.is_floating_point():
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else shown(values)
        raise InterplayError(f"{agent.name!r}: scores gave {found}, must give torch.float32 {list(mask.shape)}, the "
                             "shape of the mask of what it saw")
    epsilon = agent.epsilon if explore else None
    return best(values, mask) if epsilon is None else epsilon_greedy(agent, values, mask, epsilon)


def log_chance(agent: Player, values: Tensor, mask: Tensor, action: Tensor, explore: bool) -> Tensor:
    """Log-probability with which ``choose`` chooses ``action``, ``[...]``; -inf for an action that it never takes."""
    epsilon = agent.epsilon if explore else None
    epsilon = 0.0 if epsilon is None else epsilon
    allowed = mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    explored = torch.where(allowed, epsilon / mask.sum(-1), 0.0)
    return (explored + (1.0 - epsilon) * (action == best(values, mask)).float()).log()


def chosen_slate(agent: Player, values: Tensor, mask: Tensor, size: int, explore: bool) -> Offer:
    """Slates whose every slot takes what ``choose`` chooses of the rest, with their chances."""
    def take(left: Tensor) -> tuple[Tensor, Tensor]:
        slot = choose(agent, values, left, explore)
        return slot, log_chance(agent, values, left, slot, explore)

    return filled(mask, size, take)
