"""Users with a memory: what they took and how they responded, and markets in which that is all they know."""

from dataclasses import replace

import gymnasium
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

import interplay.envs.recommend_v0  # noqa: F401  # registers the environment
from interplay.envs import market_v0
from interplay.envs.config import MarketConfig
from interplay.envs.facade import flatten, num_features
from interplay.envs.observing import user_view
from interplay.envs.presets import find_preset
from refusals import refused


def played(market, choices):
    """Choices of the only user in one world, step by step; the states before, between and after."""
    state, items = market.reset([3]), torch.zeros(1, market.config.num_items, dtype=torch.int64)
    states, responses = [state], []
    for choice in choices:
        state, step = market.step(state, torch.tensor([[choice]]), items)
        states.append(state)
        responses.append(step.response.item())
    return states, responses


def test_the_latest_step_enters_at_the_end_and_the_oldest_drops_out():
    market = find_preset("kale").market(history_length=3)
    states, responses = played(market, [1, 0, 4, 2])
    assert states[0].taken.tolist() == [[[0, 0, 0]]]
    assert states[2].taken.tolist() == [[[0, 1, 0]]]  # item 0 is written as 1; a skip is 0
    assert states[4].taken.tolist() == [[[0, 4, 2]]]
    assert states[4].responses.tolist() == [[responses[1:]]]
    assert responses[1] == 0.0


def test_a_history_shows_what_each_item_was():
    market = find_preset("kale").market(history_length=3)
    spec, (states, responses) = market.specs["users"], played(market, [1, 0, 4])
    seen = market.observe(states[-1], "users")
    assert seen.history.shape == (1, 1, 3, len(spec.history_features))
    row = dict(zip(spec.history_features, seen.history[0, 0, 2].tolist(), strict=True))
    assert row == {"taken": 1.0, "response": responses[2], "appeal": 0.0, "mood_effect": 1.0, "topic_0": 0.0,
                   "topic_1": 1.0, "vector_0": 0.0}
    assert seen.history[0, 0, 1].abs().sum() == 0.0  # the skip
    assert seen.history_ids.tolist() == [[[1, 0, 4]]]


def test_without_a_history_nothing_is_kept_or_seen():
    market = find_preset("kale").market()
    seen = market.observe(played(market, [1, 2])[0][-1], "users")
    assert seen.history is None
    assert seen.history_ids is None
    assert market.specs["users"].history_features == ()


def test_a_user_of_the_partial_market_does_not_see_its_state():
    """Two states that differ in mood and satiation alone look alike."""
    market = find_preset("kale-partial").market()
    state = market.reset([0])
    seen = market.observe(state, "users")
    hidden = state.with_tables({"mood": state["mood"] - 2.0, "satiation": state["satiation"] + 1.0})
    same = market.observe(hidden, "users")
    assert all(map(torch.equal, seen.tensors(), same.tensors()))
    assert market.specs["users"].own_features == ("active",)
    assert not [name for name in market.specs["users"].option_features if name.startswith("match")]
    known = find_preset("kale").market()
    assert not torch.equal(known.observe(state, "users").own, known.observe(hidden, "users").own)


def test_the_partial_market_is_the_same_game():
    """Only what is seen differs: the same choices lead to the same responses and states."""
    choices = [1, 2, 2, 4, 3, 0, 2, 4] * 3
    full, partial = (played(find_preset(name).market(), choices) for name in ("kale", "kale-partial"))
    assert full[1] == partial[1]
    assert torch.equal(full[0][-1]["mood"], partial[0][-1]["mood"])
    assert torch.equal(full[0][-1]["satiation"], partial[0][-1]["satiation"])


def test_ids_say_which_item_is_in_a_slot_and_which_segment_an_option_is():
    market = find_preset("town").market()
    state = market.reset([0, 1])
    assert torch.equal(market.observe(state, "users").ids, state.slate.items)
    assert market.observe(state, "items").ids[1, 5].tolist() == [0, 1, 2, 3]
    assert (market.specs["users"].num_ids, market.specs["items"].num_ids) == (32, 4)


def test_facades_hold_the_history_inside_their_bounds():
    market = find_preset("kale-partial").market()
    spec = market.specs["users"]
    flat = flatten(user_view(market.constants, played(market, [1, 2, 3])[0][-1]))
    assert flat.features.shape == (1, 1, num_features(spec))
    assert flat.features[0, 0, -len(spec.history_features)] == 1.0  # "taken" of the latest step
    parallel_api_test(market_v0.parallel_env("kale-partial"), num_cycles=60)
    check_env(gymnasium.make("interplay/Recommend-v0", preset="kale-partial").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("changes", [{"user_sees": "history"}, {"user_sees": "history", "history_length": 5,
                                                                 "user_state": "own"}])
def test_a_user_needs_something_to_see(changes):
    with refused("user_sees='history'", fix="user_state='none'"):
        MarketConfig(**changes)


def test_an_absent_user_remembers_skips():
    market = find_preset("kale").market(history_length=2)
    state = played(market, [1, 2])[0][-1]
    away = replace(state, active=torch.zeros_like(state.active))
    after, step = market.step(away, torch.tensor([[3]]), torch.zeros(1, 4, dtype=torch.int64))
    assert step.position.item() == 0
    assert after.taken[0, 0, -1].item() == 0
