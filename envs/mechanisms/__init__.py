"""Mechanisms: further parts of the world. One file each; ``mechanisms()`` finds them.

A market holds those of its config's ``mechanisms``. Each class can be imported from here, whichever file has it:
``from interplay.envs.mechanisms import Mood, Satiation``.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from interplay.envs.checking import check_value
from interplay.envs.discovery import discover, resolve
from interplay.envs.mechanisms.base import Mechanism, Outcome, Start
from interplay.envs.mechanisms.levels import Levels
from interplay.envs.types import InterplayError


@cache
def mechanisms() -> dict[str, type[Mechanism]]:
    """Every mechanism of this package by name."""
    return discover(sys.modules[__name__], Mechanism)


def find_mechanism(name: str) -> Mechanism:
    """The mechanism called ``name``, or the class or object that ``module:Name`` names, with its default parameters.

    Raises:
        InterplayError: it does not exist, is no mechanism, or has a parameter without a default.
    """
    check_value("mechanism", name, str)
    found: Any = resolve(name, mechanisms(), "mechanism")
    if isinstance(found, type) and issubclass(found, Mechanism):
        try:
            found = found()
        except TypeError as error:
            raise InterplayError(f"mechanism {name!r}: {error}; give every parameter a default") from error
    if not isinstance(found, Mechanism):
        raise InterplayError(f"mechanism {name!r} must be a class derived from interplay.envs.mechanisms.Mechanism, or "
                             "an instance of one")
    return found


def __getattr__(name: str) -> Any:
    """A mechanism's class, by its name."""
    for kind in mechanisms().values() if name[0].isupper() else ():
        if kind.__name__ == name:
            return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Levels", "Mechanism", "Outcome", "Start", "find_mechanism", "mechanisms"]
