"""``interplay watch``."""

from __future__ import annotations

from interplay.experiments.watch.command import WatchSettings, watch


def command(settings: WatchSettings) -> None:
    """Film agents at play in one held-out world: those of a run, or some that need not learn."""
    count = watch(settings)
    print(f"wrote {settings.out}: {count} frames, {settings.out.stat().st_size / 1e6:.2f} MB")
