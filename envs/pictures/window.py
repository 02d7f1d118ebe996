"""A window that shows pictures one after another, by pygame, which is not among the requirements."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.envs.types import InterplayError


def check_window() -> None:
    """Check that windows can be opened.

    Raises:
        InterplayError: pygame is missing.
    """
    if find_spec("pygame") is None:
        raise InterplayError("render_mode='human' opens a window by pygame, which is missing: pip install "
                             "'interplay[window]', or choose render_mode='rgb_array' or 'ansi'")


def show(picture: NDArray[np.uint8], title: str, fps: float) -> None:
    """Show a picture ``[H, W, 3]``, not before the last one has had its time.

    Raises:
        InterplayError: there is no screen.
    """
    pygame = _pygame()
    try:
        if not pygame.display.get_init():
            pygame.display.init()
        size = (picture.shape[1], picture.shape[0])
        window = pygame.display.get_surface()
        if window is None or window.get_size() != size:
            window = pygame.display.set_mode(size)
    except pygame.error as error:
        raise InterplayError(f"render_mode='human' finds no screen ({error}): choose 'rgb_array' or 'ansi'") from error
    pygame.display.set_caption(title)
    window.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
    pygame.event.pump()  # else the system takes the program for hung
    pygame.display.flip()
    _clock().tick(fps)


def close() -> None:
    """Close the window, if there is one."""
    pygame = _pygame()
    if pygame.display.get_init():
        pygame.display.quit()


@cache
def _pygame() -> Any:
    import pygame

    return pygame


@cache
def _clock() -> Any:
    return _pygame().time.Clock()
