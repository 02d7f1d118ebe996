"""The contract between an agent and whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from interplay.envs.noise import Stream, uniform, world_key
from interplay.envs.types import Observation, SideSpec, Transition


class Setting(NamedTuple):
    """What the training loop tells an agent about the run.

    Attributes:
        seed: of all the agent's randomness.
        device: where the agent's tensors live.
        total_steps: how many times ``learn`` will be called, for schedules.
        discount: how much the next step's value counts.
    """

    seed: int = 0
    device: torch.device = torch.device("cpu")
    total_steps: int = 1
    discount: float = 0.97


@dataclass(frozen=True)
class NoOptions:
    """For agents that have nothing to set."""


class Agent(ABC):
    """Plays one side of the market for all its agents in all worlds at once.

    Must be overridden: ``name`` and ``act``. May be overridden: the rest. A learner sets ``learns = True`` and
    overrides ``learn``, ``state_dict`` and ``load_state_dict``, calling the base's, which keep the noise.

    Args:
        spec: the side's shapes.
        setting: seed, device and length of the run.
        options: an instance of the class's ``Options``.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    privileged: ClassVar[bool] = False
    """True for oracle baselines, which are shown ``Observation.expected``."""
    Options: ClassVar[type] = NoOptions
    """Dataclass of the agent's hyper-parameters; the command line sets them by name."""

    def __init__(self, spec: SideSpec, setting: Setting, options: Any = None) -> None:
        self.spec = spec
        self.setting = setting
        self.options = options if options is not None else self.Options()
        # Users and items of one run draw different noise.
        number = torch.tensor([0 if spec.side == "users" else 1], device=setting.device)
        self._key = world_key(setting.seed, number)
        self._draws = 0

    @abstractmethod
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Actions for all agents, int64 ``[B, N]``. ``explore=False`` asks for the best that it knows."""

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Learn from one step; give named scalars to be logged, left on the device."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit."""
        return {"draws": self._draws}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self._draws = state["draws"]

    def draw(self, *shape: int, stream: Stream = Stream.EXPLORE) -> Tensor:
        """The agent's own noise: uniform in (0, 1), float32 of this shape, new at each call."""
        self._draws += 1
        return uniform(self._key, self._draws, stream, shape)[0]
