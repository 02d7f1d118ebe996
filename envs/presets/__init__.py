"""Named markets. One file for each family; ``presets()`` finds every ``Preset`` that a file defines."""

from __future__ import annotations

import sys
from functools import cache

from interplay.envs.behaviour.synthetic import GivenPopulation
from interplay.envs.checking import check_value
from interplay.envs.discovery import discover, resolve
from interplay.envs.presets.base import Preset, Training
from interplay.envs.presets.folders import is_preset, load_preset


@cache
def presets() -> dict[str, Preset]:
    """Every preset of this package by name."""
    return discover(sys.modules[__name__], Preset)


def find_preset(name: str) -> Preset:
    """The preset called ``name``, the object that ``module:attribute`` names, or what ``fit`` wrote into a folder.

    Raises:
        InterplayError: it does not exist.
    """
    check_value("preset", name, str)
    if name not in presets() and is_preset(name):
        return load_preset(name)
    preset: Preset = resolve(name, presets(), "preset")
    check_value("preset", preset, Preset)
    return preset


__all__ = ["GivenPopulation", "Preset", "Training", "find_preset", "presets"]
