"""``interplay fidelity``."""

from __future__ import annotations

from interplay.experiments.fidelity.command import fidelity
from interplay.experiments.fidelity.settings import FidelitySettings


def command(settings: FidelitySettings) -> None:
    """Play a market and say how like a log it is, and whether the difference is more than the log's own noise."""
    fidelity(settings)
