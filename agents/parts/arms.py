"""What bandits share: arms that are told apart by what an option is, or by what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from interplay.agents.base import Agent, Setting
from interplay.envs.types import InterplayError, Observation, SideSpec, Transition


def num_arms(spec: SideSpec) -> int:
    """Doing nothing, and each level of each id."""
    return 1 + spec.num_ids * spec.num_levels


def arms(spec: SideSpec, seen: Observation) -> Tensor:
    """The arm of each action, int64 ``[B, N, 1 + M * L]``: 0 for nothing, ``1 + id * L + level`` for others."""
    level = torch.arange(spec.num_levels, device=seen.ids.device)
    each = 1 + seen.ids.unsqueeze(3) * spec.num_levels + level
    return torch.cat([torch.zeros_like(seen.mask[:, :, :1], dtype=torch.int64), each.flatten(2)], dim=2)


def taken(values: Tensor, action: Tensor) -> Tensor:
    """Of ``values [B, N, A]`` those of ``action [B, N]``."""
    return values.gather(2, action.unsqueeze(2)).squeeze(2)


class LinearArms:
    """Ridge regression of rewards on features, one model for doing nothing and one for each level.

    A row is ``[1, own features, option features]``; the last are 0 for doing nothing. Users' options already hold the
    products of taste and item, which is what the article's formula is linear in.

    Args:
        spec: the side's shapes.
        ridge: the penalty, which is also the prior's precision.
        device: where the sums live.
    """

    def __init__(self, spec: SideSpec, ridge: float, device: torch.device) -> None:
        size = 1 + len(spec.own_features) + len(spec.option_features)
        self._spec = spec
        # Double: sums over millions of rows, whose inverse is needed.
        eye = torch.eye(size, dtype=torch.float64, device=device)
        self.precision = (ridge * eye).repeat(1 + spec.num_levels, 1, 1)
        self.moment = torch.zeros(1 + spec.num_levels, size, dtype=torch.float64, device=device)

    def rows(self, seen: Observation) -> tuple[Tensor, Tensor]:
        """Rows of doing nothing ``[B, N, F]`` and of the options ``[B, N, M, F]``, float64."""
        own = torch.cat([torch.ones_like(seen.own[..., :1]), seen.own], dim=2).double()
        blank = torch.zeros_like(seen.options[:, :, 0])
        each = own.unsqueeze(2).expand(*seen.options.shape[:3], own.shape[2])
        return torch.cat([own, blank.double()], dim=2), torch.cat([each, seen.options.double()], dim=3)

    def weights(self) -> Tensor:
        """The ridge solutions, float64 ``[1 + L, F]``."""
        solution: Tensor = torch.linalg.solve(self.precision, self.moment)
        return solution

    def update(self, seen: Observation, action: Tensor, reward: Tensor, valid: Tensor) -> Tensor:
        """Add what was done and what it earned; gives the errors made before, ``[B, N]``."""
        nothing, options = self.rows(seen)
        levels = max(1, self._spec.num_levels)
        place = (action - 1).clamp(min=0)
        slot = (place // levels)[:, :, None, None].expand(*action.shape, 1, options.shape[3])
        row = torch.where((action > 0).unsqueeze(2), options.gather(2, slot).squeeze(2), nothing)
        model = torch.where(action > 0, 1 + place % levels, 0)
        error = (row * self.weights()[model]).sum(2) - reward
        member = torch.nn.functional.one_hot(model, len(self.moment)).double() * valid.unsqueeze(2)
        self.precision += torch.einsum("bnk,bnf,bng->kfg", member, row, row)
        self.moment += torch.einsum("bnk,bnf,bn->kf", member, row, reward.double())
        return torch.where(valid, error, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Both sums."""
        return {"precision": self.precision.clone(), "moment": self.moment.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.precision.copy_(state["precision"])
        self.moment.copy_(state["moment"])


@dataclass(frozen=True)
class LinearBanditOptions:
    """Options of bandits with ``LinearArms``."""

    ridge: float = 1.0
    """Penalty of the regression, the precision of its prior."""

    def __post_init__(self) -> None:
        if self.ridge <= 0.0:
            raise InterplayError(f"ridge={self.ridge} must be above 0")


class LinearBandit(Agent):
    """Learns by ``LinearArms``; how it acts on them is for subclasses to say."""

    learns: ClassVar[bool] = True

    def __init__(self, spec: SideSpec, setting: Setting, options: Any = None) -> None:
        super().__init__(spec, setting, options)
        self._arms = LinearArms(spec, self.options.ridge, setting.device)

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Add the step to the regression."""
        self.learned += 1
        error = self._arms.update(transition.observation, transition.action, transition.reward, transition.valid)
        return {"loss": error.square().mean()}

    def state_dict(self) -> dict[str, Any]:
        """The regression's sums."""
        return super().state_dict() | {"arms": self._arms.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        super().load_state_dict(state)
        self._arms.load_state_dict(state["arms"])
