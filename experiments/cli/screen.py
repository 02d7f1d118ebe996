"""What the command line shows of a training at its start."""

from __future__ import annotations

from interplay.experiments.loop.callbacks import Callback
from interplay.experiments.loop.run import Run


class Announce(Callback):
    """Prints what was read, and where the run is written."""

    def begin(self, run: Run) -> None:
        """Print it."""
        if run.task.summary:
            print("\n".join([run.task.summary, *run.notes]))
        print(f"run: {run.folder}")
