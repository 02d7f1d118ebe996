"""Frames of one world as several groups of agents play it, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from interplay.envs.market import Market
from interplay.envs.pictures.frame import paint
from interplay.envs.pictures.scene import Scene
from interplay.envs.pictures.strip import limits_of
from interplay.experiments.evaluate.evaluation import evaluate, stand_in
from interplay.experiments.evaluate.recording import Recording
from interplay.experiments.loop.players import Players, check_ready
from interplay.experiments.loop.task import Task


def beside(task: Task, players: Players, against: str | None) -> list[Players]:
    """The agents; to their left, if it is given, the same with ``against`` on the side that the market compares.

    Raises:
        InterplayError: there is no such agent, it would have to learn first, or it does not play that side.
    """
    players, side = players.copied(), task.training.side
    if against is None:
        return [players]
    check_ready(side, against)
    return [players.replaced(side, stand_in(task.held_out, side, against, seed=0)), players]


def frames(market: Market, several: Sequence[Players], world: int = 0) -> Iterator[NDArray[np.uint8]]:
    """A picture for each moment of a held-out world, uint8 ``[480, 640 * len(several), 3]``.

    All play the same world with the same noise. Where there are two, each strip of returns shows the other's, too.

    Args:
        market: to play in.
        several: groups of agents, from left to right.
        world: number of the held-out world.
    """
    played = [_recorded(market, players, world) for players in several]
    limits = limits_of(*(scenes[-1].earned for scenes in played))
    for moment in zip(*played, strict=True):
        others = [moment[1].earned, moment[0].earned] if len(moment) == 2 else [()] * len(moment)
        halves = [paint(scene._replace(limits=limits, beside=other), market.config)
                  for scene, other in zip(moment, others, strict=True)]
        yield np.concatenate(halves, axis=1)


def _recorded(market: Market, players: Players, world: int) -> list[Scene]:
    recording = Recording(market, players, world)
    evaluate(market, players, world + 1, recording)
    return list(recording.scenes)
