"""Popularity and opinions: exact answers, and the market against them."""

import numpy as np
import pytest
import torch
from scipy import stats

from interplay.agents import Setting, find_agent
from interplay.envs.mechanisms.opinions import Opinions
from interplay.envs.mechanisms.popularity import Popularity
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.opinions import resting_opinions
from interplay.experiments.exact.oracles import game_of_mechanisms, solve
from interplay.experiments.loop.players import Players
from refusals import refused


def played(market, steps, user, worlds):
    state = market.reset(range(worlds), seed=5)
    actions = [torch.full((worlds, market.specs[side].num_agents), action) for side, action in
               (("users", user), ("items", 0))]
    for _ in range(steps):
        state, _ = market.step(state, *actions)
    return state


def test_the_limiting_share_of_a_herd_is_beta():
    """Of 1,000 worlds, against the limit (Kolmogorov and Smirnov) and against the exact law of 300 draws."""
    market = find_preset("herd").market()
    urn = game_of_mechanisms(market)
    state = played(market, 300, 1, 1_000)
    share = market.config.mechanisms[0].measures(state)["share of item 0"].numpy()
    assert (urn.limit().mean(), urn.limit().args) == (pytest.approx(1 / 3), (1.0, 2.0))
    assert stats.kstest(share, urn.limit().cdf).pvalue > 0.01
    assert stats.kstest(share, stats.beta(2.0, 2.0).cdf).pvalue < 1e-6
    taken = state.popularity[:, 0].numpy()
    middle = urn.taken().cdf([20, 50, 100, 150, 200]) - [(taken <= k).mean() for k in (20, 50, 100, 150, 200)]
    assert np.abs(middle).max() < 0.05


def test_a_herd_in_full():
    market = find_preset("herd").market()
    setting = Setting()
    players = Players({"users": find_agent("first")(market.specs["users"], setting),
                       "items": find_agent("rest")(market.specs["items"], setting)})
    score, oracle = evaluate(market, players, 200), solve(market)
    assert score.user_return.mean == oracle.user_return == 300.0
    low, high = score.measures["share of item 0 at the end"].ci95
    assert low < oracle.measures["share of item 0"] < high


def test_without_strength_popularity_does_not_matter():
    market = find_preset("herd").market(**{"popularity.strength": 0.0})
    share = played(market, 100, 1, 200).popularity[:, 0] / 100
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert share.std().item() < 0.08
    assert solve(market) is None


def test_two_users_are_no_urn():
    assert game_of_mechanisms(find_preset("herd").market(num_users=2)) is None


def test_opinions_come_to_rest_at_the_fixed_point():
    market = find_preset("opinions").market()
    state = played(market, 200, 0, 3)
    for world in range(3):
        innate, susceptible, friends = (state[name][world].numpy() for name in ("innate", "susceptible", "friends"))
        rest = resting_opinions(innate.astype(float), susceptible.astype(float), friends)
        assert np.abs(state["opinion"][world].numpy() - rest).max() < 1e-5
        assert np.abs(rest - innate).max() > 0.1


def test_two_friends_meet_on_the_way():
    """x = (x0 + a y) / (1 + a) of each, where x0 = 0 and 1 and a = 1/2: one third and two thirds."""
    rest = resting_opinions(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([[1], [0]]))
    assert rest == pytest.approx([1 / 3, 2 / 3])


def test_what_users_take_pulls_their_opinions():
    market = find_preset("opinions").market(num_items=1, slate_size=1, **{"opinions.exposure": 1.0})
    state = played(market, 1, 1, 2)
    expected = state["innate"] + state["susceptible"] * (-1.0 - state["innate"])  # the only stance is -1
    assert torch.allclose(state["opinion"], expected)


def test_friends_out_of_confidence_do_not_count():
    near = played(find_preset("opinions").market(**{"opinions.confidence": 1e-6}), 20, 0, 2)
    assert torch.allclose(near["opinion"], near["innate"], atol=1e-6)


def test_polarisation_is_the_variance_of_opinions_and_homogenisation_the_part_of_it_that_is_lost():
    market = find_preset("opinions").market(num_users=2)
    state = market.reset([0]).with_tables({"opinion": torch.tensor([[-1.0, 0.5]]),
                                           "innate": torch.tensor([[-0.5, 1.0]])})
    found = market.config.mechanisms[0].measures(state)
    assert (found["polarisation"].item(), found["mean opinion"].item()) == (0.5625, -0.25)
    assert found["homogenisation"].item() == 0.0  # others, but as diverse
    found = market.config.mechanisms[0].measures(state.with_tables({"opinion": torch.tensor([[0.0, 0.75]])}))
    assert found["homogenisation"].item() == 0.75


def test_susceptibilities_are_in_order():
    with refused("least_susceptible", 0.8, "most_susceptible", 0.2):
        Opinions(least_susceptible=0.8, most_susceptible=0.2)


@pytest.mark.parametrize(("mechanism", "off"), [
    (Popularity(), Popularity(strength=0.0)), (Opinions(), Opinions(closeness=0.0)),
    pytest.param(Opinions(confidence=0.5), None, marks=pytest.mark.slow)], ids=["popularity", "opinions", "confidence"])
def test_the_contract(mechanism, off):
    check_mechanism(mechanism, off=off)
