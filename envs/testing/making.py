"""Mechanisms to be checked: made of their classes, and watched while a market calls them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from interplay.envs.mechanisms import Mechanism
from interplay.envs.mechanisms.built_in import inherits
from interplay.envs.types import TensorRecord

_ALIKE = 0.85  # of names, from which on one is taken for the other, misspelt
_HOOKS = [name for name in vars(Mechanism) if not name.startswith("_")]
_GIVEN_TENSORS = [name for name in _HOOKS if name not in ("uniform", "integers") and callable(vars(Mechanism)[name])]


class MechanismError(AssertionError):
    """A mechanism that breaks the contract, in one line: the hook, the value and the fix."""


def made(mechanism: Mechanism | type[Mechanism]) -> Mechanism:
    """The mechanism, with default parameters where it is a class.

    Raises:
        MechanismError: what its class says shows that it keeps no contract.
    """
    kind = mechanism if isinstance(mechanism, type) else type(mechanism)
    if not issubclass(kind, Mechanism):
        raise MechanismError(f"{mechanism!r} must be derived from interplay.envs.mechanisms.Mechanism")
    known = {f.name for f in fields(kind)}
    for name, hint in vars(kind).get("__annotations__", {}).items():
        if name not in known and "ClassVar" not in str(hint):
            raise MechanismError(f"{kind.__name__}.{name} is no parameter: decorate the class with "
                                 "@dataclass(frozen=True)")
    for name in vars(kind).keys() - known - vars(Mechanism).keys():
        near = difflib.get_close_matches(name, _HOOKS, n=1, cutoff=_ALIKE)
        if near and not any(hasattr(parent, name) for parent in kind.__bases__):
            raise MechanismError(f"{kind.__name__}.{name} is no hook, so that nothing calls it: name it {near[0]} if "
                                 f"you mean that, else _{name}")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise MechanismError(f"{kind.__name__}.{missing[0]} has no default: give it one")
    return mechanism() if isinstance(mechanism, type) else mechanism


def watched(mechanism: Mechanism, refuse: Callable[[str], None]) -> Mechanism:
    """The same mechanism, whose hooks call ``refuse`` with what is wrong if they write into what they are given."""
    kind = type(mechanism)

    def around(hook: str) -> Callable[..., Any]:
        def call(self: Mechanism, *arguments: Any) -> Any:
            before = [(name, table, table.clone()) for name, table in _tensors(dict(enumerate(arguments)))]
            found = getattr(mechanism, hook)(*arguments)
            for name, table, old in before:
                if not torch.equal(table.nan_to_num(), old.nan_to_num()):
                    refuse(f"{hook} wrote into {name!r}, which it was given: make new tensors")
            return found

        return call

    hooks = {hook: around(hook) for hook in _GIVEN_TENSORS
             if getattr(kind, hook) is not getattr(Mechanism, hook) and not inherits(mechanism, hook)}
    same: Mechanism = object.__new__(type(kind.__name__, (kind,), {"name": kind.name, **hooks}))
    vars(same).update(vars(mechanism))
    return same


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a record, dataclass, mapping or tuple, with the name next to it."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, TensorRecord):
        for key, part in value.state_dict().items():
            yield from _tensors(part, key)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, str(key))
    elif is_dataclass(value):
        for f in fields(value):
            yield from _tensors(getattr(value, f.name), f.name)
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part, name)
