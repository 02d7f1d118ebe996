"""Behaviours: where responses come from. One file each; ``behaviours()`` finds them."""

from __future__ import annotations

import sys
from functools import cache

from interplay.envs.behaviour.base import Behaviour
from interplay.envs.discovery import discover


@cache
def behaviours() -> dict[str, type[Behaviour]]:
    """Every behaviour of this package by name."""
    return discover(sys.modules[__name__], Behaviour)


__all__ = ["Behaviour", "behaviours"]
