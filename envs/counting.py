"""How many actions, exact states and columns there are with a market's mechanisms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from interplay.envs.checking import shown
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.mechanisms.built_in import inherits
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError, Side
from interplay.envs.world import State

COLUMNS = {"see_users": "user_columns", "see_items": "item_columns", "see_options": "option_columns",
           "see_segments": "segment_columns"}
"""Hooks that show something to agents, and those that name the columns of it."""
_DIGITS = {"own": ("satiation", "mood"), "budgets": ("budgets",), "boost": ("boosts",)}
"""Kinds of exact states, and the built-in mechanisms whose digits make their numbers, the lowest first."""


class HasDigits(Protocol):
    """A mechanism whose tables, rounded to whole numbers, are digits of an exact state."""

    def digit_sizes(self, sizes: MarketSizes, /) -> Sequence[int]:
        """How many values each digit has."""

    def digits(self, state: State, /) -> Tensor:
        """The digits, ``[B, N, digits]``; ``N`` = 1 where all agents of a side see the same."""


def with_digits(config: MarketConfig, kind: str) -> list[HasDigits]:
    """The mechanisms whose digits make a state of this kind."""
    return [getattr(config.built_in, name) for name in _DIGITS.get(kind, ())]


def digit_sizes(config: MarketConfig, kind: str) -> list[int]:
    """How many values each digit of a state of this kind has."""
    return [size for mechanism in with_digits(config, kind) for size in mechanism.digit_sizes(config)]


def columns(config: MarketConfig, hook: str) -> tuple[str, ...]:
    """Names of what the mechanisms that are not built in show by one of ``COLUMNS``."""
    return tuple(name for m in config.further if not inherits(m, COLUMNS[hook])
                 for name in columns_of(m, hook, config))


def columns_of(mechanism: Mechanism, hook: str, config: MarketConfig) -> Sequence[str]:
    """The same of one mechanism."""
    names: Sequence[str] = getattr(mechanism, COLUMNS[hook])(config)
    if isinstance(names, str):  # which is a sequence of letters
        raise InterplayError(f"mechanism {mechanism.name!r}: {COLUMNS[hook]} gave {names!r}, must give a list of names"
                             f": return [{names!r}]")
    return names


def num_levels(config: MarketConfig) -> int:
    """Levels of item actions for each segment: boosts and those of mechanisms."""
    more = map(levels_of, config.mechanisms)
    return len(config.built_in.boosts.levels) + sum(len(levels.values) for levels in more if levels is not None)


def levels_of(mechanism: Mechanism) -> Levels | None:
    """Levels that a mechanism gives to items, or None."""
    levels = mechanism.item_actions
    if levels is not None and not isinstance(levels, Levels):
        raise InterplayError(f"mechanism {mechanism.name!r}: item_actions is {shown(levels)}, must be Levels or None: "
                             "return Levels((0.5, 1.0)) from a @property")
    return levels


def states_of_mechanism(config: MarketConfig, side: Side) -> int:
    """How many states of tabular agents of a side a mechanism has."""
    count = _states(with_states(config, side), config, side)
    assert count is not None  # since it was chosen for that
    return count


def _states(mechanism: Mechanism, config: MarketConfig, side: Side) -> int | None:
    return mechanism.num_user_states(config) if side == "users" else mechanism.num_item_states(config)


def with_states(config: MarketConfig, side: Side) -> Mechanism:
    """The mechanism that numbers the states of tabular agents of a side."""
    found = [m for m in config.mechanisms if _states(m, config, side) is not None]
    if len(found) != 1:
        raise InterplayError(f"{side[:-1]}_state='mechanism' needs one mechanism with num_{side[:-1]}_states, but "
                             f"{[m.name for m in found]} have them: choose another state, or leave mechanisms out")
    return found[0]
