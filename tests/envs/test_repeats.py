"""The mechanism ``repeats``: an item that was taken is offered less often."""

import pytest
import torch

from interplay.envs.mechanisms.repeats import Repeats
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from refusals import refused

STEPS, WORLDS = 12, 8


def share_of_repeats(*mechanisms):
    """Users take the first slot of a market with a slate of one of 20 items."""
    market = find_preset("town").market(
        num_users=4, num_items=20, slate_size=1, horizon=STEPS, mechanisms=mechanisms)
    state = market.reset(range(WORLDS), 3)
    first = torch.ones(WORLDS, 4, dtype=torch.int64)
    rest = torch.zeros(WORLDS, 20, dtype=torch.int64)
    taken = []
    for _ in range(STEPS):
        state, step = market.step(state, first, rest)[:2]
        assert (step.position > 0).all()
        taken.append(step.chosen)
    rows = torch.stack(taken, 2).flatten(0, 1)
    return 1.0 - sum(len(row.unique()) for row in rows) / rows.numel()


@pytest.mark.parametrize("rate", [0.3, pytest.param(0.0, marks=pytest.mark.slow)])
def test_the_contract_holds(rate):
    check_mechanism(Repeats(rate), off=Repeats(1.0))


def test_the_rate_decides_how_often_items_return():
    never, seldom, often, most = (share_of_repeats(Repeats(rate)) for rate in (0.0, 0.2, 1.0, 9.0))
    assert never == 0.0
    assert 0.0 < seldom < often < most
    assert often == share_of_repeats()


def test_each_pair_takes_a_bit():
    market = find_preset("town").market(num_users=3, num_items=20, mechanisms=(Repeats(),))
    state = market.reset([0])
    take, rest = torch.tensor([[1, 2, 0]]), torch.zeros(1, 20, dtype=torch.int64)
    taken = market.step(state, take, rest)[0]["consumed"][0]
    assert taken.dtype == torch.uint8
    assert taken.shape == (3, 3)
    bits = (taken.unsqueeze(2) >> torch.arange(8)) % 2
    shown = state.slate.items[0]
    assert bits.flatten(1)[:, :20].nonzero().tolist() == [[0, int(shown[0, 0])], [1, int(shown[1, 1])]]


def test_a_rate_outside_its_range_is_refused():
    with refused("rate", -0.5):
        Repeats(-0.5)
