"""Settings as JSON and back, by the type hints of their dataclass."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from interplay.envs.types import InterplayError
from interplay.experiments.common.saving import sealed, unsealed

Settings = TypeVar("Settings")

RESOLVED = "resolved"
"""Name in the JSON text of what became of the settings; the settings are complete without it."""

_WORDS: dict[Any, str] = {int: "an integer", float: "a number", bool: "true or false", str: "a text", Path: "a path",
                          types.NoneType: "null"}

_NOT_KEPT = ("resume", "allow_code", "more_episodes")  # they hold for one command alone


def to_json(settings: Any, resolved: Mapping[str, Any] | None = None) -> str:
    """The settings as sealed JSON text.

    Args:
        settings: a dataclass.
        resolved: what became of them, to be kept beside them.

    Raises:
        InterplayError: a number is not finite.
    """
    return sealed(as_values(settings) | ({} if resolved is None else {RESOLVED: resolved}))


def from_json(kind: type[Settings], text: str, path: Path) -> Settings:
    """The settings in text that ``to_json`` gave, without what was resolved from them.

    Args:
        kind: their dataclass.
        text: of a file.
        path: of that file, for errors.

    Raises:
        InterplayError: it is damaged, was edited, or is not of these settings.
    """
    values, hints = unsealed(text, path), get_type_hints(kind)
    values.pop(RESOLVED, None)
    known = {f.name for f in fields(kind)} - {*_NOT_KEPT}  # type: ignore[arg-type]
    for name in sorted(values.keys() ^ known):
        problem = "lacks" if name in known else "has an unknown"
        raise InterplayError(f"{str(path)!r} {problem} {name!r}: it is of another command or version; give a folder "
                             "that this one wrote")
    typed = {}
    for name, value in values.items():
        try:
            typed[name] = _typed(value, hints[name])
        except TypeError as error:
            raise InterplayError(f"{str(path)!r} holds {name}={error}: start a new run") from error
    return kind(**typed)


def as_values(settings: Any) -> dict[str, Any]:
    """The settings as JSON can hold them. Paths that exist become absolute, so that they hold in any folder.

    Raises:
        InterplayError: a number is not finite.
    """
    return {f.name: _plain(getattr(settings, f.name), f.name) for f in fields(settings) if f.name not in _NOT_KEPT}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, Path):
        return str(value.resolve() if value.exists() else value)  # a log may be the name of a public data set
    if isinstance(value, tuple):
        return [_plain(part, name) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise InterplayError(f"{name}={value} is not finite: give a finite number")
    return value


def _typed(value: Any, hint: Any) -> Any:
    """The value as the type hint wants it.

    Raises:
        TypeError: it cannot be of that type; says so.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for kind in arguments:
            with suppress(TypeError):
                return _typed(value, kind)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_typed(part, kind) for part, kind in zip(value, kinds, strict=True))
    if origin is Literal and value in arguments:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is hint or (hint is float and type(value) is int):
        return value
    raise TypeError(f"{json.dumps(value)} where {_in_words(hint)} is expected")


def _in_words(hint: Any) -> str:
    """A type hint as JSON text has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_in_words, arguments))
    if origin is tuple:
        return f"a list ({_in_words(arguments[0])} each)"
    if origin is Literal:
        return " or ".join(map(json.dumps, arguments))
    return _WORDS[hint]
