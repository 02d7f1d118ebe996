"""The contract between agents and whoever runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from interplay.agents.parts.encoders import Pretrained
from interplay.agents.parts.networks import Network, draw_weights
from interplay.envs.checking import check_fields, check_value
from interplay.envs.noise import Stream, any_of, uniform, world_key
from interplay.envs.types import SIDES, InterplayError, Observation, Side, SideSpec, Transition

# Players of one run have different numbers, so that they draw different noise.
_NUMBERS: dict[Side, int] = {"users": 0, "items": 1, "platform": 3}
_BOTH = 2


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


class Player(ABC):
    """What agents of one side and of both have in common: a name, options, noise and a clock.

    A learner sets ``learns = True``, overrides ``learn``, ``state_dict`` and ``load_state_dict``, calling the
    base's, which keep noise and clock, and adds 1 to ``learned`` in each call of ``learn``.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    privileged: ClassVar[bool] = False
    """True for oracle baselines, which are shown ``Observation.expected``."""
    plays: ClassVar[tuple[Side, ...]] = ("users", "items", "platform")
    """Whom it can play."""
    certain: ClassVar[bool] = False
    """True for who leaves nothing to chance, exploring or not: what it sees and has learnt says what it does."""
    Options: ClassVar[type] = NoOptions
    """Dataclass of the agent's hyper-parameters; the command line sets them by name."""

    def __init__(self, setting: Setting, options: Any, number: int) -> None:
        self.setting = setting
        self.options = options if options is not None else self.Options()
        check_fields(setting)
        if not all(hasattr(self.options, field.name) for field in fields(self.Options)):
            check_value("options", self.options, self.Options)  # another class will do if it has all of the fields
        self._number = number
        self._key = world_key(setting.seed, torch.tensor([number], device=setting.device))
        self._draws = 0
        self.learned = 0

    @property
    def progress(self) -> float:
        """Part of the training that is done, 0 to 1."""
        return self.learned / max(1, self.setting.total_steps)

    def draw(self, *shape: int, stream: Stream = Stream.EXPLORE) -> Tensor:
        """The player's own noise: uniform in (0, 1), float32 of this shape, new at each call."""
        self._draws += 1
        return uniform(self._key, self._draws, stream, shape)[0]

    def draw_allowed(self, mask: Tensor) -> Tensor:
        """An action that ``mask`` allows, each as likely, by its own noise: bool ``[..., A]`` to int64 ``[...]``."""
        self._draws += 1
        return any_of(self._key, self._draws, Stream.EXPLORE, mask)

    def initialise(self, name: str, network: Network) -> Network:
        """Draw the initial weights of ``network`` in place: others for each seed, player and ``name``."""
        return draw_weights(network, self.setting.seed, f"player {self._number}.{name}")

    def begin(self, pretrained: Pretrained) -> str:
        """Start from what fits of this, before the first step; says what was taken and what was not, and why."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit."""
        return {"draws": self._draws, "learned": self.learned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self._draws, self.learned = state["draws"], state["learned"]


class Offer(NamedTuple):
    """Slates that a platform filled.

    Attributes:
        slots: int64 ``[B, N, K]``, the candidate in each slot, from 1; 0 = left empty.
        log_propensity: float32 ``[B, N]``, log-probability of these slots, in their order, given what the platform saw
            and has learnt; None where it does not know. With it a log can be used for off-policy evaluation.
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


class Agent(Player):
    """Plays one side of the market for all its agents in all worlds at once, or fills the slates of a platform.

    Must be overridden: ``name`` and ``act``. May be overridden: ``offer`` and ``scores``, and the rest as ``Player``
    says.

    Args:
        spec: the side's shapes.
        setting: seed, device and length of the run.
        options: an instance of the class's ``Options``.
    """

    def __init__(self, spec: SideSpec, setting: Setting, options: Any = None) -> None:
        super().__init__(setting, options, _NUMBERS[spec.side])
        self.spec = spec

    @abstractmethod
    def act(self, observation: Observation, explore: bool) -> Tensor:
        """Actions for all agents, int64 ``[B, N]``. ``explore=False`` asks for the best that it knows."""

    def scores(self, observation: Observation, who: Tensor | None = None) -> Tensor:
        """What each action is worth to it, the more the better: ``[B, N, 1 + M * L]``, whatever the mask.

        Without exploration ``act`` takes the best of them. Whoever overrides it can be asked for lists of any items:
        there may be more options than ``spec`` says, and rows of some agents alone.

        Args:
            observation: of all agents, or of those in ``who``.
            who: int64 ``[N']``, whose rows these are; None = everybody's.

        Raises:
            InterplayError: it has none, or has not learnt any yet.
        """
        raise InterplayError(f"{self.name!r} gives what it may choose no scores: take an agent that does, such as "
                             "dqn, or override Agent.scores")

    def offer(self, observation: Observation, size: int, explore: bool) -> Offer:
        """As a platform: slates of ``size`` candidates, and how likely they were, where it is known.

        Unless overridden, it acts for one slot after the other, each time without what it has taken. So an agent that
        scores options fills slates with those of the highest scores. ``log_propensity`` says how likely each slot was.
        """
        def take(mask: Tensor) -> tuple[Tensor, Tensor | None]:
            left = replace(observation, mask=mask)
            slot = self.act(left, explore)
            return slot, self.log_propensity(left, slot, explore)

        return filled(observation.mask, size, take)

    def log_propensity(self, observation: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability with which ``act`` chooses ``action`` (int64 ``[B, N]``), float32 ``[B, N]``, if it is known.

        Unless overridden, it is 0 for an agent that leaves nothing to chance, and otherwise None.
        """
        fixed = self.certain or (not explore and type(self).scores is not Agent.scores)
        return torch.zeros(action.shape, device=action.device) if fixed else None

    def learn(self, transition: Transition) -> Mapping[str, Tensor]:
        """Learn from one step; give named scalars to be logged, left on the device.

        A learner gives its ``"loss"`` whenever it has learned: a run ends where that is not finite.
        """
        return {}


class JointAgent(Player):
    """Plays one side or both with one brain: learns from all that it plays, acts from what each side sees.

    Must be overridden: ``name``, ``act`` and ``learn``. May be overridden: ``scores``, and the rest as ``Player`` says.

    Args:
        specs: shapes of the sides that it plays.
        setting: seed, device and length of the run.
        options: an instance of the class's ``Options``.
    """

    learns: ClassVar[bool] = True
    plays: ClassVar[tuple[Side, ...]] = SIDES

    def __init__(self, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> None:
        super().__init__(setting, options, _BOTH if len(specs) > 1 else _NUMBERS[next(iter(specs))])
        self.specs = dict(specs)

    @abstractmethod
    def act(self, side: Side, observation: Observation, explore: bool) -> Tensor:
        """Actions for all agents of one side, int64 ``[B, N]``, decided from what that side sees alone."""

    def scores(self, side: Side, observation: Observation, who: Tensor | None = None) -> Tensor:
        """What each action of one side is worth to it, ``[B, N, 1 + M * L]``; see ``Agent.scores``."""
        raise InterplayError(f"{self.name!r} gives what it may choose no scores: take an agent that does, such as "
                             "shared-critic, or override JointAgent.scores")

    def log_propensity(self, side: Side, observation: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability with which ``act`` chooses ``action``; see ``Agent.log_propensity``."""
        fixed = self.certain or (not explore and type(self).scores is not JointAgent.scores)
        return torch.zeros(action.shape, device=action.device) if fixed else None

    @abstractmethod
    def learn(self, transitions: Mapping[Side, Transition]) -> Mapping[str, Tensor]:
        """Learn from one step of each side that it plays; give named scalars to be logged, as ``Agent.learn`` does."""
