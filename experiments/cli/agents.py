"""``interplay agents``."""

from __future__ import annotations

from interplay.experiments.cli.listing import list_agents


def command() -> None:
    """List the agents: what each is, and which sides it plays."""
    list_agents()
