"""Shops: the contract, sales, money and stock; and the exact answer of a clearance against play."""

import math

import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.shop import Shop
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.loop.players import Players
from refusals import refused


class Fixed(Agent):
    """The product always sets the price of number ``setting.seed``."""

    name = "fixed"

    def act(self, observation, explore):
        return torch.full(observation.mask.shape[:2], 1 + self.setting.seed)


@pytest.mark.parametrize("mechanism", [
    Shop(stock=(2.0,), restock=0.3, money=3.0, money_spread=0.4, liking=0.5, quality_spread=0.3),
    pytest.param(Shop(), marks=pytest.mark.slow)])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


def crowd(**changes):
    """A hundred shoppers that all look at one product, and the market after they have."""
    market = find_preset("clearance").market(num_users=100, user_state="none", **changes)
    state = market.reset(range(20))
    looks = torch.ones(20, 100, dtype=torch.int64)
    return market, state, *market.step(state, looks, torch.zeros(20, 1, dtype=torch.int64))


def test_shoppers_buy_as_often_and_gain_as_much_as_a_logit_says():
    market, state, after, step = crowd(**{"shop.stock": (1000.0,)})
    price = market.config.mechanisms[0].price(state)
    value = (1.0 - price) / 0.25
    assert step.response.mean(1) == pytest.approx(torch.sigmoid(value).squeeze(1), abs=0.2)
    assert step.response.mean().item() == pytest.approx(torch.sigmoid(value).mean().item(), abs=0.04)
    of_a_sale = 0.25 * torch.nn.functional.softplus(value) / torch.sigmoid(value)
    torch.testing.assert_close(step.user_own, step.response * of_a_sale)
    torch.testing.assert_close(step.item_own[:, 0], step.response.sum(1) * price[:, 0])
    torch.testing.assert_close(state["money"] - after["money"], step.response * price, atol=0.07, rtol=0.0)


def test_of_too_few_units_each_gets_an_equal_part():
    market, state, after, step = crowd()  # three units
    short = step.response.sum(1) > 3
    assert short.sum() > 10
    assert (after["stock"][short] == 0.0).all()
    torch.testing.assert_close(after["sold"][short, 0], torch.full((int(short.sum()),), 3.0))
    price = market.config.mechanisms[0].price(state)
    torch.testing.assert_close(step.item_own[short], 3.0 * price[short])
    assert not market.observe(after, "users").mask[short][..., 1:].any()


def test_what_cannot_be_paid_cannot_be_taken():
    market = find_preset("shop").market(**{"shop.money": 1.0})
    state = market.reset(range(4))
    price = market.config.mechanisms[0]._prices_of(state, state.slate.items)
    allowed = market.observe(state, "users").mask[..., 1:]
    assert torch.equal(allowed, price <= state["money"].unsqueeze(2) + 1e-4)
    assert 0 < allowed.sum() < allowed.numel()


def test_stock_comes_back_up_to_what_it_was():
    market = find_preset("shop").market(**{"shop.restock": 0.5, "shop.stock": (5.0,)})
    state, nothing = market.reset([0]), torch.zeros(1, 16, dtype=torch.int64)
    for _ in range(3):
        state, _ = market.step(state, torch.ones(1, 32, dtype=torch.int64), nothing)
    low = state["stock"]
    assert low.min() < 4.0
    state, _ = market.step(state, torch.zeros(1, 32, dtype=torch.int64), nothing)
    torch.testing.assert_close(state["stock"], (low + 0.5).clamp(max=5.0))


@pytest.mark.parametrize("level", [1, 3, 5])
def test_prices_that_stay_earn_what_is_computed(level):
    market = find_preset("clearance").market()
    game = game_of_mechanisms(market)
    expected = game._value(lambda ahead: level)
    players = Players({"users": find_agent("first")(market.specs["users"], Setting()),
                       "items": Fixed(market.specs["items"], Setting(seed=level))})
    score = evaluate(market, players, 4000)
    for found, exact in zip((score.item_return, score.user_return), expected, strict=True):
        low, high = found.ci95
        assert abs(found.mean - exact) < high - low  # twice as wide as the interval on either side


def test_a_single_step_is_solved_by_hand():
    oracle = solve(find_preset("clearance").market(horizon=1))
    prices = [0.5 + 0.25 * k for k in range(7)]
    assert oracle.item_return == pytest.approx(sum(p / (1 + math.exp((p - 1) / 0.25)) for p in prices) / 7)
    assert oracle.user_return == pytest.approx(sum(0.25 * math.log1p(math.exp((1 - p) / 0.25)) for p in prices) / 7)


def test_the_best_prices_fall_with_the_stock_and_as_the_end_comes_near():
    """Gallego and van Ryzin (1994), theorem 1."""
    value = {units: solve(find_preset("clearance").market(**{"shop.stock": (float(units),)})).item_return
             for units in (1, 2, 3, 4)}
    gains = [value[units + 1] - value[units] for units in (1, 2, 3)]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) > 0


@pytest.mark.parametrize("changes", [
    {"shop.restock": 0.5}, {"shop.money": 2.0}, {"shop.liking": 1.0}, {"shop.quality_spread": 0.1}, {"num_users": 2},
    {"response_mode": "mean"}, {"shop.stock": (1.5,)}, {"satiation.weight": 0.5}, {"position_bias": 0.1}])
def test_no_answer_is_given_to_another_question(changes):
    assert game_of_mechanisms(find_preset("clearance").market(**changes)) is None


def test_prices_rise():
    with refused("lowest", 2.0, fix="highest=2.0"):
        Shop(lowest=2.0)
