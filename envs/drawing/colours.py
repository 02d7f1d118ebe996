"""Colours of all pictures. Those that stand for something differ for colour-blind people, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

WHITE, INK, GREY, PALE, FAINT = (255, 255, 255), (38, 42, 48), (120, 126, 134), (206, 210, 217), (236, 238, 242)
LOW, HIGH, IDLE = (213, 94, 0), (0, 158, 115), (178, 183, 190)
"""Of a response of 0, of a response of 1, and of users that took nothing."""
USERS, ITEMS = (0, 114, 178), (96, 72, 150)
MOOD, SATIATION, BUDGET, BOOST, OTHER = (0, 158, 115), (230, 159, 0), (86, 160, 211), (204, 80, 140), (90, 96, 104)


def of_response(response: NDArray[np.float32], took: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Colours of users by their last response, float64 ``[U, 3]``."""
    share = np.clip(response, 0.0, 1.0)[:, None]
    mixed = (1.0 - share) * np.array(LOW) + share * np.array(HIGH)
    return np.where(took[:, None], mixed, np.array(IDLE))
