"""Actions that a mechanism gives to items."""

from __future__ import annotations

from typing import NamedTuple


class Levels(NamedTuple):
    """Actions that a mechanism gives to items, beside boosts.

    Attributes:
        values: what each level stands for, such as prices.
        by_segment: whether an item chooses a level for one segment of users. If not, the levels are offered once, with
            the first segment.
    """

    values: tuple[float, ...]
    by_segment: bool = False
