"""Ids of actions, by which bandits distinguish their arms: one for each level of each option id, and 0 for nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from interplay.envs.types import Observation, SideSpec


def num_action_ids(spec: SideSpec) -> int:
    """Doing nothing, and each level of each id."""
    return 1 + spec.num_ids * spec.num_levels


def action_ids(spec: SideSpec, seen: Observation) -> Tensor:
    """The id of each action, int64 ``[B, N, 1 + M * L]``: 0 for nothing, ``1 + id * L + level`` for others."""
    level = torch.arange(spec.num_levels, device=seen.ids.device)
    each = 1 + seen.ids.unsqueeze(3) * spec.num_levels + level
    return torch.cat([torch.zeros_like(seen.mask[:, :, :1], dtype=torch.int64), each.flatten(2)], dim=2)


def gather_action(values: Tensor, action: Tensor) -> Tensor:
    """Of ``values [B, N, A]`` those of ``action [B, N]``."""
    return values.gather(2, action.unsqueeze(2)).squeeze(2)
