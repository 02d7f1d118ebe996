"""Users and items as marks with small bars, what users are offered and take as lines, and crowds as densities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interplay.envs.drawing.canvas import Canvas
from interplay.envs.drawing.colours import FAINT, GREY, IDLE, INK, ITEMS, PALE, WHITE, Colour, of_response
from interplay.envs.drawing.picture import Picture, Side
from interplay.envs.pictures.layout import MOST_POINTS, Box, Places
from interplay.envs.world import State, Step

_CELL = 10  # pixels of a density
_FEW_LINES = 50
_LONGEST_BAR, _THICKEST_BAR, _ROOMY = 44.0, 5.0, 40.0


def draw_links(canvas: Canvas, places: Places, state: State, step: Step | None) -> None:
    """Thin lines to what users are offered, thick ones to what they took, if both sides are few."""
    if max(len(places.users), len(places.items)) > MOST_POINTS:
        return
    items, valid, here = (table[0].cpu().numpy() for table in (state.slate.items, state.slate.valid, state.active))
    thin = 1.0 if len(here) * items.shape[1] < _FEW_LINES else 0.5
    for user in np.flatnonzero(here):
        for item in items[user][valid[user]]:
            canvas.line([tuple(places.users[user]), tuple(places.items[item])], PALE, thin)
    if step is not None:
        colours, took = _responses(step, len(here))
        chosen = step.chosen[0].cpu().numpy()
        for user in np.flatnonzero(took):
            canvas.line([tuple(places.users[user]), tuple(places.items[chosen[user]])], _rgb(colours[user]), 2.0)


def draw_agents(canvas: Canvas, picture: Picture, places: Places, box: Box, state: State, step: Step | None) -> None:
    """Marks of items and then of users; a density of a side that is a crowd."""
    here, alive = state.active[0].cpu().numpy(), state.alive[0].cpu().numpy()
    colours, _ = _responses(step, len(here))
    if len(alive) > MOST_POINTS:
        _shade(canvas, places.items[alive], np.tile(np.array(ITEMS, dtype=np.float64), (int(alive.sum()), 1)), box, 0.7)
    if len(here) > MOST_POINTS:
        _shade(canvas, places.users[here], colours[here], box, 0.95)
    if len(alive) <= MOST_POINTS:
        _draw_items(canvas, picture, places, alive, step)
    if len(here) <= MOST_POINTS:
        _draw_users(canvas, picture, places, here, colours)


def _draw_items(canvas: Canvas, picture: Picture, places: Places, alive: NDArray[np.bool_], step: Step | None) -> None:
    takers = np.zeros(len(alive)) if step is None else _takers(step, len(alive))
    small, large = _radii(places.item_space, 3.5)
    radius = small + (large - small) * np.sqrt(takers / max(1.0, takers.max()))
    for number, at in enumerate(places.items):
        centre = (float(at[0]), float(at[1]))
        if alive[number]:
            canvas.square(centre, radius[number], ITEMS, WHITE)
        else:
            canvas.square(centre, small + 1.0, WHITE, ITEMS)
        _draw_parts(canvas, picture, "items", number, large, places.item_space, alive[number])


def _draw_users(canvas: Canvas, picture: Picture, places: Places, here: NDArray[np.bool_],
                colours: NDArray[np.float64]) -> None:
    radius = _radii(places.user_space, 4.5)[1]
    for number, at in enumerate(places.users):
        centre = (float(at[0]), float(at[1]))
        canvas.disc(centre, radius, _rgb(colours[number]) if here[number] else WHITE, INK if here[number] else GREY)
        _draw_parts(canvas, picture, "users", number, radius, places.user_space, here[number])


def _draw_parts(canvas: Canvas, picture: Picture, side: Side, number: int, radius: float, space: float,
                present: bool) -> None:
    """Bars below a mark, unless its agent has left, and its label beside it."""
    x, y = getattr(picture, side)[number]
    length, thick = min(_LONGEST_BAR, space * 0.4), min(_THICKEST_BAR, max(2.0, space * 0.06))
    for row, bars in enumerate(picture.bars[side] if present else []):
        top, value = y + radius + 2.0 + row * (thick + 1.0), bars.values[number]
        draw_bar(canvas, x - length / 2.0, top, length, thick, bars.ends(value), bars.colour_of(value))
    if picture.labels[side]:
        canvas.text((x + radius + 4.0, y), picture.labels[side][number], 11 if space > _ROOMY else 9)


def draw_bar(canvas: Canvas, x: float, y: float, length: float, thick: float, ends: tuple[float, float],
             colour: Colour) -> None:
    """A bar whose coloured part lies between these parts of its length."""
    canvas.box(x, y, x + length, y + thick, PALE)
    canvas.box(x + ends[0] * length, y, x + ends[1] * length, y + thick, colour)


def _radii(space: float, least: float) -> tuple[float, float]:
    """Of the smallest and of the largest mark."""
    large = min(14.0, max(least, space * 0.14))
    return max(least, 0.5 * large), large


def _responses(step: Step | None, num_users: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Colours of users, and which of them took something."""
    if step is None:
        return np.tile(np.array(IDLE, dtype=np.float64), (num_users, 1)), np.zeros(num_users, dtype=np.bool_)
    took = step.position[0].cpu().numpy() > 0
    return of_response(step.response[0].cpu().numpy(), took), took


def _takers(step: Step, num_items: int) -> NDArray[np.float64]:
    """How many users took each item."""
    took = step.position[0].cpu().numpy() > 0
    return np.bincount(step.chosen[0].cpu().numpy()[took], minlength=num_items).astype(np.float64)


def _shade(canvas: Canvas, points: NDArray[np.float64], colours: NDArray[np.float64], box: Box, most: float) -> None:
    """A density of points: the fuller a cell, the more opaque, in the mean colour of its points."""
    shape = (-(-box.height // _CELL), -(-box.width // _CELL))
    column, row = ((points - (box.left, box.top)) // _CELL).astype(int).T
    flat = np.clip(row, 0, shape[0] - 1) * shape[1] + np.clip(column, 0, shape[1] - 1)
    count, *sums = (_blurred(np.bincount(flat, weights, shape[0] * shape[1]).astype(np.float64).reshape(shape))
                    for weights in (None, *colours.T))
    mean = np.stack(sums, 2) / np.maximum(count, 1e-9)[:, :, None]
    opacity = most * (count / max(1e-9, float(count.max()))) ** 0.6
    canvas.shade(box.left, box.top, np.where(count[:, :, None] > 0, mean, np.array(FAINT)), opacity, _CELL)


def _blurred(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each cell as a weighted mean of itself and its neighbours."""
    for axis in (0, 1, 0, 1):
        padded = np.pad(table, [(1, 1) if axis == each else (0, 0) for each in (0, 1)], mode="edge")
        parts = [np.take(padded, range(first, first + table.shape[axis]), axis) for first in range(3)]
        table = (parts[0] + 2.0 * parts[1] + parts[2]) / 4.0
    return table


def _rgb(colour: NDArray[np.float64]) -> Colour:
    red, green, blue = (round(float(part)) for part in colour)
    return red, green, blue
