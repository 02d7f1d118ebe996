"""Callbacks: what a training loop calls, for everything that is no part of playing and learning itself."""

from __future__ import annotations

from interplay.experiments.loop.run import Run


class Callback:
    """Watches a training. Training has the same bits with and without it.

    On a GPU the next step writes into the tensors of the last: clone what you keep. Where several seeds train as one, a
    run's worlds and agents are up to date in ``episode_ended``, ``saving`` and ``finished``, not in ``stepped``.

    May be overridden: everything. Must not: change the run, except by ``run.episodes``, which says where it ends.
    What has to survive a crash belongs into ``run.curve`` by way of ``figures``, which the checkpoint keeps.
    """

    def begin(self, run: Run) -> None:
        """The run starts or is resumed."""

    def stepped(self, run: Run) -> None:
        """All worlds went on by one step, and the agents have learnt from it."""

    def episode_ended(self, run: Run, figures: dict[str, float]) -> None:
        """An episode has ended, the next has not begun: ``run.episode`` is still its number, counted from 0.

        Args:
            run: the run.
            figures: of the episode, by name, as TensorBoard gets them. A callback may add others, which TensorBoard
                logs; those called ``held_out/...`` are rows of ``run.curve``, too.
        """

    def saving(self, run: Run) -> None:
        """A checkpoint is about to be written: what was logged before it is not logged again after a resume."""

    def finished(self, run: Run) -> None:
        """All episodes are played, and the last checkpoint is written."""

    def close(self) -> None:
        """The run has ended, finished or not."""
