"""Actors and critics of ``ippo`` by the loops of ``policy_loop``, as functions of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.agents.loops.flat import call, of_networks, rows_of_copies


class Form(NamedTuple):
    """Where a side's actor and critic are in a network, beside its weights.

    Attributes:
        starts: int64 ``[6]``, where in all of its weights these begin: the agents' tower, the options' tower, levels,
            doing nothing, the critic's tower and its last layer.
        agent_place, option_place: int64, the columns that towers read of agents and of options; -1 = zeros.
        hidden: width.
        levels: L, actions for each option.
    """

    starts: NDArray[np.int64]
    agent_place: NDArray[np.int64]
    option_place: NDArray[np.int64]
    hidden: int
    levels: int


class Rule(NamedTuple):
    """How PPO's losses are made one: see ``IPPOOptions``."""

    clip: float
    value_weight: float
    entropy_weight: float


def log_policies(form: Form, weights: Sequence[Tensor], own: Tensor, options: Tensor, mask: Tensor) -> Tensor:
    """What ``choosing.log_policy`` gives of ``Towers.scores``, without gradients.

    Args:
        form: the side's.
        weights: all of the network's, in its order.
        own: float32 ``[..., F_own]``.
        options: float32 ``[..., M, F_option]``.
        mask: bool ``[..., 1 + M * L]``.

    Returns:
        float32 ``[..., 1 + M * L]``.
    """
    def work(own: Tensor, options: Tensor, mask: Tensor, flat: Tensor) -> list[Tensor]:
        tables = [rows_of_copies(table, len(flat), last) for table, last in ((own, 1), (options, 2), (mask, 1))]
        out = flat.new_empty(tables[-1].shape)
        call("policy_loop", "policies", *tables, flat, *form, out)
        return [out]

    return of_networks(work, (own, options, mask), [weights])[0].view(mask.shape)


def critic_values(form: Form, weights: Sequence[Tensor], own: Tensor) -> Tensor:
    """What ``ActorCritic.own_value`` gives, without gradients: float32 ``[...]``.

    Args:
        form: as for ``log_policies``.
        weights: as for ``log_policies``.
        own: as for ``log_policies``.
    """
    def work(own: Tensor, flat: Tensor) -> list[Tensor]:
        mine = rows_of_copies(own, len(flat), 1)
        out = flat.new_empty(mine.shape[:2])
        call("policy_loop", "values", mine, flat, form.starts, form.agent_place, form.hidden, out)
        return [out]

    return of_networks(work, (own,), [weights])[0].view(own.shape[:-1])


def step_values(form: Form, weights: Sequence[Tensor], own: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """``critic_values`` of a rollout's steps and of what followed each, float32 ``[T, B, N]`` both.

    Args:
        form: as for ``log_policies``.
        weights: as for ``log_policies``.
        own: float32 ``[T, B, N, F_own]``.
        after: float32, the same shape; where it is what the next step saw, nothing is worked out again.
    """
    each = own[0, ..., 0].numel()

    def work(own: Tensor, after: Tensor, flat: Tensor) -> list[Tensor]:
        tables = [rows_of_copies(table, len(flat), 1) for table in (own, after)]
        out, ahead = (flat.new_empty(tables[0].shape[:2]) for _ in range(2))
        call("policy_loop", "step_values", *tables, each, flat, form.starts, form.agent_place, form.hidden, out, ahead)
        return [out, ahead]

    value, ahead = of_networks(work, (own, after), [weights])
    return value.view(own.shape[:-1]), ahead.view(own.shape[:-1])


def ppo(form: Form, weights: Sequence[Tensor], rows: Sequence[Tensor], index: Tensor,
        rule: Rule) -> tuple[Tensor, Tensor]:
    """A step of PPO on some rows.

    Args:
        form: as for ``log_policies``.
        weights: as for ``log_policies``.
        rows: own ``[R, N, F_own]``, options, mask, action, log-policy, advantage, returns, valid and weight of a
            rollout: see ``ippo.Batch``.
        index: int64 ``[n]``, which of them.
        rule: of the options.

    Returns:
        The loss, the critic's loss and the entropy ``[3]``; and the first one's gradient of all weights ``[P]``.
    """
    agents = rows[0].shape[-2]

    def work(*given: Tensor) -> list[Tensor]:
        flat, copies = given[-1], len(given[-1])
        tables = [rows_of_copies(table, copies, last) for table, last in zip(given, (1, 2, 1, *[0] * 7), strict=False)]
        found, gradient = flat.new_empty(copies, 3), torch.zeros_like(flat)
        call("policy_loop", "update", *tables, flat, agents, *form, *rule, found, gradient)
        return [found, gradient]

    found, gradient = of_networks(work, (*rows, index), [weights])
    return found, gradient
