"""Long-term satisfaction: the contract, and what happens in a step."""

import pytest
import torch

from interplay.envs.mechanisms.satisfaction import Satisfaction
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism

CHOCOLATE, KALE = 1, 2


@pytest.mark.parametrize("mechanism", [
    Satisfaction(sensitivity=0.5, limit=0.0, choc_spread=0.3, kale_mean=1.0),
    pytest.param(Satisfaction(), marks=pytest.mark.slow)])
def test_satisfaction_keeps_the_contract(mechanism: Satisfaction) -> None:
    check_mechanism(mechanism)


def stepped(market, state, action):
    worlds = len(state.time)
    return market.step(state, torch.full((worlds, 1), action), torch.zeros(worlds, 2, dtype=torch.int64))


def test_users_begin_within_what_half_an_item_could_do() -> None:
    exposure = find_preset("lts").market().reset(range(20_000))["exposure"]
    assert exposure.abs().max() < 0.5 / 0.3 < exposure.abs().max() + 0.01
    assert exposure.mean() == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize(("action", "moved"), [(0, 0.0), (CHOCOLATE, -1.0), (KALE, 1.0)])
def test_items_move_exposure_by_their_mood_effect(action: int, moved: float) -> None:
    market = find_preset("lts").market()
    first = market.reset(range(4_000))
    second, _ = stepped(market, first, action)
    noise = second["exposure"] - 0.7 * first["exposure"] - moved
    assert noise.mean() == pytest.approx(0.0, abs=0.005)
    assert noise.std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("limit", [0.0, 20.0])
@pytest.mark.parametrize(("action", "mean"), [(CHOCOLATE, 5.0), (KALE, 4.0)])
def test_responses_are_worth_what_is_expected(action: int, mean: float, limit: float) -> None:
    market = find_preset("lts").market(satisfaction={"innovation": 0.0, "limit": limit, "sensitivity": 0.3})
    first = market.reset(range(200_000))
    _, step = stepped(market, first, action)
    paid, expected = step.user_own[:, 0].double(), market.observe(first, "users", True).expected[:, 0, action].double()
    assert paid.mean() == pytest.approx(expected.mean().item(), abs=4.0 * paid.std().item() / 200_000**0.5)
    if limit > 0.0:
        assert paid.max() == limit
    else:
        satisfaction = torch.sigmoid(0.3 * first["exposure"][:, 0]).double()
        spread = paid.log() - mean * satisfaction
        assert (spread.mean(), spread.std()) == (pytest.approx(0.0, abs=0.01), pytest.approx(1.0, abs=0.01))


def test_users_that_take_nothing_earn_nothing() -> None:
    market = find_preset("lts").market()
    _, step = stepped(market, market.reset(range(10)), 0)
    assert not step.user_own.any()
