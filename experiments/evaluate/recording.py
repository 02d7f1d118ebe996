"""Keeps what pictures need of one world of an evaluation."""

from __future__ import annotations

from collections import deque

from interplay.envs.market import Market
from interplay.envs.pictures.scene import Scene
from interplay.envs.world import State, Step
from interplay.experiments.loop.play import Played
from interplay.experiments.loop.players import PLACKETT_LUCE, Players


class Recording:
    """Watches an evaluation and keeps a scene for each moment of one world; ``evaluate`` takes it as ``watch``.

    Args:
        market: that is played.
        players: the agents.
        world: number of the world.
        most: scenes to keep, the last ones; None = all.

    Attributes:
        scenes: the first before the first step, if all are kept.
    """

    def __init__(self, market: Market, players: Players, world: int = 0, most: int | None = None) -> None:
        self._market, self._world = market, world
        named = players.names()
        self._players = ", ".join(f"{side} {name}" for side, name in named.items() if name != PLACKETT_LUCE)
        self._earned: list[tuple[float, float]] = []
        self.scenes: deque[Scene] = deque(maxlen=most)

    def __call__(self, played: Played) -> None:
        """Keep the scene after a step."""
        if not self._earned:
            self._keep(played.before.state, None)
        users, items = played.step.user_own[self._world].sum(), played.step.item_own[self._world].sum()
        self._earned.append((float(users), float(items)))
        self._keep(played.after.state, played.step)

    def _keep(self, state: State, step: Step | None) -> None:
        scene = Scene.of_world(self._world, state, step, tuple(self._earned), self._market.config.horizon,
                               self._market.name)
        self.scenes.append(scene._replace(players=self._players))
