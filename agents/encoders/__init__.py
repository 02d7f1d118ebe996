"""Encoders of users' histories, one file each; ``encoders()`` finds them."""

from __future__ import annotations

import sys
from functools import cache
from inspect import isabstract

from interplay.agents.encoders.base import HistoryEncoder, Pretrained
from interplay.envs.discovery import discover, resolve
from interplay.envs.messages import choice
from interplay.envs.types import InterplayError

NONE = "none"
"""In options: histories are not read."""


@cache
def encoders() -> dict[str, type[HistoryEncoder]]:
    """Every encoder of this package by name."""
    return discover(sys.modules[__name__], HistoryEncoder)


def find_encoder(name: str) -> type[HistoryEncoder]:
    """The encoder called ``name``, or the class that ``module:Class`` names.

    Raises:
        InterplayError: it does not exist, or is no encoder.
    """
    kind = resolve(name, encoders(), "encoder")
    if not (isinstance(kind, type) and issubclass(kind, HistoryEncoder)) or isabstract(kind):
        raise InterplayError(f"encoder {name!r} is {kind!r}, not a subclass of HistoryEncoder that can be made: see "
                             "interplay.agents.encoders")
    return kind


def check_encoder(name: str, size: int) -> None:
    """Raise InterplayError unless an option ``encoder`` can have this value, with codes of this width."""
    if name == NONE:
        return
    if name not in encoders() and ":" not in name:
        raise InterplayError(f"encoder={name!r} is unknown: {choice([NONE, *encoders()], name)}, or give "
                             "module:name")
    find_encoder(name).check_size(size)


__all__ = ["NONE", "HistoryEncoder", "Pretrained", "check_encoder", "encoders", "find_encoder"]
