"""What the command line shows of a training at its start."""

from __future__ import annotations

from interplay.experiments.loop.callbacks import Callback
from interplay.experiments.loop.run import Run


class Announce(Callback):
    """Prints what was read, and where the run is written."""

    def begin(self, run: Run) -> None:
        """Print it."""
        if run.game.summary:
            print("\n".join([run.game.summary, *run.notes]))
        print(f"run: {run.folder}")
