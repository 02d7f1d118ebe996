"""A progress bar for a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from interplay.experiments.common.looping import Callback
from interplay.experiments.common.progress import tqdm
from interplay.experiments.loop.run import Run


def often() -> float:
    """Seconds between two looks of a bar: many in a terminal or a notebook, few in a file."""
    return 0.5 if sys.stderr.isatty() or "ipykernel" in sys.modules else 10.0


def returns(figures: Mapping[str, float]) -> str:
    """The returns of an episode, for a person."""
    held_out = figures.get("held_out/user_return")
    return f"user return {figures['returns/users']:.1f}" + ("" if held_out is None else f", held out {held_out:.1f}")


class Progress(Callback[Run]):
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
        self._bar = tqdm(total=total, initial=run.env_steps, unit="step", mininterval=often(), smoothing=0.0)
        self._bar.set_postfix_str("the first step may compile kernels, once")
        self._started = False

    def stepped(self, run: Run) -> None:
        """Move it."""
        if run is self._run:
            if not self._started:  # what is done once says nothing of the time that is left
                self._started = True
                self._bar.unpause()
                self._bar.set_postfix_str("")
            self._bar.update(run.task.training.num_worlds)

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """Show the return."""
        if run is self._run:
            self._bar.set_postfix_str(returns(figures))

    def finished(self, run: Run) -> None:
        """End it, before anything else is shown."""
        self.close()

    def close(self) -> None:
        """End it."""
        if self._run is not None:
            self._bar.close()
            self._run = None
