"""Numbers of exact states lie among those that agents have a row for, whatever the largest mood or budget."""

from typing import Any

import pytest
import torch

from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES
from refusals import refused

LARGEST = [0.4, 0.5, 0.7, 1.0, 1.25, 1.2499999999, 1.4, 1.5, 1.74999999999, 2.3, 2.5, 3.6]


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize(("kind", "sides"), [("own", ["users"]), ("budgets", SIDES)])
def test_states_are_among_those_that_are_counted(kind: str, sides: list[Any], largest: float) -> None:
    """All tables at their ends and between: 0.7 as largest mood is rounded up, and so was counted one state short."""
    market = find_preset("town").market(
        num_users=5, num_items=3, slate_size=2, num_topics=2, mood={"max": largest}, satiation={"max": largest},
        budgets={"start": largest, "max": largest}, user_state=kind, item_state="budgets")
    start, seen = market.reset(range(2)), set()
    for part in torch.linspace(0.0, 1.0, 41):
        state = start.with_tables({"mood": torch.full_like(start["mood"], largest) * (2.0 * part - 1.0),
                                   "satiation": torch.full_like(start["satiation"], largest) * part,
                                   "energy": torch.full_like(start["energy"], largest) * part})
        for side in sides:
            numbers, count = market.observe(state, side).state, market.specs[side].num_states
            assert numbers is not None
            assert count is not None
            assert ((numbers >= 0) & (numbers < count)).all()
            seen |= set(numbers.unique().tolist()) if side == sides[-1] else set()
    assert {0, count - 1} <= seen  # the lowest and the highest are reached, so that none is counted in vain


def test_more_states_than_a_float_can_hold_are_refused() -> None:
    with refused("budgets", fix="none"):
        find_preset("town").market(budgets={"max": 3e38}, user_state="budgets")
