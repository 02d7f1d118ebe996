"""``interplay ope``."""

from __future__ import annotations

from interplay.experiments.offpolicy.command import OpeSettings, ope


def command(settings: OpeSettings) -> None:
    """Estimate what a policy would have earned from what another policy did (off-policy evaluation)."""
    ope(settings)
