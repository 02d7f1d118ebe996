"""A frame: one world as a picture of 640 x 480 pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interplay.envs.config import MarketConfig
from interplay.envs.drawing.canvas import Canvas
from interplay.envs.drawing.colours import GREY, INK
from interplay.envs.drawing.picture import Picture
from interplay.envs.pictures.labels import label_agents
from interplay.envs.pictures.layout import Box, place
from interplay.envs.pictures.marks import draw_agents, draw_links
from interplay.envs.pictures.panel import Panel
from interplay.envs.pictures.scene import Scene
from interplay.envs.pictures.strip import draw_strip

WIDTH, HEIGHT = 640, 480
_MAP, _PANEL, _STRIP = Box(8, 30, 446, 384), Box(462, 30, 634, 384), Box(12, 390, 632, 476)
_TITLE, _LONG = 20, 45  # letters


def paint(scene: Scene, config: MarketConfig) -> NDArray[np.uint8]:
    """The picture of a scene, uint8 ``[480, 640, 3]``; the same scene gives the same picture."""
    canvas, state = Canvas(WIDTH, HEIGHT), scene.state
    places = place(state, _MAP)
    picture = Picture(canvas, places.users, places.items, places.columns)
    draw_links(canvas, places, state, scene.step)
    label_agents(picture, state, config)
    for mechanism in config.mechanisms:
        mechanism.draw(picture, state)
    draw_agents(canvas, picture, places, _MAP, state, scene.step)
    canvas.text((12, 15), scene.title[:_TITLE], 16)
    canvas.text((WIDTH - 8, 15), f"step {int(state.time[0])} of {scene.horizon}", 13, GREY, "rm")
    canvas.text((270, 15), scene.players, 14 if len(scene.players) < _LONG else 11, INK, "mm")
    Panel(canvas, _PANEL).draw(picture, state)
    draw_strip(canvas, _STRIP, scene)
    return canvas.array()
