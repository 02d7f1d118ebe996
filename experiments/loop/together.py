"""Runs that differ in their seeds alone, played as one: their worlds in one batch, their agents stacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from interplay.agents import find_agent
from interplay.agents.parts.seeds import Seeds, can_stack
from interplay.envs.trees import tensors_of, with_tensors
from interplay.experiments.common.finite import DivergedError
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.players import PLACKETT_LUCE, Players
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import Task, make_task
from interplay.experiments.loop.tracking import episode_figures

FEWEST_ON_CPU = 3
"""Fewest runs that a CPU plays as one. With fewer, vmap costs more than it saves."""
MOST_ON_CPU = 8192
"""Most agents in the worlds of each of them. With more, arithmetic alone takes the time, and memory might not do."""


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that can and should be played as one, together; others alone.

    A log is split by the seed, so that each seed has another market. Runs that were stopped one after another are at
    different steps.
    """
    first = runs[0]
    many = len(runs) >= (FEWEST_ON_CPU if first.task.market.device.type == "cpu" else 2)
    alike = first.settings.log is None and all((run.episode, run.time) == (first.episode, first.time) for run in runs)
    together = (many and alike and _is_small(first.task)
                and can_stack([player for run in runs for player in run.players.each()]))
    return [list(runs)] if together else [[run] for run in runs]


def may_stack(settings: TrainSettings) -> bool:
    """Whether runs with these settings, which name all agents, can be played as one on a CPU, before one is started.

    An agent's networks, which decide it, too, are made at the start.
    """
    kinds = [find_agent(name) for name in (settings.users, settings.items, settings.platform)
             if name not in (None, PLACKETT_LUCE)]
    return (settings.log is None and all(kind.stacks for kind in kinds)
            and _is_small(make_task(settings, torch.device("cpu"))))


def _is_small(task: Task) -> bool:
    """Whether a CPU gains by playing several such runs as one."""
    config = task.market.config
    agents = task.training.num_worlds * (config.num_users + config.num_items)
    return task.market.device.type != "cpu" or agents <= MOST_ON_CPU


class Together:
    """Plays runs as one, or a single one as it is.

    Args:
        runs: of one ``groups``.

    Attributes:
        runs: those under way; in the end, all that were trained to their end. What they hold of worlds and agents is up
            to date when an episode has ended, when they are saved, and once they are finished.
        diverged: runs that were left out, with what was not finite in them.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.diverged: list[tuple[Run, DivergedError]] = []
        self._early: list[Run] = []
        self._places = {id(run): place for place, run in enumerate(runs)}
        self._whole = runs[0] if len(runs) == 1 else _stacked(runs)
        for run in runs if self._several else []:
            run.refresh = partial(self._hand_over, [run], own=True)
            if run.captured is not None:
                run.captured.end()  # the whole is captured, not its runs
                run.captured = None

    @property
    def whole(self) -> Run:
        """What is played: the only run, or all as one, whose agents are ``Seeds``."""
        return self._whole

    @property
    def finished(self) -> bool:
        """Whether all episodes of all runs have been played."""
        return all(run.finished for run in self.runs)

    @property
    def episode_ended(self) -> bool:
        """Whether the episode under way has reached its horizon; then runs hold the worlds at its end."""
        return self._whole.episode_ended

    def step(self) -> dict[str, Tensor]:
        """One training iteration of all runs; gives metrics of all."""
        before = self._whole.wall_seconds
        metrics = self._whole.step()
        if self._several:
            for run in self.runs:
                run.time = self._whole.time
                run.wall_seconds += (self._whole.wall_seconds - before) / len(self._places)
            if self.episode_ended:
                self._hand_over(self.runs)
        return metrics

    def figures(self) -> dict[int, dict[str, float]]:
        """Figures of the episode that the step has ended, of each run by its ``id``; of a run that diverges none."""
        found = {}
        for run in list(self.runs) if self.episode_ended else ():
            with self.leaving_out(run):
                found[id(run)] = episode_figures(run)
        return found

    def next_episode(self) -> None:
        """Begin the next episode. Runs that end before others are saved, and keep what they are."""
        self._whole.next_episode()
        if not self._several:
            return
        for run in self.runs:
            run.episode, run.time = self._whole.episode, 0
        if self.finished:
            self.runs += self._early
            return
        for run in [run for run in self.runs if run.finished]:
            with self.leaving_out(run):
                run.save()
                self._early.append(run)
            run.refresh = _stay
        self.runs = [run for run in self.runs if not run.finished]

    @contextmanager
    def leaving_out(self, run: Run) -> Iterator[None]:
        """Go on without a run that diverges here: the others do not depend on it."""
        try:
            yield
        except DivergedError as error:
            self.diverged.append((run, error))
            self.runs = [other for other in self.runs if other is not run] or self._early
            run.refresh = _stay

    def save(self) -> None:
        """Write checkpoints of all runs, each as if it had been trained alone."""
        for run in list(self.runs):
            with self.leaving_out(run):
                run.save()
                if run.finished:
                    run.refresh = _stay
                elif self._several:
                    self._hand_over([run])  # memory of their own for all at once would be twice as much

    @property
    def _several(self) -> bool:
        return len(self._places) > 1

    def _hand_over(self, runs: Sequence[Run], own: bool = False) -> None:
        """Let runs hold their worlds and what agents have learnt: their ``own``, or for reading until the next step."""
        whole, places = self._whole, [self._places[id(run)] for run in runs]
        for place, run in zip(places, runs, strict=True):
            run.now, run.stats = _part((whole.now, whole.stats), place, len(self._places), own)
            run.metrics = {name: value[place].clone() for name, value in whole.metrics.items()}
        for copies, *players in zip(whole.players.each(), *(run.players.each() for run in runs), strict=True):
            assert isinstance(copies, Seeds)
            copies.hand_over(dict(zip(places, players, strict=True)), own)


def _stay() -> None:
    """A run that is not played with others any more has nothing to bring up to date."""


def _stacked(runs: Sequence[Run]) -> Run:
    """The runs as one, whose agents are ``Seeds``."""
    copied = zip(*(run.players.each() for run in runs), strict=True)
    players = Players.of_players([Seeds(copies) for copies in copied], runs[0].players)
    now, stats = _joined([(run.now, run.stats) for run in runs])
    metrics = {name: torch.stack([run.metrics[name] for run in runs]) for name in runs[0].metrics}
    whole = replace(runs[0], players=players, now=now, stats=stats, metrics=metrics, captured=None,
                    seeds=tuple(run.settings.seed for run in runs))
    whole.capture()
    return whole


def _joined(trees: Sequence[Any]) -> Any:
    """The worlds of all in one batch; a number is one for all."""
    columns = zip(*map(tensors_of, trees), strict=True)
    return with_tensors(trees[0], (torch.cat(column) if column[0].dim() else column[0] for column in columns))


def _part(tree: Any, place: int, count: int, own: bool) -> Any:
    """The worlds of one run."""
    def part(table: Tensor) -> Tensor:
        rows = torch.unflatten(table, 0, (count, -1))[place] if table.dim() else table
        return rows.clone() if own else rows

    return with_tensors(tree, map(part, tensors_of(tree)))
