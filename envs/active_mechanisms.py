"""The mechanisms of one market, asked as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from interplay.envs.checking import shown
from interplay.envs.config import MarketConfig
from interplay.envs.counting import COLUMNS, columns_of, levels_of, with_states
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.built_in import BuiltIn, inherits
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.records import Tables
from interplay.envs.types import FEATURE_BOUND, InterplayError, Side
from interplay.envs.world import MOVED, ItemOutcome, State, UserOutcome

_HOOKS = (*COLUMNS, "shift", "slate_score", "user_reward", "expected_user_reward", "item_reward", "leaves",
          "allowed_slots", "allowed_levels", "can_spend")


class ItemMoves(NamedTuple):
    """What items do in a step, boosts and levels of mechanisms apart.

    Attributes:
        boost: int64 ``[B, I]``, the action where it is a boost, numbered as if there were no other levels; 0 = none.
        level: int64 ``[B, I]``, the level of a mechanism, from 1, counted over all mechanisms; 0 = none.
        segment: int64 ``[B, I]``, of the level.
    """

    boost: Tensor
    level: Tensor
    segment: Tensor


class ActiveMechanisms:
    """Calls the hooks that mechanisms override and joins what they give; None where no mechanism overrides one.

    These are the mechanisms that are not built in: kernels, or their reference in torch, do the work of the others.

    Args:
        config: of the market.
        built_in: its mechanisms that kernels know.
        device: of the market.

    Attributes:
        are_none: whether there is no mechanism but those that are built in.
    """

    def __init__(self, config: MarketConfig, built_in: BuiltIn, device: torch.device) -> None:
        self._all, self._config = tuple(mechanism.on(device) for mechanism in config.further), config
        self.are_none = not self._all
        self._num_segments, self._num_boosts = config.num_segments, len(built_in.boosts.levels)
        self._cost = built_in.boosts.by_level.cost
        self._having = {hook: [m for m in self._all if _overrides(m, hook)] for hook in _HOOKS}
        self._levels = {m.name: levels for m in self._all if (levels := levels_of(m)) is not None}
        self._values = {name: torch.tensor(levels.values, device=device) for name, levels in self._levels.items()}
        self._offered = _offered(self._levels.values(), config.num_segments, device)
        self._owners = config.built_in.with_tables(self._all)

    def have(self, hook: str) -> bool:
        """Whether a mechanism overrides this hook."""
        return bool(self._having[hook])

    @property
    def expect_user_rewards(self) -> bool:
        """Whether greedy users know what users earn."""
        return self._having["user_reward"] == self._having["expected_user_reward"]

    @property
    def num_levels(self) -> int:
        """Levels that items can choose, over all mechanisms."""
        return self._offered.shape[1]

    def tables(self, start: Start) -> tuple[Tables, Tables]:
        """Tables of users and of items at time 0."""
        owners = self._owners
        users = [_mapping(m, "user_tables", m.user_tables(start)) for m in owners]
        items = [_mapping(m, "item_tables", m.item_tables(start)) for m in owners]
        _check_tables([(m.name, name) for m, *parts in zip(owners, users, items, strict=True)
                       for part in parts for name in part])
        for parts, count in ((users, self._config.num_users), (items, self._config.num_items)):
            for mechanism, part in zip(owners, parts, strict=True):
                for name, table in part.items():
                    shape = (len(start.key), count, *getattr(table, "shape", ())[2:])
                    _checked(mechanism, f"table {name!r}", table, shape, getattr(table, "dtype", torch.float32))
        return _united(users), _united(items)

    def shift(self, state: State, items: Tensor) -> Tensor | None:
        """What they add to logits, float32 ``[B, U, K]``."""
        return self._sum("shift", items.shape, state, items)

    def scored(self, state: State, users: Tensor | slice, candidates: Tensor | None, score: Tensor) -> Tensor:
        """``score`` float32 ``[B, U', M]`` and what they add; ``candidates`` int64 of that shape, None = all items."""
        if not self.have("slate_score"):
            return score
        items = torch.arange(score.shape[2], device=score.device).expand(score.shape)
        some = state.of_users(users), items if candidates is None else candidates
        more = [_checked(m, "slate_score", m.slate_score(*some), score.shape) for m in self._having["slate_score"]]
        return reduce(torch.add, more, score)

    def user_reward(self, before: State, after: State, outcome: Outcome) -> Tensor:
        """What users earn themselves, float32 ``[B, U]``."""
        more = self._sum("user_reward", before.active.shape, before, after, outcome)
        if more is None:
            return outcome.response
        return (more if self._replace_responses else outcome.response + more).masked_fill(~before.active, 0.0)

    def expected_user_reward(self, state: State, items: Tensor, rate: Tensor) -> Tensor:
        """What users earn on average by a skip and by taking each of ``items``, float32 ``[B, U, 1 + K]``.

        Args:
            state: the worlds.
            items: int64 ``[B, U, K]``.
            rate: float32 ``[B, U, K]``, how likely users respond to them.
        """
        expected = torch.cat([torch.zeros_like(rate[..., :1]), rate], dim=2)
        more = self._sum("expected_user_reward", expected.shape, state, items, rate)
        if more is None or not self.expect_user_rewards:
            return expected
        return more if self._replace_responses else expected + more

    @property
    def _replace_responses(self) -> bool:
        return any(m.replaces_user_reward for m in self._having["user_reward"])

    def item_reward(self, before: State, after: State, outcome: Outcome, profit: Tensor) -> Tensor:
        """What items earn themselves, float32 ``[B, I]``, of which ``profit`` is by their boosts and responses."""
        more = self._sum("item_reward", before.alive.shape, before, after, outcome)
        return profit if more is None else (profit + more).masked_fill(~before.alive, 0.0)

    def see(self, hook: str, shape: Sequence[int], *arguments: Tensor | State) -> Tensor | None:
        """What one of ``counting.COLUMNS`` shows at places of this shape, float32 ``[*shape, F]``, within bounds."""
        parts = [_checked(m, hook, getattr(m, hook)(*arguments), (*shape, len(columns_of(m, hook, self._config))))
                 for m in self._having[hook]]
        return torch.cat(parts, dim=-1).clamp(-FEATURE_BOUND, FEATURE_BOUND) if parts else None

    def exact_state(self, side: Side, state: State) -> Tensor:
        """The number of the state that tabular agents of a side see, int64 ``[B, N]``."""
        mechanism = with_states(self._config, side)
        users = side == "users"
        number = mechanism.user_state(state) if users else mechanism.item_state(state)
        return _checked(mechanism, f"state of {side}", number, (state.active if users else state.alive).shape,
                        torch.int64)

    def measures(self, state: State) -> dict[str, Tensor]:
        """Their figures by name, float32 ``[B]``."""
        return {name: _checked(m, f"measure {name!r}", value, state.time.shape)
                for m in self._all for name, value in _mapping(m, "measures", m.measures(state)).items()}

    def user_mask(self, state: State, mask: Tensor) -> Tensor:
        """``mask`` bool ``[B, U', 1 + K]`` without slots that a mechanism forbids."""
        items = state.slate.items
        slots = [_checked(m, "allowed_slots", m.allowed_slots(state, items), items.shape, torch.bool)
                 for m in self._having["allowed_slots"]]
        return torch.cat([mask[..., :1], reduce(torch.logical_and, slots, mask[..., 1:])], dim=2) if slots else mask

    def item_mask(self, state: State, mask: Tensor) -> Tensor:
        """The mask over all levels, from that over rest and boosts: bool ``[B, I, 1 + C * L]``."""
        due = self._cost[state["boost_level"]] if self.have("can_spend") else state["energy"]
        for mechanism in self._having["can_spend"]:
            spare = _checked(mechanism, "can_spend", mechanism.can_spend(state, due), due.shape)
            pays = self._cost[1:].repeat(self._num_segments) <= spare.unsqueeze(2)
            mask = torch.cat([mask[..., :1], mask[..., 1:] & pays], dim=2)
        if not self.num_levels:
            return mask
        can = [self._allowed(m, state) for m in self._all if m.name in self._levels]
        more = (torch.cat(can, dim=2) & state.alive.unsqueeze(2)).unsqueeze(2) & self._offered
        return self._with_levels(mask, more)

    def expected_profit(self, expected: Tensor) -> Tensor:
        """Expected profits of all item actions: levels of mechanisms count as rest, since their effect is unknown."""
        if not self.num_levels:
            return expected
        resting = expected[..., :1].unsqueeze(3).expand(-1, -1, *self._offered.shape)
        return self._with_levels(expected, resting)

    def moves(self, action: Tensor) -> ItemMoves:
        """Boosts and other levels apart, of ``action`` int64 ``[B, I]``, all of them legal."""
        levels, zero = max(1, self._num_boosts + self.num_levels), torch.zeros_like(action)
        segment, level = (action - 1).clamp(min=0) // levels, (action - 1) % levels
        boosts = (action > 0) & (level < self._num_boosts)
        other = (action > 0) & ~boosts
        return ItemMoves(torch.where(boosts, 1 + segment * self._num_boosts + level, zero),
                         torch.where(other, level - self._num_boosts + 1, zero), torch.where(other, segment, zero))

    @property
    def limit_items(self) -> bool:
        """Whether they have a say in what items may do."""
        return bool(self.num_levels) or self.have("can_spend")

    def outcome(self, state: State, choice: UserOutcome, of_items: ItemOutcome, moves: ItemMoves,
                alive: Tensor) -> Outcome:
        """What hooks see of a step. An item that has died in it, by ``alive``, chooses no level any more."""
        levels, first = {}, 1
        level = torch.where(alive, moves.level, 0)
        for name, values in self._values.items():
            own = level - first + 1
            levels[name] = torch.where((own > 0) & (own <= len(values)), own, 0), values
            first += len(values)
        return Outcome(state.population, choice.item, choice.position, choice.response, of_items.clicks,
                       moves.segment, levels, of_items.cost)

    def update(self, before: State, after: State, outcome: Outcome) -> State:
        """The state with tables after the step, and without the users who leave."""
        changed: dict[str, Tensor] = {}
        for mechanism in self._all:
            own = _mapping(mechanism, "update", mechanism.update(before, outcome))
            for name, table in own.items():
                _checked(mechanism, f"table {name!r}", table, before[name].shape, before[name].dtype)
            changed |= own
        after = after.with_tables(changed) if changed else after
        if "alive" in changed:
            after = after.with_tables({name: after[name] * after.alive for name in ("boost_level", "boost_segment")})
        leaves = [_checked(m, "leaves", m.leaves(after), after.active.shape, torch.bool)
                  for m in self._having["leaves"]]
        return after.evolve(active=after.active & ~reduce(torch.logical_or, leaves)) if leaves else after

    def _sum(self, hook: str, shape: Sequence[int], *arguments: Any) -> Tensor | None:
        parts = [_checked(m, hook, getattr(m, hook)(*arguments), shape) for m in self._having[hook]]
        return reduce(torch.add, parts) if parts else None

    def _allowed(self, mechanism: Mechanism, state: State) -> Tensor:
        """Which of a mechanism's own levels may be chosen, bool ``[B, I, L]``."""
        if mechanism in self._having["allowed_levels"]:
            shape = (*state.alive.shape, len(self._values[mechanism.name]))
            return _checked(mechanism, "allowed_levels", mechanism.allowed_levels(state), shape, torch.bool)
        return torch.ones_like(state.alive).unsqueeze(2).expand(-1, -1, len(self._values[mechanism.name]))

    def _with_levels(self, table: Tensor, more: Tensor) -> Tensor:
        """A column for each action, from those of rest and boosts, and ``more [B, I, C, L]``."""
        boosts = table[..., 1:].reshape(*table.shape[:2], self._num_segments, self._num_boosts)
        return torch.cat([table[..., :1], torch.cat([boosts, more], dim=3).flatten(2)], dim=2)


def _overrides(mechanism: Mechanism, hook: str) -> bool:
    shown = hook in COLUMNS and inherits(mechanism, hook)
    return getattr(type(mechanism), hook) is not getattr(Mechanism, hook) and not shown


def _offered(levels: Iterable[Levels], num_segments: int, device: torch.device) -> Tensor:
    """With which segment each level can be chosen, bool ``[C, L]``."""
    columns = [each.by_segment for each in levels for _ in each.values]
    first = torch.arange(num_segments, device=device).unsqueeze(1) == 0
    return first | torch.tensor(columns, dtype=torch.bool, device=device)


def _united(parts: list[Mapping[str, Tensor]]) -> Tables:
    """All tables as one record."""
    return Tables({name: table for part in parts for name, table in part.items()})


def _checked(mechanism: Mechanism, what: str, value: Tensor, shape: Sequence[int],
           dtype: torch.dtype = torch.float32) -> Tensor:
    """``value``, which a mechanism has given, if it has this type and this shape.

    Raises:
        InterplayError: it has not.
    """
    if not isinstance(value, Tensor) or value.dtype != dtype or value.shape != tuple(shape):
        found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else shown(value)
        raise InterplayError(f"mechanism {mechanism.name!r}: {what} is {found}, must be {dtype} {list(shape)}; "
                             "interplay.envs.testing.check_mechanism shows such faults")
    return value


def _mapping(mechanism: Mechanism, hook: str, value: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """``value``, which a hook has given, if it has tensors by name.

    Raises:
        InterplayError: it has not.
    """
    if not isinstance(value, Mapping):
        raise InterplayError(f"mechanism {mechanism.name!r}: {hook} gave {shown(value)}, must give a dict of tensors "
                             "by name, {} for none")
    return value


def _check_tables(tables: list[tuple[str, str]]) -> None:
    """Check names of tables, each with that of its mechanism before it."""
    owner: dict[str, str] = {}
    for mechanism, name in tables:
        begins = f"mechanism {mechanism!r} begins with a table {name!r}"
        if name in MOVED:
            raise InterplayError(f"{begins}, which every state has: rename it, or leave it out, and give it by update "
                                 "alone")
        if name in State.__dataclass_fields__:
            raise InterplayError(f"{begins}, which is what a state calls something else: rename it")
        if name in owner:
            raise InterplayError(f"mechanisms {owner[name]!r} and {mechanism!r} both have a table {name!r}: rename it "
                                 "in one of them")
        owner[name] = mechanism
