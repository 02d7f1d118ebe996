"""What a market holds: its population, their slates and states, and what happened in a step.

``B``, ``U``, ``I``, ``K``, ``D``, ``G`` and ``C`` are sizes as in ``types``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interplay.envs.indexing import gather_rows
from interplay.envs.kernels.packed import ITEM_TABLES, USER_TABLES, Layout, Packed
from interplay.envs.population import Population
from interplay.envs.records import Tables, WorldRecord
from interplay.envs.types import InterplayError, TensorRecord


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


MOVED = ("active", "user_vector", "alive")
"""Tables of every state that mechanisms may change in a step."""
_KEPT = ("key", "population", "slate", "_drifts")
"""Of a state, what the next one has, too."""
_OF_MECHANISMS = frozenset((*USER_TABLES, *ITEM_TABLES))
_PACKED = {"user_tables": USER_TABLES, "item_tables": ITEM_TABLES}
"""The tables of mechanisms that kernels know."""


@dataclass(frozen=True)
class State(WorldRecord):
    """All that a world is at one moment: from it, and from actions, the future follows exactly.

    Attributes:
        key: int32 ``[B, 2]``, the world's noise key, from the seed and the number of the world.
        time: int32 ``[B]``, steps taken.
        population: what does not change during the episode.
        user_vector: float32 ``[B, U, D]``, p_u.
        active: bool ``[B, U]``, False for users who have left.
        alive: bool ``[B, I]``.
        popularity: float32 ``[B, I]``, responses so far.
        taken: int64 ``[B, U, H]``, 1 + the item taken in each of the last H steps, 0 for none, the latest last.
        responses: float32 ``[B, U, H]``, the responses to those.
        slate: what users choose from now.
        user_tables, item_tables: tables of mechanisms, ``[B, U, ...]`` and ``[B, I, ...]``; ``state["name"]`` is one,
            and so is each of ``MOVED``. Those of built-in mechanisms are there in every market.
    """

    key: Tensor
    time: Tensor
    population: Population
    user_vector: Tensor
    active: Tensor
    alive: Tensor
    popularity: Tensor
    taken: Tensor
    responses: Tensor
    slate: Slate
    user_tables: Tables
    item_tables: Tables

    if not TYPE_CHECKING:  # a type checker should still report names that do not exist

        def __getattr__(self, name: str) -> Any:
            """Tables of mechanisms that are packed so far, as a record; any other table as ``WorldRecord`` does."""
            if name in _OF_MECHANISMS:
                raise AttributeError(f"a state has no attribute {name!r}: a mechanism's table is state[{name!r}]")
            if name not in _PACKED:
                return super().__getattr__(name)
            tables = self.__dict__[name] = Tables({each: torch.from_numpy(self._held(each)) for each in _PACKED[name]})
            return tables

    def __getitem__(self, name: str) -> Tensor:
        if name in MOVED:
            table: Tensor = getattr(self, name)
            return table
        for tables in _PACKED:
            known: dict[str, Tensor] = getattr(self, tables).tables
            if name in known:
                return known[name]
        raise InterplayError(f"no mechanism of this market has a table {name!r}: there are "
                             f"{', '.join(self.user_tables.tables | self.item_tables.tables)}")

    def of_items(self, name: str, items: Tensor) -> Tensor:
        """Rows of a mechanism's table ``[B, I]`` or ``[B, I, F]`` at ``items`` int64 ``[B, ...]``."""
        return gather_rows(self[name], items)

    def with_tables(self, changed: Mapping[str, Tensor]) -> State:
        """The state with other tables of mechanisms, its own that they may change among them.

        Raises:
            InterplayError: a mechanism has made no table of that name.
        """
        return self.evolve(**self.fields_with(changed))

    def fields_with(self, changed: Mapping[str, Tensor]) -> dict[str, Any]:
        """The fields of ``with_tables``, those that change."""
        for name in changed:
            self[name]
        old = {name: getattr(self, name) for name in _PACKED}
        return {**{name: changed[name] for name in MOVED if name in changed},
                **{name: each.updated(changed) for name, each in old.items() if each.tables.keys() & changed.keys()}}

    def evolve(self, **tables: Tensor | TensorRecord) -> State:
        """What ``dataclasses.replace`` gives, sooner: what is known of the rest as numpy has it, stays so."""
        return self._with(tables, {})

    def evolve_arrays(self, **arrays: NDArray[Any]) -> State:
        """The state with these arrays in place of its own tables, those of mechanisms among them."""
        of_mechanisms = arrays.keys() - self.__dataclass_fields__.keys()
        return self._with(self.fields_with({name: torch.from_numpy(arrays[name]) for name in of_mechanisms}), arrays)

    def _with(self, tables: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
        new, changed = object.__new__(State), tables.keys() | arrays.keys()
        for name in _PACKED.keys() & changed:
            old, now = getattr(self, name).tables, tables[name].tables
            changed |= {each for each, table in old.items() if now.get(each) is not table}
        packed, boosts = self.__dict__.get("_packed"), self.__dict__.get("_boosts")
        if packed is not None and not changed.isdisjoint(packed.layout.names):
            self.arrays(*packed.layout.names)
            for name in _PACKED:
                getattr(self, name)
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
        if torch.compiler.is_compiling():  # of which nothing is known as numpy has it
            return replace(self, slate=slate)
        new = object.__new__(State)
        self.__dict__.setdefault("_arrays", {})
        new.__dict__.update(self.__dict__, slate=slate)
        return new

    def of_users(self, users: Tensor | slice) -> State:
        """The state with the users ``users``, int64 ``[N']``, alone; items know nothing of it."""
        some = {name: getattr(self, name)[:, users] for name in ("user_vector", "active", "taken", "responses")}
        slate = Slate(*(table[:, users] for table in self.slate.tensors()))
        return replace(self, population=self.population.of_users(users), slate=slate,
                       user_tables=self.user_tables.map(lambda table: table[:, users]), **some)

    def loaded(self, state: dict[str, Any]) -> State:
        """See ``TensorRecord``. In earlier checkpoints, tables of built-in mechanisms are fields of the state."""
        early = {name: table for name, table in state.items() if name not in self.__dataclass_fields__}
        return super().loaded(state | {name: early | state[name] for name in _PACKED})

    def _table(self, name: str) -> Tensor:
        """See ``WorldRecord``; also of mechanisms."""
        return super()._table(name) if name in self.__dataclass_fields__ else self[name]

    def of_one(self, world: int, user: int | None = None) -> State:
        """One world of the batch, with all its users or one."""
        one = self if self.key.shape[0] == 1 else self.map(lambda table: table[world:world + 1])
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
