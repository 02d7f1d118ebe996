"""Creators on a line: equilibria in fractions, and the market against them."""

from fractions import Fraction

import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.mechanisms.line import Line
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.line import LineGame, distance_of_users, share
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.players import Players

PLACES = [(6, 6), (2, 6, 11), (3, 3, 9, 9), (2, 2, 6, 10, 10)]


class AtPlaces(Agent):
    """Item j always stands at the j-th of these places."""

    name = "at-places"
    places: tuple[int, ...] = ()

    def act(self, observation, explore):
        return torch.tensor([1 + place for place in self.places]).expand(observation.mask.shape[:2])


def players(market, places):
    kind = type("AtThese", (AtPlaces,), {"name": "at-these", "places": places})
    return Players({"users": find_agent("rest")(market.specs["users"], Setting()),
                    "items": kind(market.specs["items"], Setting())})


@pytest.mark.parametrize(("count", "expected"), [
    (2, [(Fraction(1, 2),) * 2]), (3, []), (4, [(Fraction(1, 4), Fraction(1, 4), Fraction(3, 4), Fraction(3, 4))]),
    (5, [(Fraction(1, 6), Fraction(1, 6), Fraction(1, 2), Fraction(5, 6), Fraction(5, 6))])])
def test_equilibria(count, expected):
    assert LineGame(count, 13).equilibria() == expected


def test_three_have_no_equilibrium_on_other_grids_either():
    assert LineGame(3, 11).equilibria() == LineGame(3, 25).equilibria() == []


def market_of(count):
    return find_preset("creators").market(num_items=count, slate_size=count)


def test_the_preset_of_four_is_that_of_two_with_four():
    assert find_preset("creators-four").config == market_of(4).config


@pytest.mark.parametrize("places", PLACES)
def test_the_market_pays_what_is_computed(places):
    market = market_of(len(places))
    score = evaluate(market, players(market, places), 2)
    positions = [Fraction(place, 12) for place in places]
    distance = float(distance_of_users(positions))
    assert score.user_return.mean == pytest.approx(20 * (1 - distance), rel=1e-5)
    assert score.item_return.mean == pytest.approx(20.0, rel=1e-5)
    state = market.reset([0]).with_tables({"place": torch.tensor([places])})
    line = market.config.mechanisms[0]
    found = line.shares(line.position(state))[0]
    assert found.tolist() == pytest.approx([float(share(positions, item)) for item in range(len(places))], abs=1e-6)
    oracle = solve(market)
    assert (oracle is None) == (len(places) == 3)
    if oracle is not None:
        assert oracle.measures["distance of users"] == pytest.approx(score.measures["distance of users"].mean, rel=1e-5)
        assert oracle.user_return == pytest.approx(score.user_return.mean, rel=1e-5)


@pytest.mark.parametrize(("places", "gain"), [
    ((6, 6), 0.0), ((0, 12), 11.5 / 12 - 0.5), ((3, 3, 9, 9), 0.0), ((2, 2, 6, 10, 10), 0.0)])
def test_gaps(places, gain):
    market = market_of(len(places))
    assert best_response_gap(market, players(market, places)) == pytest.approx(20 * gain, abs=1e-9)


def test_the_gap_where_a_creator_rests_is_a_mean_over_where_it_began():
    market = market_of(2)
    state = market.reset(range(16))
    first = state["place"][:, 0].tolist()  # rests, the other is in the middle
    gap = best_response_gap(market, players(market, (-1, 6)))

    def gains(place):  # of both: to stand beside the other on its longer side, or with it
        own, middle = Fraction(place, 12), Fraction(1, 2)
        beside = max(place, 12 - place) - Fraction(1, 2)
        other = max(Fraction(1, 2), beside / 12) - share((own, middle), 1)
        return Fraction(1, 2) - share((own, middle), 0), other

    assert gap == pytest.approx(20 * float(max(sum(each) / 16 for each in zip(*map(gains, first), strict=True))))
    assert gap > 1.0


def test_measures_of_two_creators_that_stand_apart():
    market = find_preset("creators").market()
    state = market.reset([0]).with_tables({"place": torch.tensor([[0, 6]])})
    measures = {name: float(value) for name, value in market.config.mechanisms[0].measures(state).items()}
    assert measures["distance between creators"] == 0.5
    assert measures["exposure inequality"] == pytest.approx(0.25)  # shares 1/4 and 3/4
    assert measures["distance of users"] == pytest.approx(2 * 0.25**2 / 2 + 0.5**2 / 2)


def test_the_contract():
    check_mechanism(Line)
