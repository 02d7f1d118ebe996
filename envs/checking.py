"""Values are checked against type hints: one mechanism for dataclasses and for the arguments of public functions.

A hint is a plain one (``int``, ``float | None``, ``Literal["a", "b"]``, ``tuple[float, ...]``), or one with limits,
such as ``Annotated[int, Bounds(1)]``. An integer is accepted where a number is asked for. True and False are not
numbers, and every number is finite: tensors are float32, and what exceeds that becomes infinite there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch

from interplay.envs.messages import choice
from interplay.envs.types import InterplayError, UnexpectedArgumentError

FLOAT_MAX = 3.4028234663852886e38
"""The largest float32."""

_SHOWN = 80  # characters of a value in a message


class Bounds(NamedTuple):
    """Limits of a number.

    Attributes:
        low: the lowest value.
        high: the highest value.
        above: whether ``low`` itself is excluded.
    """

    low: float = -FLOAT_MAX
    high: float = FLOAT_MAX
    above: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high and not (
            self.above and value == self.low)

    def __str__(self) -> str:
        low, high = (f"{limit:.16g}" for limit in self[:2])
        if self.low == -FLOAT_MAX:
            return f"of at most {high}"
        if self.above:
            return f"above {low}" if self.high == FLOAT_MAX else f"above {low} and at most {high}"
        if self.high < FLOAT_MAX:
            return f"between {low} and {high}"
        return f"of at least {low}"


class NotEmpty:
    """A limit of a tuple: it has at least one value."""

    def __contains__(self, value: object) -> bool:
        return value != ()

    def __str__(self) -> str:
        return "with at least one value"


Count = Annotated[int, Bounds(1)]
Index = Annotated[int, Bounds(0)]
Fraction = Annotated[float, Bounds(0, 1)]
Positive = Annotated[float, Bounds(0, above=True)]
NotNegative = Annotated[float, Bounds(0)]
LogSpread = Annotated[float, Bounds(0, 10)]
"""A standard deviation of logarithms: beyond this, factors are 0 or infinite in float32."""


@dataclass(frozen=True)
class Checked:
    """A dataclass whose values are checked against their type hints when it is made. Numpy's floats become Python's.

    A subclass with rules of its own overrides ``__post_init__`` and calls this one first.
    """

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in vars(self).items():
            if (plain := _as_python(value)) is not value:
                object.__setattr__(self, name, plain)


def _as_python(value: Any) -> Any:
    """Numpy's float64 is a float, but no number of Python's to kernels, nor when it is compared."""
    if isinstance(value, np.float64):
        return float(value)
    if type(value) is tuple and any(isinstance(each, np.float64) for each in value):
        return tuple(map(_as_python, value))
    return value


def check_fields(record: Any) -> None:
    """Check every field of a dataclass or named tuple against its type hint.

    Raises:
        InterplayError: the first field whose value does not fit.
    """
    names = [f.name for f in fields(record)] if is_dataclass(record) else record._fields
    check_arguments(type(record), **{name: getattr(record, name) for name in names})


def check_arguments(owner: Callable[..., Any], **values: object) -> None:
    """Check arguments against the type hints of the function or class that takes them.

    Raises:
        InterplayError: the first one that does not fit. Code that is being compiled is not checked: torch cannot trace
            type hints.
    """
    if torch.compiler.is_compiling():
        return
    for name, value in values.items():
        if not _test_of_argument(owner, name)(value):
            check_value(name, value, hints_of(owner)[name])


def check_value(name: str, value: object, hint: Any) -> None:
    """Check one value.

    Raises:
        InterplayError: it does not fit the hint; see ``check_arguments``.
    """
    if torch.compiler.is_compiling() or _fits(value, hint):
        return
    words = [choice for choice in get_args(_plain(hint)) if isinstance(choice, str)]
    if isinstance(value, str) and words:
        raise InterplayError(f"{name}={shown(value)} is unknown: {choice(words, value)}")
    raise InterplayError(f"{name}={shown(value)} must be {_wanted(value, hint)}")


def check_names(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of keyword arguments of ``owner``, a function or a class.

    Raises:
        UnexpectedArgumentError: it does not know one of them.
    """
    known = list(known)
    for name in sorted(set(given) - set(known)):
        raise UnexpectedArgumentError(f"{owner}() got an unexpected keyword argument {name[:_SHOWN]!r}: "
                                      f"{choice(known, name)}")


def as_integer(name: str, value: object, least: int = 0) -> int:
    """Any kind of integer, of Python, numpy or torch, as Python has it.

    Raises:
        InterplayError: it is not an integer, it is True or False, or it is below ``least``.
    """
    try:
        number = None if is_flag(value) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least:
        raise InterplayError(f"{name}={shown(value)} must be an integer of at least {least}")
    return number


def is_flag(value: object) -> bool:
    """Whether it is True or False, also of numpy or torch, which ``operator.index`` takes for 1 and 0."""
    return isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, np.bool_)


def shown(value: object) -> str:
    """A value as one short line of a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@cache
def hints_of(owner: Any) -> dict[str, Any]:
    """Type hints of a function, or of the fields of a class, by name."""
    return get_type_hints(owner, include_extras=True)


def _plain(hint: Any) -> Any:
    """A hint without ``Annotated`` and without ``| None``."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [each for each in get_args(hint) if each is not NoneType]
        return _plain(others[0]) if len(others) == 1 else hint
    return hint


@cache
def _test_of_argument(owner: Callable[..., Any], name: str) -> Callable[[Any], bool]:
    """``_test_of`` the hint of this name, which takes a while to look up by itself."""
    return _test_of(hints_of(owner)[name])


def _fits(value: object, hint: Any) -> bool:
    return _test_of(hint)(value)


@cache
def _test_of(hint: Any) -> Callable[[Any], bool]:
    """Whether a value fits the hint, as a function: a market checks in each step, and hints take long to look into."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        fits, limits = _test_of(args[0]), [extra for extra in args[1:] if isinstance(extra, Bounds | NotEmpty)]
        return lambda value: fits(value) and all(value in bounds for bounds in limits)
    if origin in (Union, UnionType):
        tests = [_test_of(each) for each in args]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: any(type(value) is type(choice) and value == choice for choice in args)
    if origin is tuple:
        return lambda value: isinstance(value, tuple) and _each_fits(value, args)
    return _test_of_class(origin or hint)


def _each_fits(values: tuple[object, ...], hints: tuple[Any, ...]) -> bool:
    if hints[-1] is ...:
        return all(_fits(value, hints[0]) for value in values)
    return len(values) == len(hints) and all(map(_fits, values, hints))


def _test_of_class(kind: Any) -> Callable[[Any], bool]:
    if kind is Any:
        return lambda _: True
    if kind in (None, NoneType):
        return lambda value: value is None
    if kind is float:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FLOAT_MAX
    if kind is int:
        return lambda value: type(value) is int
    return lambda value: isinstance(value, kind)


def _wanted(value: object, hint: Any) -> str:
    """What the value must be, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        broken = [str(extra) for extra in args[1:] if isinstance(extra, Bounds | NotEmpty) and value not in extra]
        return " ".join([_wanted(value, args[0]), *broken[:1]])
    if origin in (Union, UnionType):
        return " or ".join(_wanted(value, each) for each in args)
    if origin is Literal:
        return f"a word in quotes: choose from {', '.join(map(str, args))}"
    if origin is tuple:
        return _wanted_tuple(value if isinstance(value, tuple) else (), args)
    if hint is float and isinstance(value, float):
        return "a finite number"
    return _NAMES.get(hint, f"of type {getattr(origin or hint, '__name__', hint)}")


def _wanted_tuple(values: tuple[object, ...], hints: tuple[Any, ...]) -> str:
    wrong = next((value for value in values if not _fits(value, hints[0])), None)
    size = "" if hints[-1] is ... else f" of {len(hints)} values"
    return f"a tuple{size}, each {_wanted(wrong, hints[0])}, such as {_EXAMPLES.get(_plain(hints[0]), '()')}"


_NAMES: dict[Any, str] = {int: "an integer", float: "a number", bool: "True or False", str: "a text",
                          Path: "a path", NoneType: "None"}
_EXAMPLES: dict[Any, str] = {int: "(1, 2)", float: "(2.0, 4.0)", str: "('a', 'b')"}
