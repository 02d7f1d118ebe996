"""What a facade needs to show its worlds: what they have earned so far, and a window for ``render_mode="human"``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interplay.envs.market import Market
from interplay.envs.pictures import window
from interplay.envs.world import State, Step

RenderMode = Literal["human", "rgb_array", "ansi"]

PICTURES = ("human", "rgb_array")


class Show:
    """Pictures of a facade's worlds.

    Args:
        market: that is played.
        mode: the facade's ``render_mode``; without pictures, nothing is kept.
        fps: frames in a second of a window.
        num_worlds: of the facade.

    Raises:
        InterplayError: a window is asked for, and pygame is missing.
    """

    def __init__(self, market: Market, mode: str | None, fps: float, num_worlds: int = 1) -> None:
        self._market, self._mode, self._fps = market, mode, fps
        self._earned: list[list[tuple[float, float]]] = [[] for _ in range(num_worlds)]
        self._opened = False
        if mode == "human":
            window.check_window()

    def begin(self, world: int = 0) -> None:
        """An episode starts in this world."""
        self._earned[world] = []

    def add(self, happened: Step) -> None:
        """A step of all worlds."""
        if self._mode in PICTURES:
            sums = (table.sum(1).tolist() for table in happened.arrays("user_own", "item_own"))
            for earned, step in zip(self._earned, zip(*sums, strict=True), strict=True):
                earned.append(step)

    def frame(self, state: State, happened: Step | None, horizon: int, world: int = 0) -> NDArray[np.uint8]:
        """The picture of a world, uint8 ``[480, 640, 3]``."""
        from interplay.envs.pictures.frame import paint  # loads the drawing library
        from interplay.envs.pictures.scene import Scene

        earned = self._earned[world]
        scene = Scene.of_world(world, state, happened if earned else None, earned, horizon, self._market.name)
        return paint(scene, self._market.config)

    def update(self, state: State, happened: Step | None, horizon: int) -> None:
        """Show the first world in the window, if there is to be one."""
        if self._mode == "human":
            window.show(self.frame(state, happened, horizon), f"interplay: {self._market.name}", self._fps)
            self._opened = True

    def close(self) -> None:
        """Close the window."""
        if self._opened:
            window.close()
            self._opened = False
