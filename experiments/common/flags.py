"""Flags: which ones were typed, whether their values fit, and whether each has an effect.

A field of a settings class says by its type hint which values fit, and what it needs to have an effect:
``clip: Positive = when(LOGGED, 50.0)``. A flag without effect is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, TypeVar

from interplay.envs.checking import Bounds, check_fields
from interplay.envs.messages import shortened
from interplay.envs.types import InterplayError

T = TypeVar("T")

Seed = Annotated[int, Bounds(0, (1 << 32) - 1)]
Many = Annotated[int, Bounds(1, 1_000_000)]
"""How many there are of something that is listed in memory, such as worlds or seeds."""
Threads = Annotated[int, Bounds(1, 1024)]

_NEED = "need"
_VALUE = 60  # characters of a flag's value in a message


@dataclass(frozen=True)
class Need:
    """What a setting needs to have an effect.

    Attributes:
        met: whether settings fulfil it.
        why: how a message ends: why there is no effect, and the fix.
    """

    met: Callable[[Any], bool]
    why: str


def when(need: Need, default: T) -> T:
    """The default of a field that has an effect only where ``need`` is met."""
    made: T = field(default=default, metadata={_NEED: need})
    return made


def typed_flags(arguments: Sequence[str], kind: type) -> set[str]:
    """The fields of a settings class whose flags were typed, also those with the default as value."""
    words = {word[2:].partition("=")[0].replace("-", "_") for word in arguments if word.startswith("--")}
    return {f.name for f in fields(kind) if f.name in words or f"no_{f.name}" in words}


def changed(settings: Any) -> dict[str, Any]:
    """What differs from the defaults."""
    return {f.name: getattr(settings, f.name) for f in fields(settings) if getattr(settings, f.name) != _default(f)}


def check_flags(settings: Any, given: Collection[str] = ()) -> None:
    """Check the values, and that each flag that was typed or differs from its default has an effect.

    Args:
        settings: an instance of a settings class.
        given: fields that were typed.

    Raises:
        InterplayError: a value does not fit, or a flag has no effect.
    """
    check_fields(settings)
    differs = changed(settings)
    for f in fields(settings):
        need: Need | None = f.metadata.get(_NEED)
        if need is not None and (f.name in given or f.name in differs) and not need.met(settings):
            raise InterplayError(f"{flag(f.name)} {_text(getattr(settings, f.name))} has no effect: {need.why}")


def flag(name: str) -> str:
    """``user_column`` to ``--user-column``."""
    return "--" + name.replace("_", "-")


def _text(value: Any) -> str:
    """A flag's value as it is typed."""
    parts = value if isinstance(value, tuple) else (value,)
    return shortened(" ".join(map(str, parts)), _VALUE)


def _default(f: Field[Any]) -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()
