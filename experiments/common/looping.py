"""The loop of every training, of agents in a market and of two towers: step, learn, save, call what watches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Generic, Protocol, TypeVar

from interplay.experiments.common.stopping import Pace, interruption

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Callback(Generic[R]):
    """Watches a training: a ``Run`` of agents, or two towers, of which an epoch ends what is called an episode here.

    Training has the same bits with and without it. On a GPU the next step writes into the tensors of the last: clone
    what you keep. Where several seeds train as one, a run's worlds and agents are up to date in ``episode_ended``,
    ``saving`` and ``finished``, not in ``stepped``.

    May be overridden: everything. Must not: change the run, except by ``run.episodes``, which says where it ends.
    What has to survive a crash belongs into ``run.curve`` by way of ``figures``, which the checkpoint keeps.
    """

    def begin(self, run: R) -> None:
        """The run starts or is resumed."""

    def stepped(self, run: R) -> None:
        """All worlds went on by one step, and the agents have learnt from it; of two towers: a batch is learnt."""

    def episode_ended(self, run: R, figures: dict[str, float]) -> None:
        """An episode has ended, the next has not begun: ``run.episode`` is still its number, counted from 0.

        Args:
            run: the run.
            figures: of the episode, by name, as TensorBoard gets them. A callback may add others, which TensorBoard
                logs; those called ``held_out/...`` are rows of ``run.curve``, too.
        """

    def saving(self, run: R) -> None:
        """A checkpoint is about to be written: what was logged before it is not logged again after a resume."""

    def finished(self, run: R) -> None:
        """All episodes are played, and the last checkpoint is written."""

    def close(self) -> None:
        """The run has ended, finished or not."""


class Trained(Protocol[R_co]):
    """What the loop trains: one run, or several as one. Between two steps it can be saved and goes on bit for bit."""

    @property
    def runs(self) -> Sequence[R_co]:
        """Runs under way; in the end, all that were trained to their end."""

    @property
    def finished(self) -> bool:
        """Whether none is under way."""

    def step(self) -> object:
        """One training iteration."""

    def figures(self) -> Mapping[int, dict[str, float]]:
        """Figures of the episode that the step has ended, of each of ``runs`` by its ``id``; empty if it ended none."""

    def next_episode(self) -> None:
        """Begin the next episode."""

    def save(self) -> None:
        """Write the checkpoint of each run."""


def train_watched(group: Trained[R], watching: Sequence[tuple[R, Callback[R]]]) -> None:
    """Train to the end, or until a signal: runs are saved, and callbacks closed, each of which watches a run."""
    def watched() -> list[tuple[R, Callback[R]]]:
        going = set(map(id, group.runs))
        return [(run, callback) for run, callback in watching if id(run) in going]

    def save() -> None:
        for run, callback in watched():
            callback.saving(run)
        group.save()

    with ExitStack() as closing:
        for run, callback in watched():
            closing.callback(callback.close)
            callback.begin(run)
        with interruption() as stop:
            pace = Pace(stop)
            while not group.finished:
                group.step()
                for run, callback in watched():
                    callback.stepped(run)
                if figures := group.figures():
                    for run, callback in watched():
                        callback.episode_ended(run, figures[id(run)])
                    group.next_episode()
                pace.between(save)
            pace.between(save, last=True)
        for run, callback in watched():
            callback.finished(run)
