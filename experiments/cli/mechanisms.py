"""``interplay mechanisms``."""

from __future__ import annotations

from interplay.experiments.cli.listing import list_mechanisms


def command() -> None:
    """List the mechanisms that can be added to a market."""
    list_mechanisms()
