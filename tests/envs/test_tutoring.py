"""Students who forget: the contract, and what happens in a step."""

import math

import pytest
import torch

from interplay.envs.mechanisms.clock import Clock
from interplay.envs.mechanisms.tutoring import Tutoring
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.envs.transitions import transitions
from refusals import refused


@pytest.mark.parametrize("mechanism", [
    Tutoring(model="fsrs", delay=0.5, spread=0.3),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (Tutoring(), Clock()))])
def test_mechanisms_keep_the_contract(mechanism) -> None:
    check_mechanism(mechanism)


def study(market, state, item):
    worlds = len(state.time)
    users = torch.full((worlds, 1), 1 + item, dtype=torch.int64)
    return market.step(state, users, torch.zeros(worlds, market.config.num_items, dtype=torch.int64))


def test_what_is_studied_is_recalled_and_fades_slower_from_then_on() -> None:
    market = find_preset("tutor").market()
    state, step = study(market, market.reset([0]), 1)
    recalls = [math.exp(-0.25), 1.0, math.exp(-4.0)]
    assert step.user_own.item() == pytest.approx(sum(recalls) / 3)
    assert market.observe(state, "users").own[0, 0, -7:-4].tolist() == pytest.approx(recalls)
    _, step = study(market, state, 0)
    assert step.user_own.item() == pytest.approx((1.0 + math.exp(-0.2 * 5 / 2) + math.exp(-8.0)) / 3)


def test_students_respond_as_often_as_they_still_know_an_item() -> None:
    for preset, expected in (("tutor", math.exp(-1.0)), ("tutor-fsrs", None)):
        market = find_preset(preset).market()
        first = market.reset(range(20_000))
        _, step = study(market, first, 1)
        mechanism = market.config.mechanisms[0]
        known = mechanism._recalled_then(first)[:, 0, 1].mean().item() if expected is None else expected
        assert step.response.mean().item() == pytest.approx(known, abs=0.015)


def test_in_fsrs_a_recalled_item_grows_stable_and_a_forgotten_one_does_not() -> None:
    market = find_preset("tutor-fsrs").market(tutoring={"delay": 5.0})
    first = market.reset(range(500))
    after, step = study(market, first, 3)
    known = step.response[:, 0] > 0.5
    grown = after["stability"][:, 0, 3] > first["stability"][:, 0, 3]
    assert 50 < known.sum() < 450
    assert torch.equal(grown, known)
    assert torch.equal(after["stability"][:, 0, 4], first["stability"][:, 0, 4])


def test_tabular_users_see_the_step_and_how_long_ago_each_item_was_studied() -> None:
    market = find_preset("tutor").market()
    state, _ = study(market, market.reset([0]), 2)
    assert market.observe(state, "users").state.item() == int("1110", 4)  # step 1; 1, 1 and 0 steps ago
    for _ in range(4):
        state, _ = study(market, state, 1)
    assert market.observe(state, "users").state.item() == 5 * 4**3 + int("303", 4)


def test_learners_see_the_end_and_count_nothing_beyond_it() -> None:
    market = find_preset("tutor").market(horizon=2)
    state, steps = market.reset([0]), []
    for _ in range(2):
        seen = {side: market.observe(state, side) for side in ("users", "items")}
        after, step = study(market, state, 0)
        action = {"users": torch.ones(1, 1, dtype=torch.int64), "items": torch.zeros(1, 3, dtype=torch.int64)}
        steps.append(transitions(market, state, seen, action, step, seen))
        state = after
    assert [step["users"].terminated.item() for step in steps] == [False, True]
    assert not any(step["items"].terminated.any() for step in steps)
    assert market.observe(state, "users").own[0, 0, -1].item() == 0.0
    assert not step.user_terminated.any()


def test_as_many_thetas_as_items() -> None:
    market = find_preset("tutor").market(tutoring={"forgetting": (0.1, 0.2)})
    with refused("tutoring.forgetting", 2, 3):
        market.reset([0])


@pytest.mark.parametrize(("preset", "changes"), [("tutor", {}), ("tutor-fsrs", {}), ("coach", {}), ("coach", {
    "coaching": {"context_noise": 1.0, "disengagement_start": 0.7}})], ids=str)
def test_greedy_users_know_what_they_will_earn_on_average(preset, changes) -> None:
    market, worlds = find_preset(preset).market(**changes), 20_000
    state = market.reset(range(worlds))
    expected = market.observe(state, "users", expected=True).expected[:, 0]
    rest = torch.zeros(worlds, market.config.num_items, dtype=torch.int64)
    for action in (0, 1, 3):
        _, step = market.step(state, torch.full((worlds, 1), action), rest)
        error = step.user_own[:, 0] - expected[:, action]
        assert abs(error.mean()) < 4.0 * error.std() / worlds**0.5 + 1e-4
