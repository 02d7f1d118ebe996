"""What a mechanism is: its parameters, its tables, and its part of responses, slates, rewards, views and masks.

``B``, ``U``, ``I``, ``K``, ``G`` and ``C`` are sizes as in ``types``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from interplay.envs import noise
from interplay.envs.checking import Checked
from interplay.envs.mechanisms.given import Outcome, Start, responses_by_segment
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError
from interplay.envs.world import State

if TYPE_CHECKING:
    from interplay.envs.drawing.picture import Picture

__all__ = ["Mechanism", "Outcome", "Start", "responses_by_segment"]

_FIRST_STREAM = 1 << 30  # above every ``noise.Stream``


@dataclass(frozen=True)
class Mechanism(Checked):
    """One part of the world; the parameters are the fields of a frozen dataclass, each with a default.

    May be overridden: everything. Must not: mix worlds, write into a tensor that it is given, or draw noise other than
    by ``uniform`` or by ``interplay.envs.noise`` with ``self.stream``.

    Attributes:
        name: what users type; by default the class's name in lower case, ``LearningCurve`` as ``learning_curve``.
        replaces_user_reward: whether ``user_reward`` stands in place of the response; else it is added to it.
        stream: of its noise, from a hash of the name, so that other mechanisms' draws stay as they are.
        shows_end: whether users can see when the episode will end; then it ends for learners, and is not just cut off.
    """

    name: ClassVar[str] = ""
    replaces_user_reward: ClassVar[bool] = False
    stream: ClassVar[int]
    shows_end: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls) and "__dataclass_fields__" not in vars(cls):  # which a run could not repeat
            raise InterplayError(f"mechanism {cls.__name__} has an __init__ of its own: make its parameters fields of "
                                 "a class with @dataclass(frozen=True)")
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls.stream = _FIRST_STREAM + zlib.crc32(cls.name.encode()) % _FIRST_STREAM

    @property
    def carries_over(self) -> bool:
        """Whether what users do now changes what they can earn later; ``carries_over = False`` says that it does not.

        Exact solvers ask this.
        """
        return not self.is_idle

    @property
    def is_idle(self) -> bool:
        """Whether its parameters switch it off: nothing that is earned depends on it. Exact solvers ask this."""
        return False

    @property
    def users_return(self) -> bool:
        """Whether users who have left may come back because of it."""
        return False

    def without_return(self) -> Self:
        """This mechanism for users who leave for good; a mechanism whose ``users_return`` may be True overrides it."""
        return self

    def uniform(self, at: State | Start, *shape: int, offset: int = 0) -> Tensor:
        """Draws in (0, 1) of its own, float32 ``[B, *shape]``; a second call in a step needs an ``offset``."""
        return noise.uniform(at.key, at.time, self.stream, shape, offset)

    def integers(self, at: State | Start, below: int, *shape: int, offset: int = 0) -> Tensor:
        """Draws of 0 to ``below - 1``, each as likely, int64 ``[B, *shape]``; ``offset`` as in ``uniform``."""
        return (self.uniform(at, *shape, offset=offset) * below).long().clamp(max=below - 1)

    def on(self, device: torch.device) -> Self:
        """This mechanism for a market on a device: where it keeps constants there, so that no step copies them."""
        return self

    @property
    def item_actions(self) -> Levels | None:
        """Levels that an item can choose, or None."""
        return None

    def user_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """Names of the columns of ``see_users``."""
        return ()

    def item_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """Names of the columns of ``see_items``."""
        return ()

    def option_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """Names of the columns of ``see_options``."""
        return ()

    def segment_columns(self, sizes: MarketSizes) -> Sequence[str]:
        """Names of the columns of ``see_segments``."""
        return ()

    def num_user_states(self, sizes: MarketSizes) -> int | None:
        """How many values ``user_state`` has, where a market has ``user_state="mechanism"``; None = it has none."""
        return None

    def num_item_states(self, sizes: MarketSizes) -> int | None:
        """The same of ``item_state``."""
        return None

    def user_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Tables with a row for each user at time 0, ``[B, U, ...]``; a hook reads one as ``state["name"]``."""
        return {}

    def item_tables(self, start: Start) -> Mapping[str, Tensor]:
        """Tables with a row for each item at time 0, ``[B, I, ...]``."""
        return {}

    def update(self, state: State, outcome: Outcome) -> Mapping[str, Tensor]:
        """Its tables after the step, those that change.

        Other tables may be among them, also those of ``world.MOVED``: then they take the place of what earlier
        mechanisms made of them.
        """
        return {}

    def shift(self, state: State, items: Tensor) -> Tensor:
        """What it adds to the logit of the response, float32 ``[B, U, K]``, for ``items`` int64 ``[B, U, K]``."""
        raise NotImplementedError

    def slate_score(self, state: State, items: Tensor) -> Tensor:
        """What it adds to scores before slates are drawn, float32 ``[B, U', M]``; -inf for what must not be shown.

        ``state`` holds the ``U'`` users alone whose slates are drawn. Fixed slates have no scores. Where a market has
        ``num_candidates``, these are chosen before, without it.
        """
        raise NotImplementedError

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Float32 ``[B, U]``, added to the response or in place of it; users who had left before get nothing."""
        raise NotImplementedError

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """What ``user_reward`` is on average now, float32 ``[B, U, 1 + K]``: of a skip, and of each of ``items``.

        Greedy users ask for it; ``rate`` float32 ``[B, U, K]`` is how likely they respond to ``items`` int64 ``[B, U,
        K]``. Without it, greedy users know responses alone.
        """
        raise NotImplementedError

    def leaves(self, state: State) -> Tensor:
        """Which users leave at the end of a step, bool ``[B, U]``; ``state`` holds the tables after it."""
        raise NotImplementedError

    def item_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """Float32 ``[B, I]``, added to the profit; items that had died before get nothing."""
        raise NotImplementedError

    def see_users(self, state: State) -> Tensor:
        """What users see of themselves, float32 ``[B, U', F]`` in [-4, 4]; ``state`` may hold some users alone."""
        raise NotImplementedError

    def see_items(self, state: State) -> Tensor:
        """What items see of themselves, and users of the items in their slots, float32 ``[B, I, F]`` in [-4, 4]."""
        raise NotImplementedError

    def see_options(self, state: State, items: Tensor) -> Tensor:
        """What users see of each of ``items`` int64 ``[B, U', K]``, float32 ``[B, U', K, F]`` in [-4, 4].

        For what depends on the user, too: ``see_items`` shows the same to all. Empty slots show 0. ``state`` may hold
        some users alone.
        """
        raise NotImplementedError

    def see_segments(self, state: State, segments: Tensor) -> Tensor:
        """What items see of each of ``segments`` int64 ``[B, I, C]``, float32 ``[B, I, C, F]`` in [-4, 4]."""
        raise NotImplementedError

    def user_state(self, state: State) -> Tensor:
        """The number of the state that tabular users see, int64 ``[B, U]``."""
        raise NotImplementedError

    def item_state(self, state: State) -> Tensor:
        """The number of the state that tabular items see, int64 ``[B, I]``."""
        raise NotImplementedError

    def measures(self, state: State) -> Mapping[str, Tensor]:
        """Figures of its field by name, float32 ``[B]``, which evaluations report beside returns."""
        return {}

    def allowed_slots(self, state: State, items: Tensor) -> Tensor:
        """Which of ``items`` int64 ``[B, U', K]`` users may take, bool ``[B, U', K]``; skipping is always allowed."""
        raise NotImplementedError

    def allowed_levels(self, state: State) -> Tensor:
        """Which of its own levels items may choose, bool ``[B, I, L]``; resting is always allowed."""
        raise NotImplementedError

    def can_spend(self, state: State, due: Tensor) -> Tensor:
        """What each item can spend on a boost, float32 ``[B, I]``, where those being served cost ``due [B, I]``."""
        raise NotImplementedError

    def draw(self, picture: Picture, state: State) -> None:
        """Add its part to a picture of one world, ``B`` = 1: bars and labels of agents, or anything on the canvas.

        For example ``picture.bar("items", "price", state["price"], high=2.0)``.
        """
