"""Investors and funds of stocks: the contract, growth in a step, and Merton's share against play."""

import numpy as np
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.investing import Investing
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.merton import MertonGame
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.loop.players import Players

YEARS = (-0.4, -0.1, 0.05, 0.1, 0.2, 0.3)


@pytest.mark.parametrize("mechanism", [
    Investing(growths=YEARS, skill_spread=0.02, crowding=0.1, fees=(0.0, 0.01), load=0.03, aversion=1.0,
              aversion_spread=0.5), pytest.param(Investing(), marks=pytest.mark.slow)])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


def test_utilities_of_terrible_losses_are_finite():
    """As felt by an aversion of 30, exp(29 * 4) is beyond float32: rewards were infinite."""
    market = find_preset("merton").market(mechanisms=(Investing(growths=(-4.0,), aversion=30.0),))
    state = market.reset([0])
    _, step = market.step(state, state.active.long(), torch.zeros_like(state.alive.long()))
    assert step.user_reward.isfinite().all()
    assert (step.user_reward < -1e30).all()
    assert market.observe(state, "users", expected=True).expected.isfinite().all()


class InFund(Agent):
    """Every user is in the fund of this number, from 1; 0 = in none."""

    name = "in-fund"

    def act(self, observation, explore):
        return torch.full(observation.mask.shape[:2], self.setting.seed)


def in_fund(market, number):
    return Players({"users": InFund(market.specs["users"], Setting(seed=number)),
                    "items": find_agent("rest")(market.specs["items"], Setting())})


def test_mertons_share():
    """(.08 - .02) / (3 .2^2) = 1/2, which is worth r + (mu - r)^2 / (2 gamma sigma^2) = .035."""
    game, oracle = game_of_mechanisms(find_preset("merton").market()), solve(find_preset("merton").market())
    assert (game.share, game.worth(game.share)) == (pytest.approx(0.5), pytest.approx(0.035))
    assert oracle.measures["share of stocks"] == 0.5
    assert oracle.user_return == oracle.greedy == pytest.approx(20 * (1 - np.exp(-2 * 0.035)) / 2)
    shares = np.linspace(0.0, 2.0, 2_001)
    assert shares[np.argmax([game.worth(x) for x in shares])] == pytest.approx(0.5)
    other = MertonGame(Investing(aversion=5.0, volatility=0.3, stock_return=0.11), (1.0,), 1)
    assert other.share == pytest.approx(0.2)


@pytest.mark.parametrize("aversion", [1.0, 3.0])
@pytest.mark.parametrize("number", [0, 2, 5])
def test_the_market_pays_what_is_computed(aversion, number):
    market = find_preset("merton").market(**{"investing.aversion": aversion})
    game = game_of_mechanisms(market)
    exact = 20 * game.utility(game.worth((0.0, *game.stocks)[number]))
    found = evaluate(market, in_fund(market, number), 2_000).user_return
    low, high = found.ci95 or (found.mean, found.mean)
    assert abs(found.mean - exact) <= high - low + 1e-5  # twice as wide as the interval on either side


def test_greedy_investors_take_mertons_share():
    market = find_preset("merton").market()
    seen = market.observe(market.reset([0]), "users", expected=True).expected[0, 0]
    game = game_of_mechanisms(market)
    exact = [game.utility(game.worth(x)) for x in (0.0, *game.stocks)]
    assert seen.tolist() == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("aversion", [1.0, 1.5, 4.0])
def test_what_is_expected_of_given_growths_is_their_mean(aversion):
    market = find_preset("merton").market(investing={"growths": YEARS, "aversion": aversion})
    seen = market.observe(market.reset([0]), "users", expected=True).expected[0, 0, 1:].double().numpy()
    x, stocks, r = np.array(market.config.mechanisms[0].stocks)[:, None], np.array(YEARS), 0.02
    growth = r + x * (stocks - r) + x * (1 - x) * stocks.var() / 2
    utility = growth if aversion == 1.0 else (np.exp((1 - aversion) * growth) - 1) / (1 - aversion)
    assert seen == pytest.approx(utility.mean(1), abs=1e-6)
    assert solve(market) is None


@pytest.mark.parametrize("growths", [(), YEARS])
def test_what_is_expected_is_paid_on_average(growths):
    found = []
    for paid in ("drawn", "expected"):
        market = find_preset("funds-large").market(investing={"paid": paid, "growths": growths, "fees": (0.0,)})
        state = market.reset(range(4_000)).with_tables({"aversion": torch.full((4_000, 16), 2.5)})
        _, step = market.step(state, torch.full((4_000, 16), 4), torch.zeros(4_000, 6, dtype=torch.int64))
        found.append(step.user_own[:, 0])
    drawn, expected = found
    assert (drawn - expected).mean().item() == pytest.approx(0.0, abs=4.0 * drawn.std().item() / 4_000**0.5)
    assert drawn.std() > 5.0 * expected.std() > 0.0  # funds differ in skill alone


def test_growths_are_drawn_from_those_given():
    market = find_preset("merton").market(investing={"growths": YEARS})
    state = market.reset(range(3_000))
    state, _ = market.step(state, torch.full((3_000, 1), 4), torch.zeros(3_000, 8, dtype=torch.int64))  # all stocks
    found, count = state["growth"].unique(return_counts=True)
    assert found.tolist() == pytest.approx(YEARS)
    assert count.min() > 400


def test_what_an_investor_grows_by():
    """Crowding by its share of investors, a fee chosen a step before, and a load when it enters."""
    market = find_preset("funds-large").market(**{"investing.skill_spread": 0.0, "investing.paid": "drawn"})
    state, funds = market.reset(range(4)), torch.zeros(4, 6, dtype=torch.int64)
    funds[:, 2] = 3  # a fee of 1 % from the next step on
    users = torch.zeros(4, 16, dtype=torch.int64)
    users[:, :8] = 3
    first, _ = market.step(state, users, funds)
    users[:, :4] = 4
    after, step = market.step(first, users, torch.zeros_like(funds))
    x, variance = 0.6, 0.04
    stocks = after["fund_growth"][:, 4] - 0.01  # all of its money
    grown = 0.02 * (1 - x) + x * (1 - x) * variance / 2 + x * stocks + 0.01 - 0.02 * 4 / 16 - 0.01
    torch.testing.assert_close(after["growth"][:, 5], grown, atol=1e-5, rtol=0.0)
    moved = after["fund_growth"][:, 3] - 0.04
    torch.testing.assert_close(after["growth"][:, 0], moved)
    torch.testing.assert_close(after["growth"][:, 12], torch.full((4,), 0.02))
    torch.testing.assert_close(step.item_own[:, 2], torch.full((4,), 0.01 * 4 / 16))
    power = 1.0 - after["aversion"][:, 5]
    torch.testing.assert_close(step.user_own[:, 5], torch.expm1(power * after["growth"][:, 5]) / power)
    torch.testing.assert_close(after["log_wealth"], first["growth"] + after["growth"])


@pytest.mark.parametrize("changes", [
    {"investing.crowding": 0.1}, {"investing.load": 0.01}, {"investing.skill": 0.01}, {"investing.fees": (0.0, 0.1)},
    {"investing.aversion_spread": 0.1}, {"num_users": 2, "user_state": "none"}, {"satiation.weight": 0.5}])
def test_no_answer_is_given_to_another_question(changes):
    assert game_of_mechanisms(find_preset("merton").market(**changes)) is None
