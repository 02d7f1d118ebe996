"""``interplay presets``."""

from __future__ import annotations

from interplay.experiments.cli.listing import list_presets


def command() -> None:
    """List the markets that are ready to play."""
    list_presets()
