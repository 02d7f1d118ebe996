"""Figures of an evaluation, on situations written out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.experiments.evaluate.evaluation import _score, evaluate
from interplay.experiments.loop.play import EpisodeStats
from interplay.experiments.loop.players import Players
from refusals import refused


@pytest.fixture
def market():
    return find_preset("town").market(num_users=3, num_items=4, slate_size=2, horizon=4)


def players(market, users="rest", items="rest"):
    return Players({side: find_agent(name)(market.specs[side], Setting(seed=1))
                 for side, name in (("users", users), ("items", items))})


def test_sessions_stays_and_returns(market):
    """User 0 never leaves; user 1 is away in the steps 2 and 3 of 4; user 2 leaves for good after the third."""
    state = market.reset([0])
    stats = EpisodeStats.empty(state)
    rest = torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64)
    _, step = market.step(state, *rest)
    for here in ([1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 1, 0]):
        stats = stats.add(market, replace(state, active=torch.tensor([here]) == 1), step)
    score = _score(players(market), stats, replace(state, active=torch.tensor([[True, True, False]])))
    assert score.session_length.mean == pytest.approx((4 + 1 + 3) / 3)
    assert score.users_stay.mean == pytest.approx(1 / 3)
    assert score.users_return.mean == pytest.approx(1 / 2)


def test_coming_back_in_the_last_step_counts(market):
    state = market.reset([0])
    _, step = market.step(state, torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
    away = replace(state, active=torch.tensor([[False, True, True]]))
    score = _score(players(market), EpisodeStats.empty(state).add(market, away, step), state)
    assert (score.users_stay.mean, score.users_return.mean) == (pytest.approx(2 / 3), 1.0)


def test_no_user_leaves_and_none_can_return():
    score = evaluate(find_preset("kale").market(horizon=5), players(find_preset("kale").market()), 8)
    assert score.users_return is None
    assert (score.users_stay.mean, score.session_length.mean) == (1.0, 5.0)


def test_rent_is_dissipated_by_what_boosts_cost():
    """All four at level 12 in 49 of 50 steps: 4 * 11 of 64 each; the prize is 64 in all 50."""
    market = find_preset("contest").market()
    at_12 = 1 + market.config.built_in.boosts.levels.index(12.0)

    class Always(find_agent("first")):
        name = "always"

        def act(self, observation, explore):
            return torch.full_like(super().act(observation, explore), at_12)

    players = Players({"users": find_agent("first")(market.specs["users"], Setting()),
                    "items": Always(market.specs["items"], Setting())})
    score = evaluate(market, players, 4)
    assert score.rent_dissipation.mean == pytest.approx(44 * 49 / (64 * 50), rel=1e-4)
    assert score.mean_boost.mean == pytest.approx(12.0)
    assert score.coverage.mean == 1.0


def test_coverage_is_of_what_was_shown(market):
    state = market.reset([0])
    slate = replace(state.slate, items=torch.tensor([[[0, 1], [1, 0], [0, 1]]]),
                    valid=torch.tensor([[[True, False]] * 3]))
    _, step = market.step(state, torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.int64))
    stats = EpisodeStats.empty(state).add(market, replace(state, slate=slate), step)
    score = _score(players(market), stats, state)
    assert score.coverage.mean == pytest.approx(2 / 4)
    assert score.exposure_gini.mean == pytest.approx((2 * 1 - 5) * 0 + ((2 * 3 - 5) * 1 + (2 * 4 - 5) * 2) / (4 * 3))


@pytest.mark.parametrize("real", [False, True])
def test_sums_by_a_loop_are_those_of_torch(real):
    market = find_preset("town").market(num_users=30, num_items=9)
    state, draws = market.reset(range(3)), torch.Generator().manual_seed(0)
    one = other = EpisodeStats.empty(state)
    for _ in range(12):
        actions = [torch.randint(5, shape, generator=draws) for shape in (state.active.shape, state.alive.shape)]
        after, step = market.step(state, *actions)
        active = torch.rand(state.active.shape, generator=draws) < 0.7
        before = replace(state, active=active)
        if real:  # whose sum depends on the order
            step = replace(step, response=torch.rand(step.response.shape, generator=draws))
        one = one.add(market, before, step)
        with kernels.switched_off():
            other = other.add(market, before, step)
        state = after
    for name, expected in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], expected), name


class TestNotFinite:
    """A comparison with NaN is false, so that such worlds once had returns like any others."""

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @pytest.mark.parametrize("table", ["appeal", "margin"])
    def test_what_is_seen(self, table, bad):
        market = find_preset("town").market(num_users=3, num_items=4, slate_size=2, horizon=4)
        populate = market.behaviour.populate

        def spoilt(key):
            population = populate(key)
            return replace(population, **{table: getattr(population, table) * bad})

        market.behaviour.populate = spoilt
        with refused("held-out worlds", table):
            evaluate(market, players(market), 2)

    def test_returns(self, market):
        state = market.reset([0])
        stats = replace(EpisodeStats.empty(state), user_return=torch.full((1, 3), torch.nan))
        with refused("held-out worlds", "returns", 1, 2):
            _score(players(market), replace(stats, steps=torch.tensor(1)), state)


def test_differences_are_paired_by_world():
    """Two agents that differ by the same in every world differ by just that, whatever worlds are worth."""
    market = find_preset("kale").market(horizon=5)
    score = evaluate(market, players(market, users="random"), 8)
    other = replace(score, of_worlds=tuple(value - 2.0 for value in score.of_worlds))
    assert len(set(score.of_worlds)) > 1
    assert score.less(other).ci95 == pytest.approx((2.0, 2.0))
    assert np.mean(score.of_worlds) == pytest.approx(score.user_return.mean)
    assert "of_worlds" not in score.as_dict()
