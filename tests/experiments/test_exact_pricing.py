"""Firms that set prices: exact values to the digits, and the market against them."""

import numpy as np
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.logit_prices import LogitPrices
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.exact.pricing import PricingGame
from interplay.experiments.loop.players import Players
from refusals import refused

PRESETS = {"pricing": 2, "pricing-three": 3, "pricing-cheapest": 2, "pricing-shared": 2}


class Level(Agent):
    """Item j always sets the price of number ``setting.seed`` in base 15, digit j."""

    name = "level"

    def act(self, observation, explore):
        digit = self.setting.seed // 15 ** torch.arange(self.num_agents) % 15
        return (1 + digit).expand(observation.mask.shape[:2])


def players(market, items, seed=0):
    return Players({"users": find_agent("rest")(market.specs["users"], Setting()),
                 "items": items(market.specs["items"], Setting(seed=seed))})


def digits(value, places=6):
    return pytest.approx(value, abs=0.5001 * 10.0**-places)


@pytest.mark.parametrize(("preset", "nash", "its_profit", "monopoly", "joint_profit"), [
    ("pricing", 1.472927, 0.222927, 1.924980, 0.337490), ("pricing-three", 1.370163, 0.120163, 2.0, 0.25)])
def test_equilibrium_and_monopoly(preset, nash, its_profit, monopoly, joint_profit):
    market = find_preset(preset).market()
    game, oracle = game_of_mechanisms(market), solve(market)
    assert game.nash() == digits(nash)
    assert game.monopoly() == pytest.approx(monopoly, abs=1e-6)
    assert oracle.measures["profit of an item"] == digits(its_profit)
    assert oracle.others[0].measures["profit of an item"] == pytest.approx(joint_profit, abs=1e-6)
    assert oracle.item_return == pytest.approx(100 * PRESETS[preset] * its_profit, abs=2e-4)
    assert (game.gain(game.profits(np.full(game.num_items, game.nash()))[0]), game.gain(joint_profit)) == (
        0.0, pytest.approx(1.0, abs=1e-5))


def test_consumer_surplus():
    oracle = solve(find_preset("pricing").market())
    assert oracle.measures["consumer surplus"] == digits(0.71510, 5)
    assert oracle.others[0].measures["consumer surplus"] == digits(0.32708, 5)


def test_static_equilibria_of_the_grid():
    game = game_of_mechanisms(find_preset("pricing").market())
    assert game.grid_equilibria() == [(digits(1.466469),) * 2, (digits(1.505216),) * 2]
    cheapest = game_of_mechanisms(find_preset("pricing-cheapest").market())
    assert cheapest.grid_equilibria() == [(cheapest.model.lowest,) * 2]


@pytest.mark.parametrize("preset", PRESETS)
def test_prices_lie_evenly_around_equilibrium_and_monopoly(preset):
    """The preset finds both by bisection, the exact answer by Lambert's function."""
    prices = find_preset(preset).config.mechanisms[0].prices
    game = PricingGame(LogitPrices(), PRESETS[preset])
    beyond = 0.1 * (game.monopoly() - game.nash())
    assert prices == pytest.approx(np.linspace(game.nash() - beyond, game.monopoly() + beyond, 15), abs=1e-12)


def test_no_firm_gains_by_leaving_the_equilibrium():
    game = PricingGame(LogitPrices(), 2)
    nash, mine = game.nash(), game.profits(np.full(2, game.nash()))[0]
    others = [game.profits(np.array([price, nash]))[0] for price in np.linspace(1.0, 2.5, 301)]
    assert max(others) <= mine


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("number", [0, 1 + 15 * 1, 3 + 15 * 9, 12 + 15 * 12 + 225 * 4])
def test_the_market_pays_what_is_computed(preset, number):
    market, count = find_preset(preset).market(), PRESETS[preset]
    game = game_of_mechanisms(market)
    price = np.array([game.model.prices[number // 15**item % 15] for item in range(count)])
    score = evaluate(market, players(market, Level, number), 2)
    assert score.item_return.mean == pytest.approx(100 * game.profits(price).sum(), rel=1e-5)
    assert score.user_return.mean == pytest.approx(100 * game.surplus(price), rel=1e-5)
    assert score.measures["price at the end"].mean == pytest.approx(price.mean(), rel=1e-6)
    assert score.measures["consumer surplus"].mean == pytest.approx(game.surplus(price), rel=1e-5)


def test_tabular_items_see_all_prices():
    market = find_preset("pricing-three").market()
    state = market.reset(range(40))
    level = state["price_level"]
    assert len(level.unique()) == 15
    assert market.specs["items"].num_states == 15**3
    number = (level * torch.tensor([1, 15, 225])).sum(1)
    assert torch.equal(market.observe(state, "items").state, number.unsqueeze(1).expand(-1, 3))


def test_networks_see_own_price_and_rivals():
    market = find_preset("pricing-three").market()
    state = market.reset([0]).with_tables({"price_level": torch.tensor([[14, 0, 7]])})
    own = market.observe(state, "items").own[0, :, -3:]
    assert own == pytest.approx(torch.tensor([[1.0, -1.0, -0.5], [-1.0, 0.0, 0.5], [0.0, -1.0, 0.0]]), abs=1e-6)


def test_gaps_are_those_of_the_stage_game_for_policies_that_ignore_rivals():
    market = find_preset("pricing").market()
    profit = game_of_mechanisms(market).table()
    for number, (one, two) in ((1 + 15, (1, 1)), (2 + 30, (2, 2)), (13 + 15 * 13, (13, 13)), (0 + 15 * 9, (0, 9))):
        gain = max(profit[0][:, two].max() - profit[0][one, two], profit[1][one].max() - profit[1][one, two])
        assert best_response_gap(market, players(market, Level, number)) == pytest.approx(100 * gain, abs=1e-9)


def test_no_answer_is_given_to_another_question():
    assert solve(find_preset("town").market(mechanisms=("logit_prices",), boosts={"levels": ()})) is None  # has budgets
    with refused("lowest", 2.0, fix="highest=2.0"):
        LogitPrices(lowest=2.0)


@pytest.mark.parametrize("mechanism", [
    LogitPrices(shown="cheapest", ties="drawn"),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (
        LogitPrices(), LogitPrices(shown="cheapest"), LogitPrices(shown="incumbent", advantage=0.1)))])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


def set_prices(market, state, *levels):
    """One step in which the firms set these prices, by number."""
    worlds = len(state.time)
    action = torch.tensor([levels]).expand(worlds, -1) + 1
    return market.step(state, torch.zeros(worlds, 1, dtype=torch.int64), action)


def test_of_equal_prices_one_is_drawn_for_all_consumers():
    market = find_preset("pricing-cheapest").market()
    state, step = set_prices(market, market.reset(range(400)), 3, 3)
    game = game_of_mechanisms(market)
    alone = 2 * game.profits(np.full(2, game.model.prices[3]))[0]
    assert step.item_own.amax(1) == pytest.approx(torch.full((400,), alone), rel=1e-5)
    assert not step.item_own.amin(1).any()
    assert (step.item_own[:, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    _, step = set_prices(market, state, 5, 4)
    assert not step.item_own[:, 0].any()


def test_an_incumbent_is_shown_until_it_raises_its_price_or_is_undercut_by_more_than_its_advantage():
    market = find_preset("pricing-incumbent").market()
    state, _ = set_prices(market, market.reset(range(3)), 4, 9)
    for levels, shown in (((4, 3), 0), ((4, 2), 1), ((3, 2), 1), ((3, 4), 0), ((2, 3), 0), ((1, 1), 0)):
        state, step = set_prices(market, state, *levels)
        assert state["slot"].argmax(1).tolist() == [shown] * 3
        price = market.config.mechanisms[0].prices[levels[shown]]
        share = 1 / (1 + np.exp((price - 2.0) / 0.25))
        assert step.item_own[:, shown] == pytest.approx(torch.full((3,), (price - 1.0) * share), rel=1e-5)
        surplus = 0.25 * np.log1p(np.exp((2.0 - price) / 0.25))
        assert step.user_own[:, 0] == pytest.approx(torch.full((3,), surplus), rel=1e-5)
    number = state["price_level"] @ torch.tensor([1, 15])  # and 225 times the incumbent, which is firm 0
    assert torch.equal(market.observe(state, "items").state[:, 0], number)
    assert market.specs["items"].num_states == 2 * 15**2
    assert solve(market) is None


def test_profit_gain_is_0_in_equilibrium_and_1_in_joint_monopoly():
    game = PricingGame(LogitPrices(), 2)
    for price, gain in ((game.nash(), 0.0), (game.monopoly(), 1.0)):
        profit = torch.tensor(game.profits(np.full(2, price))[0])
        assert game.model.gain(profit, 2).item() == pytest.approx(gain, abs=1e-6)
    assert game.gain(game.profits(np.array([1.6, 1.7])).mean()) == pytest.approx(
        game.model.gain(torch.tensor(game.profits(np.array([1.6, 1.7])).mean()), 2).item(), abs=1e-9)
