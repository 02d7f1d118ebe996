"""Exact values to three decimals, and the tensor core against them."""

from dataclasses import replace
from functools import wraps

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.exact.oracles import SingleUserGame, greedy_is_optimal, solve, uniform_items
from interplay.experiments.loop.players import Players


def exactly(value):
    return pytest.approx(value, abs=5e-4)


def test_kale():
    market = find_preset("kale").market()
    oracle = solve(market)
    assert oracle.user_return == exactly(39.221)
    assert oracle.greedy == exactly(11.990)
    assert oracle.random == exactly(13.687)
    game = SingleUserGame.of(market, market.reset([0]).population)
    assert game.value(uniform_items) == exactly(15.393)
    assert game.rate.shape == (5, 225)
    assert market.specs["users"].num_states == 225


def test_kale_null():
    oracle = solve(find_preset("kale-null").market())
    assert oracle.user_return == exactly(31.290)
    assert oracle.greedy == exactly(31.226)
    assert oracle.random == exactly(20.128)


def test_viability():
    oracle = solve(find_preset("viability").market())
    assert oracle.user_return == exactly(352.2)
    assert oracle.greedy == exactly(288.8)


def test_contest():
    market = find_preset("contest").market(horizon=2)
    oracle = solve(market)
    assert oracle.mean_boost == pytest.approx(12.0)
    without_boosts = 64.0 / 4  # in the first step; in the second the boosts of the first are served
    assert oracle.item_return / 4 == pytest.approx(without_boosts + 5.0)


def test_in_equilibrium_no_agent_gains_by_another_level():
    """The core's own payoffs: against three items at 12, no level earns more than 12 does."""
    market = find_preset("contest").market(num_users=64)
    levels, worlds = market.config.built_in.boosts.levels, 4_000
    at_12 = 1 + levels.index(12.0)
    profit = []
    for action in range(1 + len(levels)):
        state = market.reset(range(worlds))
        items = torch.tensor([[action, at_12, at_12, at_12]]).expand(worlds, 4)
        takes = torch.ones((worlds, 64), dtype=torch.int64)
        state, _ = market.step(state, takes, items)
        _, step = market.step(state, takes, items)
        profit.append(step.item_own[:, 0].mean().item())
    assert profit[at_12] == pytest.approx(5.0, abs=0.3)
    assert max(profit) < profit[at_12] + 0.3
    assert profit[0] < 4.5


def test_a_changed_market_is_solved_as_changed():
    assert solve(find_preset("kale").market(horizon=1)).user_return == pytest.approx(0.7310586)  # sigmoid(1)
    assert solve(find_preset("kale").market(horizon=10)).user_return < 10.0


OTHER_QUESTIONS = [
    ("kale", {"mood.leaving": True}), ("kale", {"drift.rate": 0.1}), ("kale", {"mood.decay": 0.9}),
    ("kale", {"budgets": True}), ("kale", {"satiation.gain": 2.5}), ("kale", {"satiation.max": 2.5}),
    ("viability", {"budgets.upkeep": 1.22}), ("viability", {"budgets.max": 600.0}),
    ("contest", {"team": 0.5}), ("contest", {"boosts.levels": (2.0,)}), ("contest", {"boosts.levels": ()}),
    ("contest", {"boosts.cost": 20.0}), ("contest", {"boosts.cost": 0.0}), ("contest", {"num_items": 1}),
    ("contest", {"num_candidates": 2}), ("contest", {"wearout.weight": 0.1}), ("contest", {"mood.leaving": True})]


@pytest.mark.parametrize(("preset", "changes"), OTHER_QUESTIONS, ids=str)
def test_no_answer_is_given_to_another_question(preset, changes):
    assert solve(find_preset(preset).market(**changes)) is None


def kale_like(**changes):
    """One user, two items of one topic."""
    rows = {"user_vector": [[1.0]], "segment": [0], "item_vector": [[0.0]] * 2, "preference_weight": [0.0],
            "appeal": [1.0, 0.0], "topics": [[1.0]] * 2, "mood_effect": [-1.0, 1.0]} | changes
    config = replace(find_preset("kale").config, num_items=2, slate_size=2, num_topics=len(rows["topics"][0]))
    return Market(config, SyntheticBehaviour(GivenPopulation(**rows)))


def test_people_between_the_grid_points_have_no_oracle():
    assert solve(kale_like()) is not None
    assert solve(kale_like(mood_effect=[-0.4, 0.4])) is None
    assert solve(kale_like(topics=[[0.5, 0.5]] * 2)) is None


def test_a_game_too_large_to_tabulate_has_no_oracle():
    assert solve(kale_like(topics=[[1.0] + [0.0] * 9] * 2)) is None


def test_a_contest_pays_what_users_respond():
    """Half the responses, half the prize: the equilibrium moves from 12 to 6."""
    population = GivenPopulation(user_vector=[[1.0]] * 64, segment=[0] * 64, preference_weight=[0.0],
                                 item_vector=[[0.0]] * 4, appeal=[0.0] * 4, topics=[[1.0]] * 4, mood_effect=[0.0] * 4)
    oracle = solve(Market(find_preset("contest").config, SyntheticBehaviour(population)))
    assert oracle.mean_boost == pytest.approx(6.0)
    assert oracle.user_return == pytest.approx(32.0 * 50)
    assert oracle.item_return == pytest.approx(32.0 * 50 - 4 * 5.0 * 49)


class Eager(SyntheticBehaviour):
    def response(self, state, items, shift):
        return torch.ones_like(shift)


class Wrapped(SyntheticBehaviour):
    @wraps(SyntheticBehaviour.response)
    def response(self, state, items, shift):
        return 0.5 * super().response(state, items, shift)


class Moving(SyntheticBehaviour):
    """Its worlds differ from the 100th on."""

    def populate(self, key):
        return super().populate(key)


class Shifted(GivenPopulation):
    def __call__(self, key):
        return super().__call__(key)


class Renamed(SyntheticBehaviour):
    """The same in all but name."""


@pytest.mark.parametrize("preset", ["kale", "viability", "contest"])
def test_only_the_formula_itself_has_an_exact_answer(preset):
    config, base = find_preset(preset).config, find_preset(preset).market().behaviour
    players = Players({side: find_agent("first")(Market(config, base).specs[side], Setting())
                       for side in ("users", "items")})

    def answers(behaviour):
        market = Market(config, behaviour)
        return solve(market) is not None, best_response_gap(market, players) is not None

    population = base._population
    assert answers(base) == answers(Renamed(population)) == (True, True)
    by_function = SyntheticBehaviour(lambda key: population(key))
    for other in (Eager(population), Wrapped(population), Moving(population), by_function):
        assert answers(other) == (False, False)
    base.response = lambda state, items, shift: torch.ones_like(shift)
    assert answers(base) == (False, False)


def test_people_of_a_subclass_are_not_known_to_be_the_same_everywhere():
    rows = {"user_vector": [[1.0]], "segment": [0], "item_vector": [[0.0]], "preference_weight": [0.0],
            "appeal": [1.0], "topics": [[1.0]], "mood_effect": [0.0]}
    assert SyntheticBehaviour(GivenPopulation(**rows)).same_population
    assert not SyntheticBehaviour(Shifted(**rows)).same_population


def test_greedy_is_not_known_to_be_optimal_where_responses_are_not_known():
    bandit = find_preset("kale").market(satiation={"weight": 0.0}, mood={"weight": 0.0})
    assert greedy_is_optimal(bandit)
    assert not greedy_is_optimal(Market(bandit.config, Eager(bandit.behaviour._population)))


def test_town_has_no_oracle():
    assert solve(find_preset("town").market()) is None


def scored(market, users, worlds):
    setting = Setting(seed=3)
    players = Players({"users": find_agent(users)(market.specs["users"], setting),
                 "items": find_agent("rest")(market.specs["items"], setting)})
    return evaluate(market, players, worlds).user_return


@pytest.mark.parametrize("preset", ["kale", "kale-null"])
@pytest.mark.parametrize("users", ["random", "greedy"])
def test_the_core_plays_what_the_oracle_computes(preset, users):
    market = find_preset(preset).market()
    found, exact = scored(market, users, 4_000), getattr(solve(market), users)
    error = (found.ci95[1] - found.ci95[0]) / (2 * 1.96)
    assert abs(found.mean - exact) < 4.0 * error


def test_myopic_users_of_the_core_let_an_item_die():
    assert scored(find_preset("viability").market(), "greedy", 1).mean == pytest.approx(288.8, abs=1e-3)


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, True), ({"satiation.weight": 0.5}, False), ({"mood.weight": 0.1}, False), ({"wearout.weight": 0.1}, False),
    ({"drift.rate": 0.1}, False), ({"drift.noise": 0.1}, True), ({"budgets": True}, False),
    ({"mood.leaving": True}, False)])
def test_greedy_is_optimal_where_choices_have_no_consequences(changes, expected):
    bandit = {"satiation": False, "mood": False, "wearout": False, "drift": False, "budgets": False}
    assert greedy_is_optimal(find_preset("town").market(**(bandit | changes))) == expected
