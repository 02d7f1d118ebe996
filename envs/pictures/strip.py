"""The strip below a picture: what users and items have earned so far in the episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interplay.envs.drawing.canvas import Canvas
from interplay.envs.drawing.colours import FAINT, GREY, ITEMS, PALE, USERS, Colour
from interplay.envs.pictures.layout import Box
from interplay.envs.pictures.scene import Earned, Scene

_LABEL = 86  # pixels at the right for the names of lines


def sums(earned: Earned) -> list[list[float]]:
    """What users and items have earned after 0, 1, 2 ... steps."""
    table = np.array(earned, dtype=np.float64).reshape(-1, 2)
    return [[0.0, *column] for column in table.cumsum(0).T.tolist()]


def limits_of(*several: Earned) -> tuple[float, float]:
    """The lowest and the highest sum."""
    values = [value for earned in several for side in sums(earned) for value in side]
    return min(values), max([*values, min(values) + 1.0])


def draw_strip(canvas: Canvas, box: Box, scene: Scene) -> None:
    """Two lines over the steps of the episode, and in grey that of the users beside which this world is shown."""
    low, high = scene.limits or limits_of(scene.earned)
    bottom, top, right = box.bottom - 12, box.top + 14, box.right - _LABEL

    def line(values: Sequence[float], colour: Colour, width: float) -> float:
        points = [(box.left + (right - box.left) * step / scene.horizon, _height(value, low, high, bottom, top))
                  for step, value in enumerate(values[:scene.horizon + 1])]
        canvas.line([*points, points[-1]], colour, width)
        return points[-1][1]

    canvas.box(box.left, top, right, bottom, FAINT)
    beside = "    grey: the users beside" if scene.beside else ""
    canvas.text((box.left, box.top + 5), f"earned so far{beside}", 10, GREY)
    canvas.text((right, box.bottom - 4), f"step {scene.horizon}", 9, GREY, "rm")
    canvas.line([(box.left, _height(0.0, low, high, bottom, top)), (right, _height(0.0, low, high, bottom, top))], PALE)
    if scene.beside:
        line(sums(scene.beside)[0], GREY, 1.0)
    users, items = sums(scene.earned)
    ends = [(line(items, ITEMS, 2.5), f"items {_number(items[-1])}", ITEMS),  # still seen where users earn the same
            (line(users, USERS, 1.5), f"users {_number(users[-1])}", USERS)]
    for y, words, colour in _apart(ends):
        canvas.text((right + 6, y), words, 11, colour)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000.0 else f"{round(value, 6):.4g}"


def _height(value: float, low: float, high: float, bottom: float, top: float) -> float:
    return bottom - (bottom - top) * (value - low) / (high - low)


def _apart(ends: list[tuple[float, str, Colour]]) -> list[tuple[float, str, Colour]]:
    """The labels of lines, moved so far that they can be read."""
    upper, lower = sorted(ends)
    short = max(0.0, 13.0 - (lower[0] - upper[0])) / 2.0
    return [(upper[0] - short, *upper[1:]), (lower[0] + short, *lower[1:])]
