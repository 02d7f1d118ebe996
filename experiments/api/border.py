"""The border between the library and what calls it: arguments are checked, and errors name arguments, not flags.

All below the library says flags of the command line, such as ``--reward-range 0 5``, which a caller from Python writes
as ``reward_range=(0, 5)``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from interplay.envs.checking import check_value, hints_of
from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError

P = ParamSpec("P")
T = TypeVar("T")

_SIMPLE = (bool, int, float, str, Path, NoneType)

_NAMES = {"user_column": "user", "item_column": "item", "reward_column": "reward", "time_column": "time",
          "propensity_column": "propensity", "action_column": "action", "context_columns": "context",
          "unit_column": "unit", "policy": "target", "mechanism": "mechanisms",
          "user_option": "user_options", "item_option": "item_options", "platform_option": "platform_options"}
"""What flags are called in Python, where the name differs."""

_PAIRS = {"market", "reward_map", "user_options", "item_options", "platform_options"}
"""Arguments that take NAME=VALUE alone."""

_FLAG = re.compile(r"(?P<command>(?:\binterplay [a-z]+|\bpretrain|\bevaluate|\btrain) [^,;:()]*)"
                   r"|(?<![\w-])--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*)")
"""A command, whose flags stay as they are, or a flag."""
_WORD = re.compile(r" ('[^']*'|[^\s()']*[^\s,;:()'])")
_NO_VALUES = {"or", "and", "if", "to", "has", "in", "as", "at", "with", "for", "is", "needs", "lacks", "there", "..."}
"""Words of sentences that follow a flag of a text."""


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Check arguments with plain type hints, and say errors as a caller from Python needs them, those of files, too.

    What takes lists, markets or agents checks them itself, and shows an example.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def called(*given: P.args, **named: P.kwargs) -> T:
        try:
            for name, value, hint in _plain_arguments(function, signature, given, named):
                check_value(name, value, hint)
            return function(*given, **named)
        except InterplayError as error:
            own = {"out": "folder"} if "folder" in signature.parameters else {}
            error.args = (shortened(in_python(str(error), own)),)
            raise
        except BrokenPipeError:
            raise
        except OSError as error:  # the disk is full, or a folder cannot be written
            raise InterplayError(f"{error}: free space, or choose another place") from error

    return called


def in_python(message: str, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """A message with keyword arguments in place of flags.

    Args:
        message: of an error.
        own: what one function calls flags, where it differs.
    """
    found, end = list[str](), 0
    for match in _FLAG.finditer(message):
        if match["command"] is None and match.start() >= end:
            text, after = _argument(message, match, own)
            found += [message[end:match.start()], text]
            end = after
    return "".join([*found, message[end:]])


def _plain_arguments(function: Callable[..., Any], signature: inspect.Signature, given: tuple[Any, ...],
                     named: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Names, values and hints of arguments with simple hints; none where Python itself refuses the call."""
    try:
        bound = signature.bind(*given, **named).arguments
    except TypeError:
        return
    hints = hints_of(function)
    yield from ((name, value, hints[name]) for name, value in bound.items() if name in hints and _simple(hints[name]))


def _simple(hint: Any) -> bool:
    """Whether it is made of numbers, texts, paths, words and None alone."""
    if get_origin(hint) is Annotated:
        return _simple(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return all(map(_simple, get_args(hint)))
    return hint in _SIMPLE or get_origin(hint) is Literal


@cache
def _settings() -> dict[str, Any]:
    """Hints of all flags, by name. They are imported late: it takes a second, which only an error is worth."""
    from interplay.experiments.benchmark.command import BenchmarkSettings
    from interplay.experiments.common.settings import TrainSettings
    from interplay.experiments.fit.settings import FitSettings
    from interplay.experiments.offpolicy.command import OpeSettings

    return {name: hint for kind in (OpeSettings, FitSettings, BenchmarkSettings, TrainSettings)
            for name, hint in hints_of(kind).items()}


def _kinds(hint: Any) -> list[Any]:
    """The types that a value of the hint may have, words of a Literal, and tuple where it may have several."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kinds(parts[0])
    if origin is Literal:
        return list(parts)
    if origin in (Union, UnionType, tuple):
        return [kind for part in parts if part is not ... for kind in _kinds(part)] + [tuple] * (origin is tuple)
    return [hint]


def _argument(message: str, flag: re.Match[str], own: Mapping[str, str]) -> tuple[str, int]:
    """A flag and the values behind it as an argument, and where they end; a flag that has no argument stays."""
    name = flag["name"].replace("-", "_")
    kinds = _kinds(_settings().get(name))
    if kinds == [None]:
        return flag[0], flag.end()
    python = own.get(name) or _NAMES.get(name, name)
    if bool in kinds:
        said = re.compile(" (True|False)").match(message, flag.end())
        return f"{python}={said[1] if said else not flag['no']}", said.end() if said else flag.end()
    values: list[str] = []
    end = flag.end()
    while (word := _WORD.match(message, end)) and (tuple in kinds or not values):
        value = _value(word[1].strip("'"), kinds)
        if value is None or (python in _PAIRS and "=" not in value):
            break
        values, end = [*values, value], word.end()
    return _written(python, values, tuple in kinds), end


def _written(python: str, values: Sequence[str], several: bool) -> str:
    """An argument with its values, which are as Python has them."""
    pairs = [value.strip("'").partition("=") for value in values]
    if python == "resume" and values:
        return f"interplay.load({', '.join(values)}).resume()"
    if python == "market" and values:
        return f"interplay.market(..., {', '.join(name + '=' + value for name, _, value in pairs)})"
    if python.endswith("_options") and values:
        return f"{python}={{{', '.join(f'{name!r}: {value}' for name, _, value in pairs)}}}"
    if several and values:
        return f"{python}=({', '.join(values)}{',' * (len(values) == 1)})"
    return f"{python}={''.join(values)}"


def _value(word: str, kinds: Collection[Any]) -> str | None:
    """A word behind a flag as Python has it; None where it is not a value of the flag."""
    if word in kinds:
        return repr(word)
    if {int, float} & {*kinds} and re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", word):
        return word
    return repr(word) if {str, Path} & {*kinds} and word not in _NO_VALUES else None
