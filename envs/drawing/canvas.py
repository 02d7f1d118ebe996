"""What pictures are drawn on: lines, marks and text. All is drawn twice as large and scaled down: edges are smooth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from interplay.envs.drawing.colours import INK, WHITE, Colour

_ZOOM = 2

Point = tuple[float, float]


class Canvas:
    """A white picture. Places are pixels from the upper left corner, and may lie between two pixels.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _ZOOM, height * _ZOOM), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1.0) -> None:
        """A line through these points."""
        self._draw.line([(x * _ZOOM, y * _ZOOM) for x, y in points], colour, max(1, round(width * _ZOOM)))

    def disc(self, at: Point, radius: float, fill: Colour, edge: Colour | None = None) -> None:
        """A disc with this centre."""
        self._draw.ellipse(_around(at, radius), fill, edge, _ZOOM if edge else 0)

    def square(self, at: Point, radius: float, fill: Colour, edge: Colour | None = None) -> None:
        """A square with this centre and half its side as radius."""
        self._draw.rectangle(_around(at, radius), fill, edge, _ZOOM if edge else 0)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled rectangle, at least one pixel of a screen wide and high."""
        left, top, right, bottom = (value * _ZOOM for value in (left, top, right, bottom))
        self._draw.rectangle((left, top, max(left + 1, right - 1), max(top + 1, bottom - 1)), fill)

    def text(self, at: Point, words: str, size: int = 11, colour: Colour = INK, anchor: str = "lm") -> None:
        """A line of text; ``anchor`` says where it stands at the point, as Pillow's anchors do."""
        self._draw.text((at[0] * _ZOOM, at[1] * _ZOOM), words, colour, _font(size * _ZOOM), anchor)

    def shade(self, left: int, top: int, colours: NDArray[np.float64], opacity: NDArray[np.float64], cell: int) -> None:
        """Cells of ``cell`` pixels in these colours ``[H, W, 3]``, as opaque as ``[H, W]`` says."""
        size = (colours.shape[1] * cell * _ZOOM, colours.shape[0] * cell * _ZOOM)
        picture, mask = (Image.fromarray(np.clip(table, 0, 255).astype(np.uint8)).resize(
            size, Image.Resampling.BILINEAR) for table in (colours, opacity * 255))
        self._image.paste(picture, (left * _ZOOM, top * _ZOOM), mask)

    def array(self) -> NDArray[np.uint8]:
        """The picture, uint8 ``[height, width, 3]``."""
        return np.array(self._image.reduce(_ZOOM))


def _around(at: Point, radius: float) -> tuple[float, float, float, float]:
    x, y, r = at[0] * _ZOOM, at[1] * _ZOOM, radius * _ZOOM
    return x - r, y - r, x + r, y + r


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
