"""What all agents have in common, and how training and evaluation call them."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from inspect import signature
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from interplay.agents.encoders.base import Pretrained
from interplay.agents.parts.counting import Counting
from interplay.agents.parts.networks import Network, draw_weights, seeded
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.ranks import ALONE, Ranks
from interplay.agents.parts.remembered import stateful
from interplay.agents.parts.schedules import Scalar
from interplay.envs.checking import check_fields, check_value, shown
from interplay.envs.graphs import NotCapturable, recording
from interplay.envs.kernels import epsilon_greedy
from interplay.envs.noise import Stream, any_of, check_draws, uniform, world_key
from interplay.envs.types import InterplayError, Observation, Side, SideSpec, Transition


class Setting(NamedTuple):
    """What an agent needs to know about the run.

    Attributes:
        seed: of all the agent's randomness.
        device: where the agent's tensors live.
        total_steps: how many times ``learn`` will be called, for schedules.
        discount: how much the next step's value counts.
        reward_scale: factor of the rewards that it learns from.
    """

    seed: int = 0
    device: torch.device = torch.device("cpu")
    total_steps: int = 1
    discount: float = 0.97
    reward_scale: float = 1.0


@dataclass(frozen=True)
class NoOptions:
    """For agents that have nothing to set."""


def check_options(kind: type[Player]) -> None:
    """Check that a class's ``Options`` can be made and set by name.

    Raises:
        InterplayError: it is no dataclass, or an option has no default.
    """
    if not (isinstance(kind.Options, type) and is_dataclass(kind.Options)):
        raise InterplayError(f"{kind.__name__}.Options={kind.Options!r} must be a dataclass: decorate it with "
                             "@dataclass(frozen=True)")
    for field in fields(kind.Options):
        if field.default is MISSING and field.default_factory is MISSING:
            raise InterplayError(f"{kind.__name__}.Options.{field.name} has no default: give it one")


class Player(Counting, ABC):
    """What agents of one side and of several have in common: a name, options, noise, a clock, and their state.

    Tensors, modules, optimisers and numbers that an agent keeps as attributes are its state: they are saved, loaded and
    moved without code of its own, as ``Stateful`` says.

    May be overridden: ``build``, ``learn`` and ``warm_start``. Make attributes in ``build``, not in ``__init__``.
    """

    name: ClassVar[str]
    """The class's name in kebab case, slot-means for SlotMeans, unless it gives another."""
    learns: ClassVar[bool] = False
    """Whether ``learn`` is called; True for every class that overrides it, unless it says otherwise."""
    sees_expected_reward: ClassVar[bool] = False
    """True for oracle baselines, which are shown ``Observation.expected``."""
    plays: ClassVar[tuple[Side, ...]] = ("users", "items", "platform")
    """The sides that it can play."""
    stacks: ClassVar[bool] = False
    """Whether copies of it can learn as one (``parts.seeds``): all it does to tensors has rules for torch.func.vmap."""
    deterministic: ClassVar[bool] = False
    """True if its actions follow from what it sees and has learnt without chance, also while it explores."""
    capturable: ClassVar[bool] = True
    """Whether its steps may be recorded as graphs, which a GPU replays without Python: see ``parts.captured``. False
    for an agent that reads values on the host, or whose steps follow from numbers that Python keeps."""
    _counters: ClassVar[tuple[str, ...]] = ("_draws", "learned")
    ranks: Ranks = ALONE
    """Which of several processes this one is, if several train it; see ``join``."""
    Options: ClassVar[type] = NoOptions
    """Dataclass of the agent's hyper-parameters; the command line sets them by name."""
    options: Any

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if Player in cls.__bases__:  # Agent and JointAgent are no agents yet
            return
        cls.name = vars(cls).get("name", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower())
        cls.stacks = vars(cls).get("stacks", False)  # what a subclass adds may have no rule
        cls.learns = vars(cls).get("learns", cls.learn is not Player.learn)

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

    @classmethod
    def made(cls, *arguments: Any) -> Self:
        """An agent from what its ``__init__`` is given, if that does what ``Agent`` and ``JointAgent`` need.

        Raises:
            InterplayError: it takes other arguments, or does not call ``super().__init__``.
        """
        fix = "leave it out, and make attributes in build"
        try:
            signature(cls.__init__).bind(None, *arguments)
        except TypeError as error:
            raise InterplayError(f"{cls.__name__}.__init__ takes other arguments than that of Agent ({error}): {fix}"
                                 ) from error
        agent = cls(*arguments)
        if "setting" not in vars(agent):
            raise InterplayError(f"{cls.__name__}.__init__ does not call super().__init__: {fix}")
        return agent

    @classmethod
    @abstractmethod
    def of(cls, specs: Mapping[Side, SideSpec], setting: Setting, options: Any = None) -> Self:
        """An agent for these sides."""

    def build(self) -> None:
        """Make what the agent keeps: tensors, networks, optimisers.

        Inside, torch makes tensors and modules on the agent's device, and draws initial weights from the agent's seed.
        """

    def _build(self) -> None:
        with seeded(4 * self.setting.seed + self._number, self.device):
            self.build()

    @property
    def device(self) -> torch.device:
        """Where the agent's tensors live."""
        return self.setting.device

    @property
    def discount(self) -> float:
        """How much the next step's value counts."""
        return self.setting.discount

    @property
    def learned(self) -> int:
        """How many steps it has learned from, which is counted before ``learn`` is called.

        Raises:
            NotCapturable: a graph is recorded, in which this number would never change.
        """
        if recording() and type(self).graph_phase is Counting.graph_phase:
            raise NotCapturable(f"{self.name!r} reads self.learned: use self.progress, or say in graph_phase what "
                                "follows from the number")
        number: int = vars(self)["learned"]
        return number

    @learned.setter
    def learned(self, number: int) -> None:
        vars(self)["learned"] = number

    @property
    def progress(self) -> Scalar:
        """Part of the training that is done, 0 to 1; float64 ``[]`` on the device where graphs are recorded."""
        learned, total = self._counted("learned"), max(1, self.setting.total_steps)
        return learned.double() / total if isinstance(learned, Tensor) else learned / total

    @property
    def epsilon(self) -> Scalar | None:
        """Share of random actions while exploring, as the options say (see ``schedules.Exploring``); None = none."""
        share = getattr(self.options, "epsilon", None)
        found: Scalar | None = share(self.progress) if callable(share) else share
        return found

    def zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Zeros on the agent's device."""
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def draw(self, *shape: int, stream: Stream = Stream.EXPLORE) -> Tensor:
        """The player's own noise: uniform in (0, 1), float32 of this shape, new at each call."""
        return uniform(self._key, self._next_draw(), stream, shape, self.ranks.offset(math.prod(shape)))[0]

    def draw_allowed(self, mask: Tensor) -> Tensor:
        """An action that ``mask`` allows, each as likely, by its own noise: bool ``[..., A]`` to int64 ``[...]``."""
        return any_of(self._key, self._next_draw(), Stream.EXPLORE, mask, self.ranks.offset(mask.numel()))

    def draw_greedy(self, epsilon: float, values: Tensor, mask: Tensor) -> Tensor:
        """Where ``draw`` is below ``epsilon`` what ``draw_allowed`` gives, elsewhere the best, int64 ``[...]``.

        Args:
            epsilon: share of agents that explore.
            values: float32 ``[..., A]``; kernels can compare them.
            mask: bool ``[..., A]``.
        """
        offsets = self.ranks.offset(math.prod(mask.shape[:-1])), self.ranks.offset(mask.numel())
        check_draws(f"mask of shape {tuple(mask.shape)}", offsets[1] + mask.numel())
        steps = int(self._advance("_draws")), int(self._advance("_draws"))
        return epsilon_greedy(self._key, steps, Stream.EXPLORE, offsets, epsilon, values, mask)

    def join(self, ranks: Ranks) -> None:
        """Learn as one of several processes, which average the gradients of ``Optimiser``.

        Raises:
            InterplayError: it learns without one, so that each process would learn something else.
        """
        optimisers = [part for part in stateful(self) if isinstance(part, Optimiser)]
        if self.learns and not optimisers and ranks.size > 1:
            raise InterplayError(f"{self.name!r} learns without gradients, which {ranks.size} processes could average: "
                                 "train it in one process, or take an agent with interplay.agents.Optimiser, such as "
                                 "dqn, pqn or ippo")
        self.ranks = ranks
        for optimiser in optimisers:
            optimiser.ranks = ranks

    def _next_draw(self) -> int | Tensor:
        """The number of the draw, which noise takes in place of a step's: an integer or int32 ``[1]``."""
        number = self._advance("_draws")
        return number.int().view(1) if isinstance(number, Tensor) else number

    def initialise(self, name: str, network: Network) -> Network:
        """Draw the initial weights of ``network`` in place: others for each seed, player and ``name``."""
        return draw_weights(network, self.setting.seed, f"player {self._number}.{name}")

    def warm_start(self, pretrained: Pretrained) -> str:
        """Start from what fits of this, before the first step; says what was taken and what was not, and why."""
        return ""

    def learn(self, step: Any) -> Mapping[str, Tensor] | None:
        """Learn from one step; may give named scalars to be logged, left on the device.

        A ``"loss"`` shows a run that diverges early: the run ends where it is not finite.

        Args:
            step: a ``Transition``; a ``JointAgent`` gets one for each side that it plays, by side.
        """
        return None

    def learn_from(self, steps: Mapping[Side, Transition]) -> dict[str, Tensor]:
        """Count a step of training, learn from it, and give metrics without their graphs. Training calls this."""
        self._advance("learned")
        scale = self.setting.reward_scale
        scaled = steps if scale == 1.0 else {side: replace(step, reward=scale * step.reward)
                                             for side, step in steps.items()}
        found = self._learned_from(scaled)
        epsilon = self.epsilon
        shown = {} if epsilon is None else {
            "epsilon": epsilon.float() if isinstance(epsilon, Tensor) else torch.full((), epsilon)}
        return {name: value.detach() if isinstance(value, Tensor) else value for name, value in found.items()} | shown

    def _learned_from(self, steps: Mapping[Side, Transition]) -> Mapping[str, Tensor]:
        """What ``learn`` gives of them, if that is numbers by name."""
        found = self._learn(steps)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise InterplayError(f"{self.name!r}: learn gave {shown(found)}, must give scalars by name, such as "
                                 "{'loss': loss}, or nothing")
        for name, value in found.items():
            if getattr(value, "shape", ()) != ():
                raise InterplayError(f"{self.name!r}: learn()[{name!r}] has shape {list(value.shape)}, must be a "
                                     "scalar: take the mean")
        return found

    def _learn(self, steps: Mapping[Side, Transition]) -> Mapping[str, Tensor] | None:
        return self.learn(steps)

    @abstractmethod
    def act_as(self, side: Side, seen: Observation, explore: bool) -> Tensor:
        """Actions for all agents of one side, int64 ``[B, N]``."""

    @abstractmethod
    def scores_as(self, side: Side, seen: Observation, agent_ids: Tensor | None = None) -> Tensor:
        """Scores of one side's actions; see ``Agent.scores``."""

    @abstractmethod
    def log_propensity_as(self, side: Side, seen: Observation, action: Tensor, explore: bool) -> Tensor | None:
        """Log-probability of one side's actions; see ``Agent.log_propensity``."""

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device | None = None) -> None:
        """Restore a copy of ``state`` on the agent's own device."""
        super().load_state_dict(state, self.device)
