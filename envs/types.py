"""What passes between agents and the code that runs them. Shapes are documented here; a market's own in ``world``.

``B`` worlds run side by side. Each has ``U`` users, ``I`` items, slates of ``K``, vectors of size ``D``,
``G`` topics, ``C`` user segments and ``L`` boost levels. Both sides of the market look alike to an agent:
``N`` agents (users or items) that each see their own features, a row of features for each of ``M`` options
(slots for a user, segments for an item) and a mask over ``1 + M * L`` actions. Action 0 is always to do
nothing: a user skips, an item rests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_type_hints

import torch
from torch import Tensor

from interplay.envs.messages import halves, shortened
from interplay.envs.stacking import rows_of

Side = Literal["users", "items", "platform"]

SIDES: tuple[Side, Side] = ("users", "items")
"""The sides that move in each step, in the order of all listings. A platform, if there is one, fills the slates
in between."""


TOLERANCE = 1e-4
"""Budgets and moods are sums of decimal fractions in float32: what should be exactly 0 may be off by rounding."""

FEATURE_BOUND = 4.0
"""Every feature of an observation lies in [-FEATURE_BOUND, FEATURE_BOUND]."""


class InterplayError(ValueError):
    """Wrong input, in one line of bounded length: the thing, the value and the fix.

    The line reads "what is wrong: how to fix it"; ``problem`` and ``fix`` show the two apart.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))

    @property
    def problem(self) -> str:
        """What is wrong: the thing and its value."""
        return halves(str(self))[0]

    @property
    def fix(self) -> str:
        """What to do, or what the value must be; empty where the message does not say."""
        return halves(str(self))[1]


class UnexpectedArgumentError(InterplayError, TypeError):
    """A keyword argument that a constructor does not know, in Python's own words, which clients search for."""


@dataclass(frozen=True)
class TensorRecord:
    """A frozen group of tensors (or groups of them) that can be saved, loaded, stacked and changed as one."""

    constant: ClassVar[bool] = False
    """Whether its tensors never change while worlds go on."""
    _not_parts: ClassVar[frozenset[str]] = frozenset()

    def state_dict(self) -> dict[str, Any]:
        """The tensors by field name, nested as the record is."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v.state_dict() if isinstance(v, TensorRecord) else v for k, v in values.items()}

    def loaded(self, state: dict[str, Any]) -> Self:
        """A record like this one, on the same device, that holds the values of ``state``."""
        values: dict[str, Any] = {}
        for f in fields(self):
            old, new = getattr(self, f.name), state[f.name]
            if isinstance(old, TensorRecord):
                values[f.name] = old.loaded(new)
            else:
                values[f.name] = None if new is None else new.to(old.device)
        return replace(self, **values)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The record that ``state_dict`` gave ``state`` of."""
        kinds = _hints_of(cls)
        return cls(**{name: kinds[name].from_state(value) if isinstance(value, dict) else value
                      for name, value in state.items()})

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor that is there, in the order in which ``map`` visits them."""
        for name in self._names():
            value = getattr(self, name)
            if isinstance(value, TensorRecord):
                yield from value.tensors()
            elif value is not None:
                yield value

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        """Of its fields, in order, in a tenth of the time that ``fields`` takes: a compiler can trace this, too."""
        names: tuple[str, ...] = cls.__match_args__
        return names

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The record with ``change`` applied to every tensor; what is None stays so."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: value.map(change) if isinstance(value, TensorRecord)
                                else None if value is None else change(value) for name, value in values.items()})

    def parts(self) -> dict[str, Any]:
        """Its fields and what it keeps of what follows from them, sorted by name."""
        return {name: part for name, part in sorted(vars(self).items()) if name not in self._not_parts}

    def derive_as(self, other: Self) -> None:
        """Keep of what follows from the fields as much as ``other`` does."""
        for name, part in other.parts().items():
            mine = getattr(self, name)  # a cached property is made now
            if isinstance(mine, TensorRecord):
                mine.derive_as(part)

    def rows(self, index: Tensor) -> Self:
        """The rows of every tensor's first axis at these places, int64 ``[R]``."""
        tables = list(self.tensors())
        found = iter(rows_of(index, tables))
        return self.map(lambda table: next(found))

    @classmethod
    def stack(cls, records: Sequence[Self]) -> Self:
        """The records along a new first axis; where one has None, all have."""
        first, values = records[0], {}
        for f in fields(first):
            column = [getattr(record, f.name) for record in records]
            old = column[0]
            stacked = type(old).stack(column) if isinstance(old, TensorRecord) else None
            values[f.name] = stacked if old is None or stacked is not None else torch.stack(column)
        return replace(first, **values)


@dataclass(frozen=True)
class SideSpec:
    """What an agent has to know about the side of the market it plays before it sees a step.

    Attributes:
        side: ``"users"``, ``"items"`` or ``"platform"``.
        num_agents: ``N``, how many agents play this side; of a platform, how many users it fills slates for.
        num_options: ``M``, slots of a slate for users, segments for items, candidates for a platform.
        num_levels: ``L``, actions for each option: the boost levels for items, 1 for others.
        own_features: names of the columns of ``Observation.own``.
        option_features: names of the columns of ``Observation.options``.
        num_states: how many values ``Observation.state`` can take, None where the game has no exact state.
        num_ids: how many values ``Observation.ids`` can take: the items of a world, or its segments.
        history_length: ``H``, steps that ``Observation.history`` goes back; 0 = there is none.
        history_features: names of the columns of ``Observation.history``.
        delayed: whether an action serves, and is paid for, only in the step after it was chosen, as boosts do.
        catalogue: columns of options that follow from the item, where all worlds have the same items; else None.
    """

    side: Side
    num_agents: int
    num_options: int
    num_levels: int
    own_features: tuple[str, ...]
    option_features: tuple[str, ...]
    num_states: int | None = None
    num_ids: int = 0
    history_length: int = 0
    history_features: tuple[str, ...] = ()
    delayed: bool = False
    catalogue: Catalogue | None = field(default=None, compare=False, repr=False)

    @property
    def num_actions(self) -> int:
        """``1 + M * L``: nothing, or one level of one option."""
        return 1 + self.num_options * self.num_levels


@dataclass(frozen=True)
class Observation(TensorRecord):
    """What one side sees, for all its agents in all worlds. Features lie in [-4, 4].

    Attributes:
        own: float32 ``[B, N, F_own]``.
        options: float32 ``[B, N, M, F_option]``.
        mask: bool ``[B, N, 1 + M * L]``, True = allowed. Action 0 always is.
        ids: int64 ``[B, N, M]``, what each option is: the item in the slot, the candidate, or the segment. Items of
            two synthetic worlds with one number are two items; those of a log are the same everywhere.
        state: int64 ``[B, N]``, the exact state of a small game, or None.
        history: float32 ``[B, N, H, F_history]``, what the user took in the last H steps and how it responded, the
            latest last; all 0 for skips and for steps before the first. None where the market keeps no history.
        history_ids: int64 ``[B, N, H]``, 1 + the item taken, 0 for none; None as above.
        expected: float32 ``[B, N, 1 + M * L]``, the expected reward of each action at its next pay-day. Only
            oracle baselines ask for it (``Agent.sees_expected_reward``); None for all other agents.
    """

    own: Tensor
    options: Tensor
    mask: Tensor
    ids: Tensor
    state: Tensor | None = None
    history: Tensor | None = None
    history_ids: Tensor | None = None
    expected: Tensor | None = None


@dataclass(frozen=True)
class Catalogue(TensorRecord):
    """Columns of options that follow from the item and its user alone, so that a memory can keep the item's number.

    Attributes:
        table: float32 ``[I, S]``, the columns of each item.
        factor: int64 ``[S]``, the column of ``Observation.own`` that multiplies each; one past the last = nothing does.
        kept: int64 ``[F_option - S]``, the other columns of ``Observation.options``.
        order: int64 ``[F_option]``, where each column of options stands among those of ``table`` and then ``kept``.
    """

    constant: ClassVar[bool] = True
    table: Tensor
    factor: Tensor
    kept: Tensor
    order: Tensor

    def without(self, seen: Observation) -> Observation:
        """What is seen without these columns."""
        return replace(seen, options=seen.options[..., self.kept], ids=seen.ids.int())

    def restored(self, seen: Observation) -> Observation:
        """What ``without`` left, with these columns again, to the bit. Empty slots, which show 0 alone, stay so."""
        factor = torch.cat([seen.own, torch.ones_like(seen.own[..., :1])], dim=-1)[..., self.factor]
        columns = torch.cat([self.table[seen.ids] * factor.unsqueeze(-2), seen.options], dim=-1)[..., self.order]
        there = (seen.options != 0.0).any(-1, keepdim=True)
        options = torch.where(there, columns.clamp(-FEATURE_BOUND, FEATURE_BOUND), 0.0)
        return replace(seen, options=options, ids=seen.ids.long())


ALL_ALIKE = torch.empty(0)
"""Stands for weights that steps were not given; it makes ones of them."""


_hints_of: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def count_alike(record: Any) -> None:
    """Weights of 1 for a record of steps that has not been given others."""
    if record.weight is ALL_ALIKE:
        object.__setattr__(record, "weight", torch.ones_like(record.reward))


@dataclass(frozen=True)
class Transition(TensorRecord):
    """One step of one side, as a learner gets it.

    Attributes:
        observation: what the agents saw.
        action: int64 ``[B, N]``; for a platform, the candidate that the user took.
        reward: float32 ``[B, N]``.
        next_observation: what they saw next. After the last step of an episode it is still the one that
            followed, never the first of another episode, so that a truncated value can be bootstrapped.
        response: float32 ``[B, N]``, the user's own response, or all that the item got, before ``reward`` blends.
        terminated: bool ``[B, N]``, the agent is gone for good: nothing follows.
        truncated: bool ``[B, N]``, the episode was cut off here: what comes next is another episode's.
        valid: bool ``[B, N]``, False for agents that had already gone for good, not for those that may return.
            False too where there is no target of learning, because a log does not say what the action was worth.
        slate: int64 ``[B, N, K]``, for a platform alone: the candidate in each slot, from 1; 0 = the slot was empty.
        weight: float32 ``[B, N]``, at least 0: how much the step counts among others in an agent's loss.
            About 1 on average, and 1 everywhere unless a log's selection is to be undone.
    """

    observation: Observation
    action: Tensor
    reward: Tensor
    next_observation: Observation
    response: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor
    slate: Tensor | None = None
    weight: Tensor = ALL_ALIKE

    def __post_init__(self) -> None:
        count_alike(self)

    @property
    def seen(self) -> Observation:
        """Short for ``observation``."""
        return self.observation

    @property
    def next(self) -> Observation:
        """Short for ``next_observation``."""
        return self.next_observation

    def mean(self, values: Tensor) -> Tensor:
        """Mean of ``values [B, N]``, by ``weight``, over agents that are there; 0 where there is none."""
        return (values * self.weight * self.valid).sum() / self.valid.sum().clamp(min=1)
