"""``interplay show``."""

from __future__ import annotations

from typing import Annotated

import tyro

from interplay.experiments.cli.listing import show


def command(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Explain an agent, a preset, a mechanism, a data set, an encoder or the market, with its options.

    Args:
        name: one of those that interplay agents, presets, mechanisms and datasets list, market, or module:Name.
    """
    show(name)
