"""Options as text: ``"dqn,hidden=32"`` and ``"hidden=32"``, and the dataclasses that they become."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import Any

from interplay.envs.checking import check_value, hints_of, shown
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

_COMMA = re.compile(r",(?![^(\[]*[)\]])")  # none within brackets


def split_agent(text: str) -> tuple[str, tuple[str, ...]]:
    """``"dqn,double=false,hidden=32"`` to ``("dqn", ("double=false", "hidden=32"))``."""
    name, *pairs = (part.strip() for part in _COMMA.split(text))
    return name, tuple(pairs)


def parse_pairs(pairs: tuple[str, ...], flag: str) -> dict[str, Any]:
    """``("a=1", "b=x")`` to ``{"a": 1, "b": "x"}``.

    Raises:
        InterplayError: a pair has no ``=``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InterplayError(f"{flag} {shown(pair)}: write NAME=VALUE")
        values[name.strip().replace("-", "_")] = _literal(text.strip())
    return values


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # the last two where brackets are deep
        return text


def make_options(kind: type, values: dict[str, Any], owner: str) -> Any:
    """An instance of an options dataclass with some values set.

    Raises:
        InterplayError: an unknown name, a value of the wrong type, or one that the options refuse.
    """
    known = {f.name: f for f in fields(kind)}
    for name, value in values.items():
        if name not in known:
            fix = choice(known, name) if known else "it has none"
            raise InterplayError(f"unknown option {shown(name)} of {owner}: {fix}")
        default = known[name].default
        if isinstance(default, float) and type(value) is int:
            values[name] = value = float(value)
        check_value(f"{owner}: option {name}", value, hints_of(kind)[name])
    return kind(**values)
