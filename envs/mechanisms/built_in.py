"""The six built-in kinds of mechanisms: which of them a market has, and what stands in for the others.

Their tables exist in every market, since agents see them and kernels read them. Kernels do the work of instances of
exactly these classes; the torch code of their hooks is what kernels must equal to the bit. A subclass runs its own code
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch

from interplay.envs.mechanisms.base import Mechanism
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.budgets import Budgets
from interplay.envs.mechanisms.drift import Drift
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.mechanisms.wearout import Wearout
from interplay.envs.types import InterplayError

KINDS: tuple[type[Mechanism], ...] = (Mood, Satiation, Wearout, Drift, Budgets, Boosts)
"""In the order in which their parts are added up."""

_SCALES: dict[type[Mechanism], tuple[str, ...]] = {Mood: ("max",), Satiation: ("max",), Budgets: ("start", "max")}
"""Parameters that tables start with or are shown by, which a subclass has, too."""

Kind = TypeVar("Kind", bound=Mechanism)


class BuiltIn(NamedTuple):
    """One of each kind, idle where the market has none, or one of a subclass, whose own code then does the work.

    Attributes:
        has_budgets: whether items have budgets; else those stay as they begin.
    """

    mood: Mood
    satiation: Satiation
    wearout: Wearout
    drift: Drift
    budgets: Budgets
    boosts: Boosts
    has_budgets: bool

    @classmethod
    def of(cls, mechanisms: Sequence[Mechanism]) -> BuiltIn:
        """Those among all mechanisms of a market."""
        found = find(mechanisms, Boosts) or Boosts(levels=())
        boosts = Boosts(found.levels, found.cost).with_levels(found.by_level)  # a subclass's numbers, for kernels too
        return cls(_known(mechanisms, Mood), _known(mechanisms, Satiation), _known(mechanisms, Wearout),
                   _known(mechanisms, Drift), _known(mechanisms, Budgets), boosts,
                   any(type(mechanism) is Budgets for mechanism in mechanisms))

    @property
    def moving(self) -> tuple[Mechanism, ...]:
        """Those that change tables of the state in a step."""
        return (self.mood, self.satiation, self.wearout, self.drift, *[self.budgets] * self.has_budgets)

    def with_tables(self, others: Sequence[Mechanism]) -> tuple[Mechanism, ...]:
        """All mechanisms that make tables: ``others``, and these where none of those is of their kind."""
        kinds = {kind_of(mechanism) for mechanism in others}
        return in_order([*others, *(mechanism for mechanism in self[:-1] if kind_of(mechanism) not in kinds)])

    def on(self, device: torch.device) -> BuiltIn:
        """The same for a market on a device."""
        return self._replace(boosts=self.boosts.on(device))

    def records(self) -> dict[str, Mechanism]:
        """Those whose parameters kernels read, by what stands before their names, as ``satiation_``."""
        return {f"{mechanism.name}_": mechanism for mechanism in (*self.moving, self.budgets)}


def kind_of(mechanism: Mechanism) -> type[Mechanism]:
    """What there can be one of in a market: a built-in kind with its subclasses, or the class itself."""
    return next((kind for kind in KINDS if isinstance(mechanism, kind)), type(mechanism))


def inherits(mechanism: Mechanism, hook: str) -> bool:
    """Whether it has this hook from a built-in kind: then what stands in for that kind shows it already."""
    return any(isinstance(mechanism, kind) and getattr(type(mechanism), hook) is getattr(kind, hook) for kind in KINDS)


def further(mechanisms: Sequence[Mechanism]) -> tuple[Mechanism, ...]:
    """Those that run their own code everywhere."""
    return tuple(mechanism for mechanism in mechanisms if type(mechanism) not in KINDS)


def find(mechanisms: Sequence[Mechanism], kind: type[Kind]) -> Kind | None:
    """The one of this kind or of a subclass, or None."""
    return next((mechanism for mechanism in mechanisms if isinstance(mechanism, kind)), None)


def in_order(mechanisms: Sequence[Mechanism]) -> tuple[Mechanism, ...]:
    """Built-in kinds first, so that the order in which they are given makes no difference.

    Raises:
        InterplayError: two are of one kind, or have one name.
    """
    kinds = [kind_of(mechanism) for mechanism in mechanisms]
    for kind in KINDS:
        if kinds.count(kind) > 1:
            raise InterplayError(f"mechanism {kind.name!r} is there {kinds.count(kind)} times: leave one")
    names = [mechanism.name for mechanism in mechanisms]
    for name in names:
        if names.count(name) > 1:
            raise InterplayError(f"mechanism {name!r} is there {names.count(name)} times: leave one, or give your own "
                                 "another name")
    rank: Mapping[type[Mechanism], int] = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(mechanisms, key=lambda mechanism: rank.get(kind_of(mechanism), len(KINDS))))


def _known(mechanisms: Sequence[Mechanism], kind: type[Kind]) -> Kind:
    """The mechanism that kernels know: idle where it is another's, but for what its tables are scaled by."""
    found = find(mechanisms, kind)
    if found is None or type(found) is kind:
        return found or kind()
    return replace(kind(), **{name: getattr(found, name) for name in _SCALES.get(kind, ())})
