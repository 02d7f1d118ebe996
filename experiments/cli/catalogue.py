"""What can be named on the command line, found by discovery and explained by docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from interplay.agents import Player, agents, find_agent
from interplay.agents.encoders import encoders
from interplay.agents.encoders.base import HistoryEncoder
from interplay.envs.config import MarketConfig
from interplay.envs.data import DataSet, data_sets
from interplay.envs.discovery import resolve
from interplay.envs.mechanisms import Mechanism, mechanisms
from interplay.envs.messages import choice
from interplay.envs.presets import Preset, presets
from interplay.envs.types import InterplayError

MARKET = "market"
"""Name of the numbers that every market has."""


class Option(NamedTuple):
    """One option of something.

    Attributes:
        name: as it is typed.
        default: as it is typed.
        text: what it means.
    """

    name: str
    default: str
    text: str


class Thing(NamedTuple):
    """Something that can be named.

    Attributes:
        kind: agent, preset, mechanism, data set or encoder.
        name: of it.
        value: the class or the object.
    """

    kind: str
    name: str
    value: Any


def things() -> list[Thing]:
    """All of this package."""
    found: dict[str, dict[str, Any]] = {
        "agent": dict(agents()), "preset": dict(presets()), "mechanism": dict(mechanisms()),
        "data set": {**data_sets(), **{name: kind for kind in data_sets().values() for name in kind.downloads}},
        "encoder": dict(encoders()), "market": {MARKET: MarketConfig}}
    return [Thing(kind, name, value) for kind, known in found.items() for name, value in known.items()]


def named(name: str) -> list[Thing]:
    """The things called so, or the one that ``module:Name`` names.

    Raises:
        InterplayError: there is none.
    """
    known = things()
    found = [thing for thing in known if thing.name == name]
    if found or ":" not in name:
        if not found:
            raise InterplayError(f"unknown name {name!r}: {choice(dict.fromkeys(t.name for t in known), name)}, "
                                 "or give module:Name")
        return found
    value = resolve(name, {}, "name")
    return [Thing(_kind(name, value), name, value)]


def _kind(name: str, value: Any) -> str:
    kinds = {"agent": Player, "preset": Preset, "mechanism": Mechanism, "data set": DataSet, "encoder": HistoryEncoder}
    for kind, base in kinds.items():
        if isinstance(value, base) or (isinstance(value, type) and issubclass(value, base)):
            if kind == "agent":
                find_agent(name)
            return kind
    raise InterplayError(f"{name!r} is no agent, preset, mechanism, data set or encoder: name one of those")


def summary(thing: Thing) -> str:
    """What it is, in a sentence."""
    if isinstance(thing.value, Preset):
        return thing.value.summary
    own = inspect.getdoc(thing.value) or ""
    module = inspect.getdoc(_home(thing)) or ""
    first = module if module.startswith(f"`{thing.name}`") else own
    line = " ".join(first.split("\n\n")[0].split())
    return re.sub(r"^`[\w-]+`: ", "", line).split(". ")[0].rstrip(".")


def description(thing: Thing) -> str:
    """All that its source says of it, at its top, a paragraph or a point of a list in a line."""
    module = inspect.getdoc(_home(thing)) or ""
    whole = isinstance(thing.value, Preset) or module.startswith(f"`{thing.name}`")
    text = module if whole else inspect.getdoc(_class(thing)) or module
    return re.sub(r"(?<!\n)\n *(?![\n-])", " ", text).replace("``", "`")


def source(thing: Thing) -> str:
    """The file that defines it."""
    return str(_home(thing).__file__)


def _home(thing: Thing) -> ModuleType:
    """The module that defines it."""
    if not isinstance(thing.value, Preset):
        return sys.modules[_class(thing).__module__]
    behaviours = sys.modules[thing.value.behaviour.__module__]
    holding = [module for module in list(sys.modules.values())
               if any(value is thing.value for value in vars(module).values())]
    return behaviours if behaviours in holding or not holding else holding[0]


def options(kind: type) -> Iterator[Option]:
    """Fields of a dataclass with their defaults and meanings."""
    meanings = _meanings(kind)
    for field in fields(kind) if is_dataclass(kind) else ():
        yield Option(field.name, typed(_default(field)), meanings.get(field.name, "").replace("``", "`"))


def options_of(thing: Thing) -> Iterator[Option]:
    """Options of something: of an agent, a mechanism or the market."""
    return options(thing.value.Options if thing.kind == "agent" else _class(thing))


def typed(value: Any) -> str:
    """A value as it is typed behind NAME=."""
    return f"({', '.join(map(typed, value))}{',' * (len(value) == 1)})" if isinstance(value, tuple) else str(value)


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return "" if field.default_factory is MISSING else field.default_factory()


def _class(thing: Thing) -> type:
    return thing.value if isinstance(thing.value, type) else type(thing.value)


@cache
def _meanings(kind: type) -> dict[str, str]:
    """The text below each field of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is not object and is_dataclass(base):
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(node, ast.ClassDef)
            found |= _field_texts(node)
    return found


def _field_texts(node: ast.ClassDef) -> dict[str, str]:
    return {field.target.id: " ".join(str(after.value.value).split())
            for field, after in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)}
