"""``interplay fit``."""

from __future__ import annotations

from interplay.experiments.fit.command import fit
from interplay.experiments.fit.settings import FitSettings


def command(settings: FitSettings) -> None:
    """Fit a market to a log, and write it as a preset that every command takes as --preset FOLDER."""
    fit(settings, print)
