"""The words that everything else is said in: shapes are documented here, once.

``B`` worlds run side by side. Each has ``U`` users, ``I`` items, slates of ``K``, vectors of size ``D``,
``G`` topics, ``C`` user segments and ``L`` boost levels. Both sides of the market look alike to an agent:
``N`` agents (users or items) that each see their own features, a row of features for each of ``M`` options
(slots for a user, segments for an item) and a mask over ``1 + M * L`` actions. Action 0 is always to do
nothing: a user skips, an item rests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Self, get_type_hints

import torch
from torch import Tensor

Side = Literal["users", "items", "platform"]

SIDES: tuple[Side, Side] = ("users", "items")
"""Who moves in each step, in the order in which everything lists them. A platform, if there is one, fills the slates
in between."""


FEATURE_BOUND = 4.0
"""Every feature of an observation lies in [-FEATURE_BOUND, FEATURE_BOUND]."""


class InterplayError(ValueError):
    """Wrong input, said in one line: the thing, the value and the mend."""


@dataclass(frozen=True)
class TensorRecord:
    """A frozen group of tensors (or groups of them) that can be saved, loaded, stacked and changed as one."""

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
        kinds = get_type_hints(cls)
        return cls(**{name: kinds[name].from_state(value) if isinstance(value, dict) else value
                      for name, value in state.items()})

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor that is there, in the order in which ``map`` visits them."""
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, TensorRecord):
                yield from value.tensors()
            elif value is not None:
                yield value

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The record with ``change`` applied to every tensor; what is None stays so."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: value.map(change) if isinstance(value, TensorRecord)
                                else None if value is None else change(value) for name, value in values.items()})

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
        history_ids: int64 ``[B, N, H]``, 1 + the item taken, 0 for none; None likewise.
        expected: float32 ``[B, N, 1 + M * L]``, the expected reward of each action at its next pay-day. Only
            oracle baselines ask for it (``Agent.privileged``); None for everybody else.
    """

    own: Tensor
    options: Tensor
    mask: Tensor
    ids: Tensor
    state: Tensor | None = None
    history: Tensor | None = None
    history_ids: Tensor | None = None
    expected: Tensor | None = None


ALL_ALIKE = torch.empty(0)
"""Stands for weights that steps were not given; it makes ones of them."""


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
        response: float32 ``[B, N]``, the user's own response, or all that the item got, whatever ``reward`` blends.
        terminated: bool ``[B, N]``, the agent is gone for good: nothing follows.
        truncated: bool ``[B, N]``, the episode was cut off here: what comes next is another episode's.
        valid: bool ``[B, N]``, False for agents that had already gone for good; who is away but may return is valid.
            False too where there is no target of learning, because a log does not say what the action was worth.
        slate: int64 ``[B, N, K]``, for a platform alone: the candidate in each slot, from 1; 0 = the slot was empty.
        weight: float32 ``[B, N]``, at least 0: how much the step counts among others, in the loss of whoever heeds it.
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


NO_FEATURES = torch.empty(0)
"""Stands for features that a ``Population`` was not given; it makes zero columns of them."""


@dataclass(frozen=True)
class Population(TensorRecord):
    """Who lives in each world: what a behaviour decides before the first step.

    Attributes:
        user_vector: float32 ``[B, U, D]``, tastes at the start, of length 1.
        segment: int64 ``[B, U]``, the segment each user belongs to, in ``0..C-1``.
        item_vector: float32 ``[B, I, D]``.
        appeal: float32 ``[B, I]``, b_i.
        topics: float32 ``[B, I, G]``, each row on the simplex.
        nutrition: float32 ``[B, I]`` in [-1, 1], what a response does to the user's mood.
        margin: float32 ``[B, I]``, what an item earns from one response.
        popularity: float32 ``[B, I]``, responses that each item had before the episode.
        weight: float32 ``[B, D]``, w of the preference formula.
        user_features, item_features: float32 ``[B, U, Fu]`` and ``[B, I, Fi]``, what else is known of users and
            items; no columns unless given.
    """

    user_vector: Tensor
    segment: Tensor
    item_vector: Tensor
    appeal: Tensor
    topics: Tensor
    nutrition: Tensor
    margin: Tensor
    popularity: Tensor
    weight: Tensor
    user_features: Tensor = NO_FEATURES
    item_features: Tensor = NO_FEATURES

    def __post_init__(self) -> None:
        for name, vector in (("user_features", self.user_vector), ("item_features", self.item_vector)):
            if getattr(self, name) is NO_FEATURES:
                object.__setattr__(self, name, vector.new_zeros(*vector.shape[:-1], 0))

    @cached_property
    def item_rows(self) -> Tensor:
        """All that never changes of items, as one table, so that a step gathers once.

        Float32 ``[B, I, 3 + G + D + Fi]``: margin, appeal, nutrition, topics, vector, features. Where all worlds have
        the same items, it holds them once, expanded.
        """
        columns = [column.unsqueeze(2) for column in (self.margin, self.appeal, self.nutrition)]
        tables = [*columns, self.topics, self.item_vector, self.item_features]
        if all(table.shape[2] == 0 or len(once(table)) == 1 for table in tables):
            tables = [table[:1] for table in tables]
        return torch.cat(tables, dim=2).expand(len(self.item_vector), -1, -1)

    @cached_property
    def shown_rows(self) -> Tensor:
        """``item_rows`` within the bounds of what agents see."""
        rows = self.item_rows
        return once(rows).clamp(-FEATURE_BOUND, FEATURE_BOUND).expand(len(rows), -1, -1)

    @cached_property
    def item_columns(self) -> Tensor:
        """``item_vector`` with items last, ``[B, D, I]``; held once where all worlds have the same items."""
        return once(self.item_vector).transpose(1, 2).contiguous().expand(len(self.item_vector), -1, -1)

    @cached_property
    def by_segment(self) -> tuple[Tensor, Tensor]:
        """Users in the order of their segments, int64 ``[B, U]``, and where each segment starts, ``[B, C + 1]``.

        The last start is ``U``. Held once, ``[1, ...]``, where all worlds have the same users.
        """
        segment = once(self.segment)
        ordered, order = segment.sort(dim=1, stable=True)
        first = torch.arange(int(segment.max()) + 2, device=segment.device).expand(len(segment), -1)
        return order, torch.searchsorted(ordered, first.contiguous())

    def members(self, num_segments: int) -> tuple[Tensor, Tensor]:
        """Who belongs to each segment, float32 ``[B, U, C]`` of 0 and 1, and how many that are, ``[B, C]``."""
        known: dict[int, tuple[Tensor, Tensor]] = self.__dict__.setdefault("_members", {})
        if num_segments not in known:
            segments = torch.arange(num_segments, device=self.segment.device)
            member = (self.segment.unsqueeze(2) == segments).to(torch.float32)
            known[num_segments] = member, member.sum(1)
        return known[num_segments]

    def expand(self, num_worlds: int) -> Population:
        """The same people in ``num_worlds`` worlds, without copying them."""
        return self.map(lambda table: table.expand(num_worlds, *table.shape[1:]))


@dataclass(frozen=True)
class Slate(TensorRecord):
    """What each user is offered.

    Attributes:
        items: int64 ``[B, U, K]``, the item in each slot.
        valid: bool ``[B, U, K]``, False for a slot with nothing in it (its item is then meaningless).
        log_propensity: float32 ``[B, U]``, log-probability of this slate, in this order, given the state; NaN where a
            platform filled it that does not know.
    """

    items: Tensor
    valid: Tensor
    log_propensity: Tensor


@dataclass(frozen=True)
class State(TensorRecord):
    """All that a world is at one moment: from it, and from actions, the future follows exactly.

    Attributes:
        key: int32 ``[B, 2]``, the world's noise key, from the seed and the number of the world.
        time: int32 ``[B]``, steps taken.
        population: what does not change during the episode.
        user_vector: float32 ``[B, U, D]``, p_u.
        satiation: float32 ``[B, U, G]``, s_u in [0, S].
        mood: float32 ``[B, U]``, h_u in [-H, H].
        active: bool ``[B, U]``, False for users who have left.
        wearout: float32 ``[B, I, C]``, f_i.
        energy: float32 ``[B, I]``, the budget e_i in [0, E].
        alive: bool ``[B, I]``.
        boost_segment: int64 ``[B, I]``, whom the item's last action courts.
        boost_level: int64 ``[B, I]``, how hard: 0 = rest, l = the l-th level.
        popularity: float32 ``[B, I]``, responses so far.
        taken: int64 ``[B, U, H]``, 1 + the item taken in each of the last H steps, 0 for none, the latest last.
        responses: float32 ``[B, U, H]``, the responses to those.
        slate: what users choose from now.
    """

    key: Tensor
    time: Tensor
    population: Population
    user_vector: Tensor
    satiation: Tensor
    mood: Tensor
    active: Tensor
    wearout: Tensor
    energy: Tensor
    alive: Tensor
    boost_segment: Tensor
    boost_level: Tensor
    popularity: Tensor
    taken: Tensor
    responses: Tensor
    slate: Slate

    def of_users(self, who: Tensor | slice) -> State:
        """The state with the users ``who``, int64 ``[N']``, alone; items know nothing of it."""
        some = {name: getattr(self, name)[:, who] for name in
                ("user_vector", "satiation", "mood", "active", "taken", "responses")}
        own = {name: getattr(self.population, name)[:, who] for name in ("user_vector", "segment", "user_features")}
        slate = Slate(*(table[:, who] for table in self.slate.tensors()))
        return replace(self, population=replace(self.population, **own), slate=slate, **some)

    def of_one(self, world: int, user: int | None = None) -> State:
        """One world of the batch, with all its users or one."""
        one = self.map(lambda table: table[world:world + 1])
        return one if user is None else one.of_users(slice(user, user + 1))


@dataclass(frozen=True)
class Step(TensorRecord):
    """What happened in one step.

    Attributes:
        user_reward, item_reward: float32 ``[B, U]`` and ``[B, I]``, what learners are paid: the agent's own
            reward blended with welfare as the market's ``team`` says.
        user_own, item_own: float32 ``[B, U]`` and ``[B, I]``, the unblended rewards, which evaluations sum.
        chosen: int64 ``[B, U]``, the item each user took; meaningless where ``position`` is 0.
        position: int64 ``[B, U]``, the slot it was in, from 1; 0 = skipped.
        response: float32 ``[B, U]``, y.
        item_response: float32 ``[B, I]``, the responses that each item got.
        cost: float32 ``[B, I]``, what the boosts served in this step cost.
        user_terminated, item_terminated: bool ``[B, U]`` and ``[B, I]``, gone for good in this step.
        truncated: bool ``[B]``, the horizon is reached.
        illegal_users, illegal_items: int64 ``[B]``, actions that the mask forbade and that became action 0.
    """

    user_reward: Tensor
    item_reward: Tensor
    user_own: Tensor
    item_own: Tensor
    chosen: Tensor
    position: Tensor
    response: Tensor
    item_response: Tensor
    cost: Tensor
    user_terminated: Tensor
    item_terminated: Tensor
    truncated: Tensor
    illegal_users: Tensor
    illegal_items: Tensor


def once(table: Tensor) -> Tensor:
    """The table ``[B, ...]`` as ``[1, ...]`` where all worlds share it, so that it need not be copied for each."""
    return table[:1] if table.stride(0) == 0 else table


def take(table: Tensor, index: Tensor) -> Tensor:
    """Rows of ``table [B, N]`` or ``[B, N, F]`` at ``index [B, ...]``, world by world: ``[B, ..., F]``.

    Indexing with two tensors does the same, and takes two to six times as long.
    """
    if table.dim() == 2:
        return table.gather(1, index.flatten(1)).view(index.shape)
    if table.shape[0] == 1 or table.stride(0) == 0:  # the same people in every world
        rows, flat = table[0], index
    else:
        first = torch.arange(table.shape[0], device=table.device) * table.shape[1]
        rows, flat = table.flatten(0, 1), index + first.view(-1, *[1] * (index.dim() - 1))
    return rows.index_select(0, flat.flatten()).view(*index.shape, table.shape[2])


def unit(vector: Tensor) -> Tensor:
    """The vectors ``[..., D]`` scaled to length 1.

    Squares are added up in one order, halves first, so that kernels can give the same bits.
    """
    squares = vector * vector
    while squares.shape[-1] > 1:
        half = squares.shape[-1] // 2
        pairs, rest = squares[..., :half] + squares[..., half:2 * half], squares[..., 2 * half:]
        squares = torch.cat([pairs, rest], dim=-1) if rest.shape[-1] else pairs
    return scaled(vector, squares)


def scaled(vector: Tensor, squares: Tensor) -> Tensor:
    """The vectors ``[..., D]`` by the roots of ``squares [..., 1]``; nothing is divided by less than 1e-12."""
    return vector / squares.sqrt().clamp(min=1e-12)
