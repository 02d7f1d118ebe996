"""A progress bar for a training."""

from __future__ import annotations

from tqdm.auto import tqdm

from interplay.experiments.loop.callbacks import Callback
from interplay.experiments.loop.run import Run


class Progress(Callback):
    """Shows steps of worlds, and the return of the last episode, on standard error or in a notebook.

    Of several runs that train as one it shows the first; runs that train one after another have a bar each.
    """

    _run: Run | None = None

    def begin(self, run: Run) -> None:
        """Open the bar, unless another run has it."""
        if self._run is not None:
            return
        self._run = run
        per_step = run.task.training.num_worlds
        total = run.episodes * run.task.market.config.horizon * per_step
        self._bar = tqdm(total=total, initial=run.env_steps, unit="step", mininterval=0.5)

    def stepped(self, run: Run) -> None:
        """Move it."""
        if run is self._run:
            self._bar.update(run.task.training.num_worlds)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Show the return."""
        if run is not self._run:
            return
        held_out = figures.get("held_out/user_return")
        self._bar.set_postfix_str(f"user return {figures['returns/users']:.1f}"
                                  + ("" if held_out is None else f", held out {held_out:.1f}"))

    def finished(self, run: Run) -> None:
        """End it, before anything else is shown."""
        self.close()

    def close(self) -> None:
        """End it."""
        if self._run is not None:
            self._bar.close()
            self._run = None
