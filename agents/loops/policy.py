"""Actors and critics of ``ippo`` by the loops of ``actor_loop`` and ``policy_loop``, as functions of torch."""

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


class Rows(NamedTuple):
    """Tables of a rollout, ``[R, N, ...]``: see ``ippo.Batch``."""

    own: Tensor
    options: Tensor
    mask: Tensor
    action: Tensor
    log_policy: Tensor
    advantage: Tensor
    returns: Tensor
    valid: Tensor
    weight: Tensor


def actor_scores(form: Form, weights: Sequence[Tensor], own: Tensor, options: Tensor) -> Tensor:
    """What ``Towers.scores`` gives, without gradients.

    Args:
        form: the side's.
        weights: all of the network's, in its order.
        own: float32 ``[..., F_own]``.
        options: float32 ``[..., M, F_option]``.

    Returns:
        float32 ``[..., 1 + M * L]``.
    """
    def work(own: Tensor, options: Tensor, flat: Tensor) -> list[Tensor]:
        mine, theirs = rows_of_copies(own, len(flat), 1), rows_of_copies(options, len(flat), 2)
        out = flat.new_empty(*mine.shape[:2], 1 + theirs.shape[2] * form.levels)
        call("actor_loop", "scores", mine, theirs, flat, *form, out)
        return [out]

    return of_networks(work, (own, options), [weights])[0].view(*own.shape[:-1], 1 + options.shape[-2] * form.levels)


def critic_values(form: Form, weights: Sequence[Tensor], own: Tensor) -> Tensor:
    """What ``ActorCritic.own_value`` gives, without gradients: float32 ``[...]``.

    Args:
        form: as for ``actor_scores``.
        weights: as for ``actor_scores``.
        own: as for ``actor_scores``.
    """
    def work(own: Tensor, flat: Tensor) -> list[Tensor]:
        mine = rows_of_copies(own, len(flat), 1)
        out = flat.new_empty(mine.shape[:2])
        call("actor_loop", "values", mine, flat, form.starts, form.agent_place, form.hidden, out)
        return [out]

    return of_networks(work, (own,), [weights])[0].view(own.shape[:-1])


def ppo(form: Form, weights: Sequence[Tensor], rows: Rows, index: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """A step of PPO on some rows.

    Args:
        form: as for ``actor_scores``.
        weights: as for ``actor_scores``.
        rows: of a rollout.
        index: int64 ``[n]``, which of them.
        rule: of the options.

    Returns:
        The loss, the critic's loss and the entropy ``[3]``; and the first one's gradient of all weights ``[P]``.
    """
    agents = rows.action.shape[-1]

    def work(*given: Tensor) -> list[Tensor]:
        flat, copies = given[-1], len(given[-1])
        tables = [rows_of_copies(table, copies, last) for table, last in zip(given, _LAST, strict=False)]
        found, gradient = flat.new_empty(copies, 3), torch.zeros_like(flat)
        call("policy_loop", "update", *tables, flat, agents, *form, *rule, found, gradient)
        return [found, gradient]

    found, gradient = of_networks(work, (*rows, index), [weights])
    return found, gradient


_LAST = 1, 2, 1, 0, 0, 0, 0, 0, 0, 0  # axes behind those of agents in each of ``Rows``, and of an index
