"""Funds that pay less the more they hold: exact values to the digits, and the market against them."""

import numpy as np
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.crowding import Crowding
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate, report
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.loop.players import Players
from refusals import refused


class InB(Agent):
    """The first ``setting.seed`` users take fund B, the others fund A."""

    name = "in-b"

    def act(self, observation, explore):
        return torch.where(torch.arange(self.num_agents) < self.setting.seed, 2, 1).expand(observation.mask.shape[:2])


def players(market, number, users=InB):
    return Players({"users": users(market.specs["users"], Setting(seed=number)),
                 "items": find_agent("rest")(market.specs["items"], Setting())})


def each(oracle):
    return oracle.user_return / (8 * 20)


def test_equilibria_and_optimum():
    oracle = solve(find_preset("pigou").market())
    assert [o.name for o in (oracle, *oracle.others)] == ["optimum", "equilibrium, best", "equilibrium, worst"]
    assert [each(o) for o in (oracle, *oracle.others)] == [0.390625, 0.328125, 0.25]
    game = game_of_mechanisms(find_preset("pigou").market())
    assert [n for n in game.profiles() if game.is_equilibrium(n)] == [(2, 6), (3, 5)]
    assert max(game.profiles(), key=game.welfare) == (5, 3)


@pytest.mark.parametrize("number", range(9))
def test_the_market_pays_what_is_computed(number):
    market = find_preset("pigou").market()
    game = game_of_mechanisms(market)
    score = evaluate(market, players(market, number), 2)
    assert score.user_return.mean == pytest.approx(20 * game.welfare((8 - number, number)), abs=1e-4)
    assert score.measures["net return of a user"].mean == pytest.approx(score.user_return.mean / 160, abs=1e-6)


def test_random_investors_earn_what_is_expected():
    market = find_preset("pigou").market()
    score = evaluate(market, players(market, 3, find_agent("random")), 2_000)
    low, high = score.user_return.ci95
    assert abs(score.user_return.mean - solve(market).random) < (high - low)


@pytest.mark.parametrize(("number", "gain"), [(5, 0.0), (6, 0.0), (3, 0.25), (0, 0.625), (8, 0.25)])
def test_gaps(number, gain):
    """With 3 in B, one more gets 1/2 there instead of 1/4; with none, 7/8; with all, one gets 1/4 instead of 0."""
    market = find_preset("pigou").market()
    assert best_response_gap(market, players(market, number)) == pytest.approx(20 * gain, abs=1e-6)


def test_first_profiles_are_of_users_who_do_anything():
    market = find_preset("pigou").market()
    game = game_of_mechanisms(market)
    profiles = np.array(list(game.profiles()))
    assert game.chances(profiles).sum() == pytest.approx(1.0)
    assert game.chances(profiles) @ profiles == pytest.approx([8 / 3, 8 / 3])
    seen = market.reset(range(2_000))["invested"]
    assert seen.mean(0) == pytest.approx([1 / 3, 1 / 3], abs=0.02)


class Follows(Agent):
    """All take fund A after a step in which B paid less than 1/4, and fund B otherwise."""

    name = "follows"

    def act(self, observation, explore):
        paid = observation.options[..., self.spec.option_features.index("net return in the last step")]
        return torch.where(paid[..., 1] < 0.25, 1, 2)


def test_an_investor_gains_against_investors_that_follow_the_last_return():
    """The others are in B, then in A, and so on: it is worth being where they are not."""
    market = find_preset("pigou").market()
    crowd, alone = 0.25, 1.0 - 1 / 8
    gap = best_response_gap(market, players(market, 0, Follows))
    assert gap == pytest.approx(10 * (alone - crowd) + 10 * (0.25 - 0.0), abs=0.02)


def test_scores_count_from_random_to_the_optimum():
    market = find_preset("pigou").market()
    found = report(market, players(market, 3), 2, 0)
    assert found.reference == ("optimum", 62.5)
    assert found.normalised_score == pytest.approx(1.0, abs=1e-5)


def test_markets_with_anything_else_have_no_answer():
    assert solve(find_preset("pigou").market(**{"crowding.fees": (0.0, 0.1)})) is None
    assert solve(find_preset("town").market(mechanisms=("crowding",))) is None


@pytest.mark.parametrize("mechanism", [
    Crowding(fees=(0.0, 0.1, 0.2)), pytest.param(Crowding(), marks=pytest.mark.slow)])
def test_the_contract(mechanism):
    check_mechanism(mechanism)


def test_every_fund_has_its_numbers():
    with refused("crowding.gross", 2, 3):
        find_preset("pigou").market(num_items=3, slate_size=3).reset([0])


class Charges(Agent):
    """The fund always sets the fee of this number; investors with numbers below it invest."""

    name = "charges"

    def act(self, observation, explore):
        first = torch.arange(self.num_agents) < self.setting.seed
        chosen = first.long() if self.spec.side == "users" else torch.full((self.num_agents,), self.setting.seed)
        return chosen.expand(observation.mask.shape[:2])


def test_a_fund_earns_most_at_half_of_what_it_returns():
    game = game_of_mechanisms(find_preset("funds").market())
    assert (game.best_fee, game.best_revenue, game.flow(0.5)) == (0.5, 0.25, 0.5)
    assert max(game.fees, key=game.revenue) == 0.5
    assert [game.invested(fee) for fee in game.fees] == [18, 16, 14, 12, 10, 8, 6, 4, 2]
    assert [game.kept(fee) for fee in game.fees] == pytest.approx([0.0] * 9, abs=1e-9)
    oracle = solve(find_preset("funds").market())
    assert (oracle.item_return, oracle.user_return) == (pytest.approx(0.09 + 49 * 0.25), pytest.approx(0.0, abs=1e-9))


def test_other_funds_have_other_best_fees():
    market = find_preset("funds").market(**{"crowding.gross": (0.8,), "crowding.crowding": (2.0,)})
    game = game_of_mechanisms(market)
    assert (game.best_fee, game.best_revenue) == (0.4, pytest.approx(0.08))
    assert solve(market).measures["mean fee"] == 0.4


def test_the_market_of_a_fund_pays_what_is_computed():
    """Ten of twenty invest: 1/2 before fees, of which 0.1 is charged in the first step, and 0.5 after it."""
    market = find_preset("funds").market()
    setting = {"users": 10, "items": 5}
    score = evaluate(market, Players({side: Charges(market.specs[side], Setting(seed=seed))
                                      for side, seed in setting.items()}), 2)
    assert score.item_return.mean == pytest.approx(0.05 + 49 * 0.25, rel=1e-5)
    assert score.user_return.mean == pytest.approx(10 * 0.4, rel=1e-5)
    assert score.measures["mean fee at the end"].mean == pytest.approx(0.5)


def test_tabular_agents_see_the_fee():
    market = find_preset("funds").market()
    state = market.reset([0])
    state, _ = market.step(state, torch.zeros(1, 20, dtype=torch.int64), torch.tensor([[7]]))
    assert market.specs["users"].num_states == market.specs["items"].num_states == 9
    assert (market.observe(state, "users").state == 6).all()
    assert market.observe(state, "items").state.item() == 6
