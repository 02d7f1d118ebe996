"""The game's equations, one by one, against hand-computed values; and the two reductions."""

import io
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from interplay.envs import kernels, slates
from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour, preference
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.presets import Training, find_preset
from interplay.envs.presets.base import Preset
from interplay.envs.slate_draws import plackett_luce
from refusals import refused


def pair(**changes):
    """Two users in two segments, two items always shown, mean responses of one half."""
    c = MarketConfig(num_users=2, num_items=2, slate_size=2, embedding_size=2, num_topics=2, num_segments=2, horizon=9,
                     slate_order="fixed", response_mode="mean", mechanisms=(Boosts((2.0, 5.0), cost=0.25),))
    population = GivenPopulation(
        user_vector=[[1.0, 0.0], [0.0, 1.0]], segment=[0, 1], item_vector=[[1.0, 0.0], [0.6, 0.8]], appeal=[0.0, 0.0],
        topics=[[1.0, 0.0], [0.25, 0.75]], mood_effect=[-1.0, 0.5], preference_weight=[0.0, 0.0])
    return Market(c.changed("pair", changes), SyntheticBehaviour(population))


def act(market, state, users, items=(0, 0)):
    return market.step(state, torch.tensor([users]), torch.tensor([items]))


def play(market, *moves):
    state = market.reset([0])
    for users, items in moves:
        state, step = act(market, state, users, items)
    return state, step


def close(tensor, expected):
    assert torch.allclose(tensor, torch.tensor(expected), atol=1e-6), tensor


def test_satiation_rises_with_topics_falls_with_time_and_is_clipped():
    market = pair(satiation={"gain": 3.0, "recovery": 0.5, "decay": 0.9, "max": 2.0})
    state, _ = play(market, ((2, 0), (0, 0)), ((2, 1), (0, 0)))
    # user 0 takes item 2 twice: .5 * 3 * (.25, .75) - .5 = (0, .625); then .9 * that + 1.5 * (.25, .75) - .5.
    close(state["satiation"][0], [[0.0, 1.1875], [1.0, 0.0]])
    state, _ = play(market, *[((1, 0), (0, 0))] * 6)
    assert state["satiation"][0, 0, 0] == 2.0


def test_mood_follows_its_effects_and_is_clipped():
    state, _ = play(pair(mood={"decay": 0.8, "max": 0.7}), ((1, 2), (0, 0)), ((1, 0), (0, 0)))
    close(state["mood"][0], [-0.7, 0.2])


def test_taste_drifts_towards_what_pleased():
    state, _ = play(pair(drift={"rate": 0.5}), ((2, 0), (0, 0)))
    towards = torch.tensor([0.75 + 0.25 * 0.6, 0.25 * 0.8])
    close(state.user_vector[0, 0], (towards / towards.norm()).tolist())
    close(state.user_vector[0, 1], [0.0, 1.0])


def test_state_shifts_the_response_on_the_logit_scale():
    market = pair(satiation={"weight": 0.6, "gain": 2.0}, mood={"weight": 0.4}, wearout={"weight": 0.3, "decay": 0.5})
    state, _ = play(market, ((1, 0), (0, 0)))
    _, step = act(market, state, (1, 2))
    logit = -0.6 * 1.0 + 0.4 * -0.5 - 0.3 * 0.5  # satiation 1 with topic 0, mood -.5, one user's half response
    close(step.response[0], [1.0 / (1.0 + math.exp(-logit)), 0.5])


def test_wearout_is_by_segment_and_decays():
    state, _ = play(pair(wearout={"decay": 0.5}), ((1, 1), (0, 0)), ((1, 2), (0, 0)))
    close(state["wearout"][0], [[0.5 * 0.5 + 0.5, 0.5 * 0.5], [0.0, 0.5]])


def test_position_bias_weakens_later_slots():
    _, step = play(pair(position_bias=1.0), ((1, 2), (0, 0)))
    close(step.response[0], [0.5, 0.25])


def test_a_boost_is_paid_for_when_it_is_served():
    market = pair()
    state, first = play(market, ((1, 1), (0, 4)))  # item 2 courts segment 1 at the second level, factor 5
    close(first.item_own[0], [1.0, 0.0])
    assert market.boosts(state)[0].tolist() == [1.0, 5.0]
    _, second = act(market, state, (0, 0))
    close(second.item_own[0], [0.0, -0.25 * 4.0])
    close(second.cost[0], [0.0, 1.0])


def test_budgets_pay_upkeep_and_cost_and_the_dead_stay_dead():
    market = pair(budgets={"start": 1.0, "max": 1.5, "upkeep": 0.75})
    state, step = play(market, ((1, 1), (0, 1)))
    close(state["energy"][0], [1.25, 0.25])
    assert not step.item_terminated.any()
    state, step = act(market, state, (1, 1))
    close(state["energy"][0], [1.5, 0.0])
    assert step.item_terminated[0].tolist() == [False, True]
    assert state.alive[0].tolist() == [True, False]
    assert state.slate.valid[0, 0].tolist() == [True, False]
    assert market.observe(state, "items").mask[0, 1].tolist() == [True, False, False, False, False]
    state, step = act(market, state, (2, 2), (0, 1))  # nobody can take it, and it cannot boost
    assert step.illegal_users.tolist() == [2]
    assert step.illegal_items.tolist() == [1]
    assert state["energy"][0, 1] == 0.0


def test_an_item_cannot_boost_beyond_its_budget():
    market = pair(budgets={"start": 0.5, "max": 1.0})
    mask = market.observe(market.reset([0]), "items").mask[0, 0]
    assert mask.tolist() == [True, True, False, True, False]  # factor 2 costs .25, factor 5 costs 1


@pytest.mark.parametrize(("energy", "upkeep", "allowed"), [
    (0.5, 0.4, [False, False]),  # a factor of 2 costs .25, but two steps' upkeep is more than the budget
    (0.45, 0.1, [True, False]), (0.44, 0.1, [False, False]), (1.2, 0.1, [True, True]), (1.19, 0.1, [True, False])])
def test_a_boost_must_be_affordable_when_it_is_charged(energy, upkeep, allowed):
    market = pair(budgets={"start": energy, "max": 2.0, "upkeep": upkeep})
    assert market.observe(market.reset([0]), "items").mask[0, 0].tolist() == [True, *allowed, *allowed]


def test_a_boost_that_is_being_served_is_paid_before_the_next():
    market = pair(budgets={"start": 1.0, "max": 2.0, "upkeep": 0.1})
    state, _ = play(market, ((0, 0), (1, 0)))
    # .9 is left, of which the boost being served takes .25 and two steps' upkeep .2.
    assert market.observe(state, "items").mask[0].tolist() == [[True, True, False, True, False]] * 2
    state, step = act(market, state, (0, 0), (1, 1))
    close(step.cost[0], [0.25, 0.0])
    # .55 is left, .25 and .2 are due: too little for another .25. The other item has .8, .25 and .2 are due.
    assert market.observe(state, "items").mask[0, :, 1].tolist() == [False, True]
    _, step = act(market, state, (0, 0), (1, 1))
    assert step.illegal_items.tolist() == [1]


def test_free_boosts_are_always_allowed():
    market = pair(budgets={"start": 0.5, "max": 2.0, "upkeep": 0.4}, boosts={"cost": 0.0})
    assert market.observe(market.reset([0]), "items").mask.all()


@pytest.mark.parametrize("with_kernels", [True, False])
def test_no_item_is_charged_more_than_it_has(with_kernels, monkeypatch):
    """Nobody takes anything, so that upkeep and boosts are all that moves the budgets."""
    if with_kernels:
        pytest.importorskip("numba")
    monkeypatch.setattr(kernels, "available", lambda: with_kernels)
    market = find_preset("town").market(budgets={"start": 6.0})
    state, skips, charged = market.reset(range(4)), torch.zeros(4, 64, dtype=torch.int64), 0
    for number in range(20):
        mask = market.observe(state, "items").mask
        draws = torch.rand(mask.shape, generator=torch.Generator().manual_seed(number))
        before, (state, step) = state, market.step(state, skips, draws.masked_fill(~mask, -1.0).argmax(2))
        boosting = step.cost > 0.0
        assert not (boosting & (before["energy"] - market.config.built_in.budgets.upkeep - step.cost < -2e-4)).any()
        assert not step.illegal_items.any()
        charged += boosting.sum().item()
    assert charged > 100


def test_users_leave_at_the_bottom_and_come_back_neutral():
    market = pair(mood={"leaving": True, "max": 0.5, "return_rate": 1.0})
    state, step = play(market, ((1, 2), (0, 0)))
    assert state.active[0].tolist() == [False, True]
    assert not step.user_terminated.any()  # may return
    assert market.observe(state, "users").mask[0, 0].tolist() == [True, False, False]
    state, step = act(market, state, (1, 1))
    assert step.response[0, 0] == 0.0
    assert state.active[0, 0]
    assert state["mood"][0, 0] == 0.0


def test_users_who_cannot_return_are_gone_for_good():
    market = pair(mood={"leaving": True, "max": 0.5})
    state, step = play(market, ((1, 2), (0, 0)))
    assert step.user_terminated[0].tolist() == [True, False]
    for _ in range(5):
        state, step = act(market, state, (1, 2))
        assert not state.active[0, 0]


def test_team_blends_with_mean_welfare():
    _, step = play(pair(team=0.25), ((1, 0), (0, 0)))
    welfare = (0.5 + 0.5) / 4
    close(step.user_reward[0], [0.75 * 0.5 + 0.25 * welfare, 0.25 * welfare])
    close(step.item_reward[0], [0.75 * 0.5 + 0.25 * welfare, 0.25 * welfare])
    close(step.user_own[0], [0.5, 0.0])


def test_team_pays_nothing_to_agents_that_have_left():
    """Welfare stays the mean over all four agents, so that it falls when some leave."""
    market = pair(team=0.5, mood={"leaving": True, "max": 0.5},
                  budgets={"start": 1.0, "max": 1.0, "upkeep": 0.6})
    state, step = play(market, ((1, 1), (0, 0)))  # both users are at the bottom, item 1 has .4 + 1 - .6, item 2 has .4
    assert step.user_terminated.all()
    close(step.user_reward[0], [0.5 * 0.5 + 0.5 * 0.5] * 2)  # paid for the step in which they leave
    state, step = act(market, state, (1, 1))
    assert state.alive[0].tolist() == [True, False]
    close(step.user_reward[0], [0.0, 0.0])
    state = replace(state, active=torch.tensor([[True, False]]))
    state, step = act(market, state, (1, 1))
    welfare = (0.5 + 0.5) / 4
    close(step.user_reward[0], [0.25 + 0.5 * welfare, 0.0])
    close(step.item_reward[0], [0.25 + 0.5 * welfare, 0.0])  # the second item is dead
    close(step.user_own[0], [0.5, 0.0])


@pytest.mark.parametrize("action", [-1, 3, 10**9])
def test_actions_that_do_not_exist_count_as_illegal_skips(action):
    _, step = play(pair(), ((action, 1), (0, 0)))
    assert step.illegal_users.tolist() == [1]
    assert step.position[0].tolist() == [0, 1]


def test_the_horizon_truncates_all_agents_at_once():
    market = pair(horizon=2)
    state, first = play(market, ((0, 0), (0, 0)))
    assert not first.truncated.any()
    assert act(market, state, (0, 0))[1].truncated.all()


@pytest.mark.parametrize(("users", "items", "named"), [((1, 3), (1, 2), ["user_action", (1, 3)]),
                                                       ((1, 2), (2, 2), ["item_action", (2, 2)])])
def test_actions_of_another_shape_are_refused(users, items, named):
    market = pair()
    with refused(*named, fix="(1, 2)"):
        market.step(market.reset([0]), torch.zeros(users, dtype=torch.int64), torch.zeros(items, dtype=torch.int64))


def random_actions(market, state, seed):
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for side in ("users", "items"):
        shape = (state.key.shape[0], market.specs[side].num_agents)
        one = torch.randint(market.specs[side].num_actions, shape[1:], generator=generator)
        chosen.append(one.expand(shape))  # the same in every world, so that worlds can be compared
    return chosen


def assert_equal(one, other, world):
    for number, (value, by_itself) in enumerate(zip(one.tensors(), other.tensors(), strict=True)):
        assert torch.equal(value[world], by_itself[0]), number


def test_a_world_of_a_batch_replays_alone():
    market = find_preset("town").market(num_users=20, num_items=12)
    together, alone = market.reset([3, 8, 11], seed=5), market.reset([8], seed=5)
    for step in range(40):
        together, happened = market.step(together, *random_actions(market, together, step))
        alone, by_itself = market.step(alone, *random_actions(market, alone, step))
        assert torch.equal(happened.chosen[1], by_itself.chosen[0])
        assert torch.equal(happened.response[1], by_itself.response[0])
    assert_equal(together, alone, 1)


def test_a_saved_state_resumes_exactly():
    market = find_preset("town").market(num_users=20, num_items=12)
    state = market.reset([0, 1])
    for step in range(10):
        state, _ = market.step(state, *random_actions(market, state, step))
    file = io.BytesIO()
    torch.save(state.state_dict(), file)
    file.seek(0)
    resumed = market.reset([5, 6], seed=9).loaded(torch.load(file, weights_only=True))
    for step in range(10, 20):
        state, one = market.step(state, *random_actions(market, state, step))
        resumed, other = market.step(resumed, *random_actions(market, resumed, step))
        assert torch.equal(one.response, other.response)
        assert torch.equal(state.slate.log_propensity, resumed.slate.log_propensity)


def test_at_rest_and_without_state_it_is_a_contextual_bandit():
    population = GivenPopulation(
        user_vector=[[0.6, 0.8]], segment=[0], item_vector=[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]],
        appeal=[0.3, -0.2, 0.0], topics=[[1.0]] * 3, mood_effect=[0.0] * 3, preference_weight=[2.0, 1.0])
    config = MarketConfig(num_users=1, num_items=3, slate_size=3, embedding_size=2, num_topics=1, num_segments=1,
                          horizon=5, slate_order="fixed", mechanisms=(Satiation(gain=1.0),))
    market, worlds = Market(config, SyntheticBehaviour(population)), 20_000
    state = market.reset(range(worlds))
    for arm, logit in enumerate((2.0 * 0.6 + 0.3, 0.8 - 0.2, -2.0 * 0.6 + 0.5 * 0.8)):
        state, step = market.step(state, torch.full((worlds, 1), arm + 1), torch.zeros((worlds, 3), dtype=torch.int64))
        mean = 1.0 / (1.0 + math.exp(-logit))
        assert abs(step.response.mean().item() - mean) < 4.0 * math.sqrt(mean * (1 - mean) / worlds)


def test_one_slot_is_a_tullock_contest():
    market = find_preset("contest").market(num_users=2_000)
    state = market.reset(range(20))
    state, _ = market.step(state, torch.zeros((20, 2_000), dtype=torch.int64), torch.tensor([[0, 1, 2, 4]] * 20))
    takes, rests = torch.ones((20, 2_000), dtype=torch.int64), torch.zeros((20, 4), dtype=torch.int64)
    _, step = market.step(state, takes, rests)
    effort = torch.tensor([1.0, 3.0, 6.0, 12.0], dtype=torch.float64)
    wins = torch.bincount(step.chosen.flatten(), minlength=4).double()
    assert stats.chisquare(wins.numpy(), (effort / effort.sum()).numpy() * 40_000).pvalue > 1e-3
    assert step.response.sum() == 40_000


def test_slates_follow_plackett_luce_and_know_their_propensity():
    score = torch.tensor([0.5, -1.0, 1.5, 0.0])
    def probability(order):
        left, product = set(range(4)), 1.0
        for item in order:
            product *= math.exp(score[item]) / sum(math.exp(score[i]) for i in left)
            left.remove(item)
        return product

    draws = 100_000
    noise = -torch.rand(draws, 4, generator=torch.Generator().manual_seed(0)).log().neg().log()
    index, valid, log_propensity = plackett_luce(score.expand(draws, 4), noise, 2)
    assert valid.all()
    orders = list(itertools.permutations(range(4), 2))
    expected = torch.tensor([probability(order) for order in orders])
    assert expected.sum().item() == pytest.approx(1.0, abs=1e-6)
    code = index[:, 0] * 4 + index[:, 1]
    counts = torch.tensor([(code == a * 4 + b).sum().item() for a, b in orders]).double()
    law = expected.double() / expected.double().sum()
    assert stats.chisquare(counts.numpy(), law.numpy() * draws).pvalue > 1e-3
    by_code = dict(zip((a * 4 + b for a, b in orders), expected.tolist(), strict=True))
    for row in range(100):
        assert math.exp(log_propensity[row]) == pytest.approx(by_code[int(code[row])], rel=1e-4)


def test_what_must_not_be_shown_leaves_slots_empty():
    score = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    index, valid, log_propensity = plackett_luce(score, torch.zeros(1, 3), 2)
    assert valid.tolist() == [[True, False]]
    assert index[0, 0] == 0
    assert log_propensity.tolist() == [0.0]


def test_retrieval_offers_only_the_segments_best_and_dense_is_its_limit():
    town = find_preset("town")
    dense, all_retrieved = town.market(), town.market(num_candidates=32)
    assert torch.equal(dense.reset([1]).slate.items, all_retrieved.reset([1]).slate.items)
    market = town.market(num_candidates=6)
    state = market.reset([1])
    mean = torch.stack([state.user_vector[0][state.population.segment[0] == c].mean(0) for c in range(4)])
    best = (mean @ state.population.item_vector[0].T).topk(6).indices
    for user in range(64):
        allowed = set(best[state.population.segment[0, user]].tolist())
        assert set(state.slate.items[0, user].tolist()) <= allowed


@pytest.mark.parametrize("candidates", [0, 8])
def test_slates_do_not_depend_on_how_users_are_chunked(candidates, monkeypatch):
    market = find_preset("town").market(num_candidates=candidates)
    whole = market.reset([0, 1]).slate
    monkeypatch.setattr(slates, "_CHUNK", 500)
    pieces = market.reset([0, 1]).slate
    assert torch.equal(whole.items, pieces.items)
    assert torch.allclose(whole.log_propensity, pieces.log_propensity, atol=1e-5)


WRONG = {"slate_size": 40, "num_users": 0, "horizon": 2.5, "satiation.gain": -1.0, "drift.rate": 1.5, "mood.max": 0.0,
         "boosts.levels": (0.5,), "budgets.start": 9.0, "num_candidates": 2, "response_mode": "median",
         "budgets.upkeep": -0.1, "temperature": math.nan, "slate_order": "fixed"}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_are_named(name):
    with refused(name, WRONG[name]):
        MarketConfig().changed("market", {name: WRONG[name]})


def test_the_articles_worked_example_with_the_right_values():
    """Section 4.3 of the article prints [0.5, 0.6] and 0.698; its own numbers give these."""
    u, i = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    weight = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]])
    logit = preference(weight, u, i, torch.tensor([0.1, 0.2]))
    close(logit, [0.495, 0.375])
    assert torch.sigmoid(logit[0]).item() == pytest.approx(0.621, abs=5e-4)


def test_one_table_of_items_holds_what_differs_between_worlds():
    """Shared vectors do not make other tables shared: here appeal alone differs."""
    population = find_preset("kale").market().reset(range(2)).population
    assert len(population.item_rows) == 2
    other = replace(population, appeal=torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]))
    assert other.item_rows[..., 1].tolist() == other.appeal.tolist()
    assert torch.equal(other.item_rows[..., 0], population.margin)


def test_people_who_are_written_out_may_live_on_several_devices():
    """Their tables moved to the last one, from which there was no way back if it was the meta device."""
    kale = find_preset("kale").market()
    before = kale.reset([0, 1])
    Market(kale.config, kale.behaviour, "meta").reset([0, 1])
    assert torch.equal(kale.reset([0, 1]).population.appeal, before.population.appeal)


def test_people_who_are_written_out_make_a_preset():
    people = GivenPopulation(appeal=[1, 0, 2], user_vector=[[1, 0], [0, 1]], segment=[1, 0], topics=[[0, 1]] * 3)
    preset = Preset.given("two", people, Training(), "two users", slate_size=2, horizon=4)
    config, market = preset.config, preset.market()
    assert (config.num_users, config.num_items, config.embedding_size, config.num_topics, config.num_segments) == (
        2, 3, 2, 2, 2)
    found = market.reset([0, 1]).population
    assert found.appeal.tolist() == [[1.0, 0.0, 2.0]] * 2
    assert not any(table.any() for table in (found.item_vector, found.mood_effect, found.preference_weight))
    with_vectors = GivenPopulation(appeal=[0.0], item_vector=[[2.0]])
    assert with_vectors(torch.zeros(1, 2, dtype=torch.int32)).preference_weight.tolist() == [[1.0]]
    assert GivenPopulation(appeal=np.zeros(3), topics=np.eye(3), segment=np.array([2])).sizes["num_segments"] == 3


@pytest.mark.parametrize(("name", "rows"), [
    ("appeal", []), ("appeal", ["a"]), ("appeal", 3.0), ("user_vector", []), ("topics", [[1.0], [1.0, 0.0]]),
    ("segment", []), ("mood_effect", [[1.0]])])
def test_people_who_cannot_be_are_refused(name, rows):
    with refused(name, fix="give"):
        GivenPopulation(**{"appeal": [1.0, 0.0], name: rows})


def test_both_sides_see_at_once():
    market = pair()
    state = market.reset([0])
    for seen, side in zip(market.observe(state), ("users", "items"), strict=True):
        assert torch.equal(seen.options, market.observe(state, side).options)


def test_mechanisms_are_imported_from_one_place():
    from interplay.envs import mechanisms

    assert mechanisms.Boosts is Boosts
    assert mechanisms.Satiation is Satiation
    with pytest.raises(AttributeError, match="Nothing"):
        _ = mechanisms.Nothing
