"""Best-response gaps against what is known by hand."""

import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.presets import find_preset
from interplay.experiments.evaluate.deviations import best_response_gap
from interplay.experiments.exact.oracles import solve
from interplay.experiments.loop.players import Players


class Always(Agent):
    """The same action, whatever happens; ``setting.seed`` says which."""

    name = "always"

    def act(self, observation, explore):
        return torch.full(observation.mask.shape[:2], self.setting.seed)


class Follower(Agent):
    """Takes whatever was popular before: what no state of a game says."""

    name = "follower"

    def act(self, observation, explore):
        popular = observation.options[..., self.spec.option_features.index("popularity")]
        return 1 + popular.argmax(-1)


def players(market, users, items, seed=1):
    kinds = {side: find_agent(kind) if isinstance(kind, str) else kind
             for side, kind in (("users", users), ("items", items))}
    return Players({side: kind(market.specs[side], Setting(seed=seed)) for side, kind in kinds.items()})


def test_on_kale_the_gap_is_what_the_optimum_earns_more():
    market = find_preset("kale").market()
    oracle = solve(market)
    gap = best_response_gap(market, players(market, "greedy", "rest"))
    assert gap == pytest.approx(oracle.user_return - oracle.greedy, abs=1e-6)
    assert best_response_gap(market, players(market, "rest", "rest")) == pytest.approx(oracle.user_return)


def test_no_agent_gains_by_leaving_the_equilibrium_of_the_contest():
    market = find_preset("contest").market()
    at_12 = 1 + market.config.built_in.boosts.levels.index(12.0)
    assert best_response_gap(market, players(market, "first", Always, at_12)) == pytest.approx(0.0, abs=1e-9)


def test_each_item_gains_by_boosting_alone():
    """From 16 to the best of 64 x / (x + 3) - (x - 1), in the T - 1 steps in which a boost can be served."""
    market = find_preset("contest").market()
    alone = max(64.0 * x / (x + 3.0) - (x - 1.0) for x in market.config.built_in.boosts.levels)
    assert best_response_gap(market, players(market, "first", "rest")) == pytest.approx(49 * (alone - 16.0))


def test_in_viability_the_selfish_have_no_better_reply_and_the_generous_do():
    market = find_preset("viability").market()
    assert best_response_gap(market, players(market, "greedy", "rest")) == pytest.approx(0.0, abs=1e-6)
    all_take_b = players(market, Always, "rest", 2)
    # User 0 earns 0.1 a step from B, and 0.9 from A until A, which nobody else feeds, is dead: 3.05 + 11 * (0.9 - 1.2)
    # is below 0, so 11 steps.
    assert best_response_gap(market, all_take_b) == pytest.approx(11 * 0.8, abs=1e-4)


def test_an_agent_that_acts_on_more_than_the_state_gets_no_figure():
    market = find_preset("kale").market()
    assert best_response_gap(market, players(market, Follower, "rest")) is None
    assert best_response_gap(market, players(market, "random", "rest")) is None


def test_no_figure_where_users_do_not_take_what_they_are_shown_or_nothing_is_known():
    contest, town = find_preset("contest").market(), find_preset("town").market()
    assert best_response_gap(contest, players(contest, "rest", "rest")) is None
    assert best_response_gap(town, players(town, "first", "rest")) is None
