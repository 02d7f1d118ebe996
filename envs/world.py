"""What a market holds: its population, their slates and states, and what happened in a step.

``B``, ``U``, ``I``, ``K``, ``D``, ``G`` and ``C`` are sizes as in ``types``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.kernels.packed import Layout, Packed
from interplay.envs.records import WorldRecord
from interplay.envs.types import FEATURE_BOUND, InterplayError, TensorRecord

_BLOCK = 1200  # users of each segment, about, whose tastes and slates a core's cache holds


T = TypeVar("T")


class kept(Generic[T]):  # noqa: N801  # used as a decorator
    """A property that is computed once: ``functools.cached_property`` without the lock, which torch cannot trace."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make, self._name = make, make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, owner: Any, kind: type) -> T:
        value = self._make(owner)
        owner.__dict__[self._name] = value  # where Python looks first from now on
        return value


class Segments(NamedTuple):
    """Membership of users in segments.

    Attributes:
        member: float32 ``[B, C, U]``, 1 for members, 0 for others.
        size: float32 ``[B, C]``, how many users do.
        divisor: float32 ``[B, C]``, the size, but 1 for an empty one.
        share: float32 ``[B, C]``, the size as a part of all users.
    """

    member: Tensor
    size: Tensor
    divisor: Tensor
    share: Tensor


class Items(NamedTuple):
    """What never changes of some items, ``[B, ...]`` or ``[B, ..., G]`` or ``[B, ..., D]``; see ``Population``."""

    appeal: Tensor
    mood_effect: Tensor
    topics: Tensor
    vector: Tensor


@dataclass(frozen=True)
class Population(WorldRecord):
    """The users and items of each world: what a behaviour decides before the first step.

    Attributes:
        user_vector: float32 ``[B, U, D]``, tastes at the start, of length 1.
        segment: int64 ``[B, U]``, the segment each user belongs to, in ``0..C-1``.
        item_vector: float32 ``[B, I, D]``.
        appeal: float32 ``[B, I]``, b_i.
        topics: float32 ``[B, I, G]``, each row on the simplex.
        mood_effect: float32 ``[B, I]`` in [-1, 1], what a response does to the user's mood.
        margin: float32 ``[B, I]``, what an item earns from one response.
        popularity: float32 ``[B, I]``, responses that each item had before the episode.
        preference_weight: float32 ``[B, D]``, w of the preference formula.
        user_features, item_features: float32 ``[B, U, Fu]`` and ``[B, I, Fi]``, what else is known of users and
            items; no columns unless given.
    """

    constant: ClassVar[bool] = True
    user_vector: Tensor
    segment: Tensor
    item_vector: Tensor
    appeal: Tensor
    topics: Tensor
    mood_effect: Tensor
    margin: Tensor
    popularity: Tensor
    preference_weight: Tensor
    # None becomes zero columns at once; torch cannot trace a default that is a tensor.
    user_features: Tensor = None  # type: ignore[assignment]
    item_features: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name, vector in (("user_features", self.user_vector), ("item_features", self.item_vector)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, vector.new_zeros(*vector.shape[:-1], 0))

    @kept
    def item_rows(self) -> Tensor:
        """All that never changes of items, as one table, so that a step gathers once.

        Float32 ``[B, I, 3 + G + D + Fi]``: margin, appeal, mood_effect, topics, vector, features. Where all worlds have
        the same items, it holds them once, expanded.
        """
        columns = [column.unsqueeze(2) for column in (self.margin, self.appeal, self.mood_effect)]
        tables = [*columns, self.topics, self.item_vector, self.item_features]
        if all(table.shape[2] == 0 or len(unbatched(table)) == 1 for table in tables):
            tables = [table[:1] for table in tables]
        return torch.cat(tables, dim=2).expand(len(self.item_vector), -1, -1)

    def of_items(self, items: Tensor) -> Items:
        """What never changes of the items ``items`` int64 ``[B, ...]``, gathered at once."""
        rows = gather_rows(self.item_rows, items)
        first, last = 3 + self.topics.shape[2], 3 + self.topics.shape[2] + self.item_vector.shape[2]
        return Items(rows[..., 1], rows[..., 2], rows[..., 3:first], rows[..., first:last])

    @kept
    def shown_rows(self) -> Tensor:
        """``item_rows`` within the bounds of what agents see."""
        rows = self.item_rows
        return unbatched(rows).clamp(-FEATURE_BOUND, FEATURE_BOUND).expand(len(rows), -1, -1)

    @kept
    def item_columns(self) -> Tensor:
        """``item_vector`` with items last, ``[B, D, I]``; held once where all worlds have the same items."""
        return unbatched(self.item_vector).transpose(1, 2).contiguous().expand(len(self.item_vector), -1, -1)

    def derive_as(self, other: Self) -> None:
        """See ``TensorRecord``."""
        for count in getattr(other, "_segments", ()):
            self.segments(count)
        super().derive_as(other)

    def segments(self, count: int) -> Segments:
        """The members of each of so many segments."""
        known: dict[int, Segments] = getattr(self, "_segments", {})  # which torch.compile can trace
        if count not in known:
            member = (self.segment.unsqueeze(2) == torch.arange(count, device=self.segment.device)).to(torch.float32)
            size = member.sum(1)
            known[count] = Segments(member.transpose(1, 2), size, size.clamp(min=1.0), size / member.shape[1])
            object.__setattr__(self, "_segments", known)
        return known[count]

    def sizes(self, count: int) -> list[NDArray[np.float32]]:
        """``Segments.divisor`` and ``share`` of so many segments, as numpy has them."""
        known: dict[int, list[NDArray[np.float32]]] = self.__dict__.setdefault("_sizes", {})
        if count not in known:
            segments = self.segments(count)
            known[count] = [segments.divisor.numpy(), segments.share.numpy()]
        return known[count]

    def by_segment(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Users by block and, of ``count`` segments, by segment, as numpy has them.

        Neighbours in memory stay together: a block is as many users as a cache can hold the tastes of. Held once where
        all worlds have the same users.

        Returns:
            Users in this order, int64 ``[B, U]``, and where each segment of each block starts in it, the last ``U``:
            int64 ``[B, blocks * count + 1]``.
        """
        known: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = self.__dict__.setdefault("_by_segment", {})
        if count not in known:
            segment = unbatched(self.segment)
            block = torch.arange(segment.shape[1]) // (_BLOCK * count)
            ordered, order = (block * count + segment).sort(dim=1, stable=True)
            first = torch.arange((int(block[-1]) + 1) * count + 1).expand(len(segment), -1)
            known[count] = order.numpy(), torch.searchsorted(ordered, first.contiguous()).numpy()
        return known[count]

    def _table(self, name: str) -> Tensor:
        """Held once where all worlds share it."""
        return unbatched(super()._table(name))

    def expand(self, num_worlds: int) -> Population:
        """The same people in ``num_worlds`` worlds, without copying them."""
        return self.map(lambda table: table.expand(num_worlds, *table.shape[1:]))


@dataclass(frozen=True)
class Slate(WorldRecord):
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
class Tables(TensorRecord):
    """Tensors by name: the tables of mechanisms."""

    tables: dict[str, Tensor] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """The tensors by name."""
        return dict(self.tables)

    def loaded(self, state: dict[str, Any]) -> Self:
        """See ``TensorRecord``."""
        return type(self)({name: state[name].to(old.device) for name, old in self.tables.items()})

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """See ``TensorRecord``."""
        return cls(dict(state))

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor."""
        yield from self.tables.values()

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """See ``TensorRecord``."""
        return type(self)({name: change(table) for name, table in self.tables.items()})

    @classmethod
    def stack(cls, records: Sequence[Self]) -> Self:
        """See ``TensorRecord``."""
        return cls({name: torch.stack([record.tables[name] for record in records]) for name in records[0].tables})

    def updated(self, changed: Mapping[str, Tensor]) -> Self:
        """With those of its tables that are in ``changed`` in place of the old ones."""
        return type(self)({name: changed.get(name, old) for name, old in self.tables.items()})


_KEPT = ("key", "population", "slate", "user_tables", "item_tables", "_drifts")
"""Of a state, what the next one has, too."""


@dataclass(frozen=True)
class State(WorldRecord):
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
        boost_segment: int64 ``[B, I]``, the segment that the item's last action targets.
        boost_level: int64 ``[B, I]``, how hard: 0 = rest, l = the l-th level.
        popularity: float32 ``[B, I]``, responses so far.
        taken: int64 ``[B, U, H]``, 1 + the item taken in each of the last H steps, 0 for none, the latest last.
        responses: float32 ``[B, U, H]``, the responses to those.
        slate: what users choose from now.
        user_tables, item_tables: tables of mechanisms, ``[B, U, ...]`` and ``[B, I, ...]``; ``state["name"]`` is one.
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
    user_tables: Tables = Tables()
    item_tables: Tables = Tables()

    def __getitem__(self, name: str) -> Tensor:
        known = self.user_tables.tables | self.item_tables.tables
        if name not in known:
            raise InterplayError(f"no mechanism of this market has a table {name!r}: there are "
                                 f"{', '.join(known) or 'none'}")
        return known[name]

    def of_items(self, name: str, items: Tensor) -> Tensor:
        """Rows of a mechanism's table ``[B, I]`` or ``[B, I, F]`` at ``items`` int64 ``[B, ...]``."""
        return gather_rows(self[name], items)

    def with_tables(self, changed: Mapping[str, Tensor]) -> State:
        """The state with other tables of mechanisms.

        Raises:
            InterplayError: a mechanism has made no table of that name.
        """
        for name in changed:
            self[name]
        return self.evolve(user_tables=self.user_tables.updated(changed), item_tables=self.item_tables.updated(changed))

    def evolve(self, **tables: Tensor | TensorRecord) -> State:
        """What ``dataclasses.replace`` gives, sooner: what is known of the rest as numpy has it, stays so."""
        return self._with(tables, {})

    def evolve_arrays(self, **arrays: NDArray[Any]) -> State:
        """The state with these arrays in place of its own tables."""
        return self._with({}, arrays)

    def _with(self, tables: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
        new, changed = object.__new__(State), tables.keys() | arrays.keys()
        packed, boosts = self.__dict__.get("_packed"), self.__dict__.get("_boosts")
        if packed is not None and not changed.isdisjoint(packed.layout.names):
            self.arrays(*packed.layout.names)
            packed = boosts = None
        known = {name: array for name, array in self.__dict__.get("_arrays", {}).items() if name not in changed}
        new.__dict__.update({name: table for name, table in self.__dict__.items() if name not in changed},
                            _arrays={**known, **arrays}, _packed=packed, _boosts=boosts, **tables)
        return new

    @property
    def is_packed(self) -> bool:
        """Whether loops can take its tables as three arrays."""
        return self.__dict__.get("_packed") is not None

    def packed(self, layout: Layout) -> Packed:
        """The tables of this layout."""
        packed: Packed | None = self.__dict__.get("_packed")
        if packed is None:
            packed = layout.empty(len(self.key))
            for name, array in zip(layout.names, self.arrays(*layout.names), strict=True):
                layout.table(name, packed)[...] = array
            self.__dict__["_packed"] = packed
        return packed

    def of_next(self, packed: Packed, time: NDArray[np.int32], taste: NDArray[np.float32],
                log_boosts: NDArray[np.float32]) -> State:
        """The state at the next time with these tables, tastes among them, in place of its own; slates are the old."""
        new, kept = object.__new__(State), self.__dict__
        new.__dict__.update({name: kept[name] for name in _KEPT if name in kept}, _packed=packed,
                            _boosts=log_boosts, _arrays={"key": kept["_arrays"]["key"], "time": time,
                                     "user_vector": taste})
        return new

    def with_slate(self, slate: Slate) -> State:
        """The state with another slate; what is known of the rest as numpy has it, is known to both."""
        new = object.__new__(State)
        self.__dict__.setdefault("_arrays", {})
        new.__dict__.update(self.__dict__, slate=slate)
        return new

    def of_users(self, users: Tensor | slice) -> State:
        """The state with the users ``users``, int64 ``[N']``, alone; items know nothing of it."""
        some = {name: getattr(self, name)[:, users] for name in
                ("user_vector", "satiation", "mood", "active", "taken", "responses")}
        own = {name: getattr(self.population, name)[:, users] for name in ("user_vector", "segment", "user_features")}
        slate = Slate(*(table[:, users] for table in self.slate.tensors()))
        return replace(self, population=replace(self.population, **own), slate=slate,
                       user_tables=self.user_tables.map(lambda table: table[:, users]), **some)

    def of_one(self, world: int, user: int | None = None) -> State:
        """One world of the batch, with all its users or one."""
        one = self.map(lambda table: table[world:world + 1])
        return one if user is None else one.of_users(slice(user, user + 1))


@dataclass(frozen=True)
class UserOutcome(WorldRecord):
    """What users did in one step.

    Attributes:
        position: int64 ``[B, U]``, the slot of what they took, from 1; 0 = skip.
        item: int64 ``[B, U]``, what stood there; meaningless where they skipped.
        illegal: int64 ``[B]``, actions that the mask forbade and that became a skip.
        response: float32 ``[B, U]``, y.
    """

    position: Tensor
    item: Tensor
    illegal: Tensor
    response: Tensor


@dataclass(frozen=True)
class ItemOutcome(WorldRecord):
    """What one step brought the items.

    Attributes:
        clicks: float32 ``[B, I]``, the responses that each got.
        cost: float32 ``[B, I]``, what the boosts cost that were served.
        own: float32 ``[B, I]``, the profit: margin times clicks, less the cost.
        terminated: bool ``[B, I]``, items that have died.
        illegal: int64 ``[B]``, actions that the mask forbade and that became rest.
    """

    clicks: Tensor
    cost: Tensor
    own: Tensor
    terminated: Tensor
    illegal: Tensor


@dataclass(frozen=True)
class Step(WorldRecord):
    """What happened in one step.

    Attributes:
        user_reward, item_reward: float32 ``[B, U]`` and ``[B, I]``, what learners are paid: the agent's own
            reward blended with welfare as the market's ``team`` says; 0 for agents that had left before the step.
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


@dataclass(frozen=True)
class View(WorldRecord):
    """What one side sees of a state; the tables are those of ``Observation``."""

    own: Tensor
    options: Tensor
    mask: Tensor
    history: Tensor | None = None


def unbatched(table: Tensor) -> Tensor:
    """The table ``[B, ...]``, as ``[1, ...]`` where all worlds share it. So nothing is copied for each world."""
    return table[:1] if table.stride(0) == 0 else table


def gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of ``table [B, N]`` or ``[B, N, F]`` at ``index [B, ...]``, world by world: ``[B, ..., F]``.

    Indexing with two tensors does the same, and takes two to six times as long.
    """
    if table.dim() == 2:
        return table.gather(1, index.flatten(1)).view(index.shape)
    if table.shape[0] == 1 or table.stride(0) == 0:  # the same people in every world
        rows, flat = table[0], index
    else:
        first = torch.arange(0, table.shape[0] * table.shape[1], table.shape[1], device=table.device)
        rows, flat = table.flatten(0, 1), index + first.view(-1, *[1] * (index.dim() - 1))
    return rows.index_select(0, flat.flatten()).view(*index.shape, table.shape[2])


def cell_of(items: Tensor, segment: Tensor, num_segments: int) -> Tensor:
    """Places of items and segments in tables ``[B, I * C]``; the first two broadcast together."""
    return items if num_segments == 1 else items * num_segments + segment


def normalise(vector: Tensor) -> Tensor:
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
