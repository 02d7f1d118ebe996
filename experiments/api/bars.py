"""Whether a progress bar is shown, and the bar of a training."""

from __future__ import annotations

import sys

from interplay.experiments.loop.progress import Progress
from interplay.experiments.loop.training import Callbacks


def bar_is_shown(progress: bool | None) -> bool:
    """Whether a progress bar is shown: as asked for, and otherwise where somebody can see it."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules if progress is None else progress


def bar(progress: bool | None) -> Callbacks:
    """A progress bar, if it is shown."""
    return [Progress()] if bar_is_shown(progress) else []
