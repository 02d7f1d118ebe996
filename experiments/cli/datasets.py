"""``interplay datasets``."""

from __future__ import annotations

from interplay.experiments.cli.listing import list_datasets


def command() -> None:
    """List the public data sets that can be asked for by name, and the formats that are read."""
    list_datasets()
