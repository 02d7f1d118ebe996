"""The right-hand column of a picture: what its marks, lines and bars mean, and the means of its bars."""

from __future__ import annotations

import numpy as np

from interplay.envs.drawing.canvas import Canvas
from interplay.envs.drawing.colours import GREY, HIGH, IDLE, INK, ITEMS, LOW, PALE, WHITE
from interplay.envs.drawing.picture import Picture, Side
from interplay.envs.pictures.layout import MOST_POINTS, Box
from interplay.envs.pictures.marks import draw_bar
from interplay.envs.world import State

_ROW, _SWATCH, _BAR = 17, 26, 56


class Panel:
    """Writes rows from top to bottom.

    Args:
        canvas: to write on.
        box: where.
    """

    def __init__(self, canvas: Canvas, box: Box) -> None:
        self._canvas, self._box, self._y = canvas, box, box.top + 8

    def draw(self, picture: Picture, state: State) -> None:
        """All rows."""
        here, alive = state.active[0], state.alive[0]
        many_users, many_items = len(here) > MOST_POINTS, len(alive) > MOST_POINTS
        self._heading(f"users  {int(here.sum())} of {len(here)} present")
        self._response("response")
        self._mark("darker: more users" if many_users else "took nothing", user=True)
        if not many_users and not bool(here.all()):
            self._mark("left", user=True, hollow=True)
        self._bars(picture, "users")
        self._y += 8
        self._heading(f"items  {int(alive.sum())} of {len(alive)} alive")
        self._mark("darker: more items" if many_items else "large: many took it", user=False)
        if not many_items and not bool(alive.all()):
            self._mark("died", user=False, hollow=True)
        self._bars(picture, "items")
        if not (many_users or many_items):
            self._y += 8
            self._line("taken", thick=True)
            self._line("offered next", thick=False)
        for note in picture.notes:
            self._canvas.text((self._box.left, self._next()), note)

    def _next(self) -> float:
        self._y += _ROW
        return self._y - _ROW

    def _heading(self, words: str) -> None:
        self._canvas.text((self._box.left, self._next()), words, 13)

    def _words(self, y: float, words: str) -> None:
        self._canvas.text((self._box.left + _SWATCH, y), words)

    def _response(self, name: str) -> None:
        """A scale of colours from 0 to 1."""
        y, left, width = self._next(), self._box.left + _SWATCH + 90, 48
        self._words(y, name)
        colours = np.linspace(LOW, HIGH, width // 4)
        for number, colour in enumerate(colours):
            red, green, blue = (round(float(part)) for part in colour)
            self._canvas.box(left + number * 4, y - 4, left + number * 4 + 4, y + 4, (red, green, blue))
        self._canvas.text((left - 4, y), "0", 10, GREY, "rm")
        self._canvas.text((left + width + 3, y), "1", 10, GREY)

    def _mark(self, words: str, user: bool, hollow: bool = False) -> None:
        y = self._next()
        at = (self._box.left + 10.0, float(y))
        if user:
            self._canvas.disc(at, 5.0, WHITE if hollow else IDLE, GREY if hollow else INK)
        else:
            self._canvas.square(at, 4.5, WHITE if hollow else ITEMS, ITEMS if hollow else WHITE)
        self._words(y, words)

    def _line(self, words: str, thick: bool) -> None:
        y = self._next()
        half = self._box.left + 11
        if thick:
            self._canvas.line([(self._box.left, y), (half, y)], LOW, 2.0)
            self._canvas.line([(half, y), (self._box.left + 21, y)], HIGH, 2.0)
        else:
            self._canvas.line([(self._box.left, y), (self._box.left + 21, y)], PALE, 1.0)
        self._words(y, words)

    def _bars(self, picture: Picture, side: Side) -> None:
        """Names of the bars of a side, and their means over its agents."""
        for bars in picture.bars[side]:
            y, mean = self._next(), float(bars.values.mean())
            self._canvas.text((self._box.left, y), bars.name)
            left = self._box.left + 76
            draw_bar(self._canvas, left, y - 4, _BAR, 8, bars.ends(mean), bars.colour_of(mean))
            self._canvas.text((left + _BAR + 4, y), f"{mean:.2f}", 10, GREY)
