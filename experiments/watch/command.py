"""The command ``interplay watch``: a film of agents at play."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from interplay.envs.checking import Index, Positive
from interplay.envs.types import Side
from interplay.experiments.common.flags import Need, check_flags, when
from interplay.experiments.common.settings import Device, TrainSettings, find_device
from interplay.experiments.common.threads import working_threads
from interplay.experiments.loop.make_players import make_players
from interplay.experiments.loop.players import PLACKETT_LUCE, Players, check_ready
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.task import Task, make_task, with_agents
from interplay.experiments.watch.films import check_film, write_film
from interplay.experiments.watch.watching import beside, frames

_ALONE = Need(lambda s: s.run is None, "the run says which agents play which market: leave it out, or name no run")
_OF_RUN = Need(lambda s: s.run is not None, "code that the command itself names needs no permission: leave it out")


@dataclass(frozen=True)
class WatchSettings:
    """Film agents at play in one held-out world: those of a run, or some that need not learn."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder that train wrote."""
    preset: str = when(_ALONE, "town")
    """Market to play, in place of a run's: a name, or module:attribute for one of your own."""
    users: str = when(_ALONE, "greedy")
    """Agent that plays the users, one that does not learn."""
    items: str = when(_ALONE, "rest")
    """Agent that plays the items, one that does not learn."""
    platform: str = when(_ALONE, PLACKETT_LUCE)
    """Agent that fills the slates; plackett-luce leaves it to the market."""
    against: str | None = None
    """Agent that plays the same world beside it, in the place of the side that the market compares; it is seen on the
    left."""
    world: Index = 0
    """Number of the held-out world."""
    out: Path = Path("film.gif")
    """Film to write; its ending says in which format: .gif or .mp4."""
    fps: Positive = 4.0
    """Steps of the world in a second of the film."""
    device: Device = "auto"
    """Where to play."""
    allow_code: bool = when(_OF_RUN, False)
    """Allow to import the code that the run's folder names as module:Name. Allow it only if you trust both."""


@working_threads(1)
def watch(settings: WatchSettings) -> int:
    """Write the film; gives its number of frames.

    Raises:
        InterplayError: the settings are wrong, or the film cannot be written.
    """
    check_flags(settings)
    check_film(settings.out)
    task, players = _played(settings)
    several = beside(task, players, settings.against)
    return write_film(settings.out, frames(task.held_out, several, settings.world), settings.fps)


def _played(settings: WatchSettings) -> tuple[Task, Players]:
    """The market and the agents."""
    if settings.run is not None:
        run = Run.load(settings.run, settings.device, settings.allow_code)
        return run.task, run.players
    named = with_agents(TrainSettings(preset=settings.preset, users=settings.users, items=settings.items,
                                      platform=settings.platform))
    task = make_task(named, find_device(settings.device))
    sides: tuple[Side, ...] = ("users", "items", "platform")
    for side in sides:
        check_ready(side, getattr(named, side))
    return task, make_players(named, task)
