"""The behaviour ``fitted``: people drawn from those of a log, and an ordered logit on levels."""

import numpy as np
import torch

from interplay.envs import kernels
from interplay.envs.behaviour.fitted import FittedBehaviour, FittedTables
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market

PEOPLE, ITEMS = 6, 5
LEVELS, CUTS = (0.0, 0.25, 1.0), (-0.5, 0.8)


def tables(levels=LEVELS, cuts=CUTS):
    noise = torch.Generator().manual_seed(0)
    return FittedTables(
        people=torch.tensor([4, 0, 9, 2, 7, 1]), user_vector=torch.randn(PEOPLE, 3, generator=noise),
        segment=torch.arange(PEOPLE), user_features=torch.zeros(PEOPLE, 0),
        item_vector=torch.randn(ITEMS, 3, generator=noise), appeal=torch.randn(ITEMS, generator=noise),
        mood_effect=torch.zeros(ITEMS), topics=torch.ones(ITEMS, 1), popularity=torch.ones(ITEMS),
        item_features=torch.zeros(ITEMS, 0), preference_weight=torch.tensor([1.0, 0.0, 2.0]),
        levels=torch.tensor(levels), cuts=torch.tensor(cuts))


def market(num_users=PEOPLE, **changes):
    made = tables(**changes)
    config = MarketConfig(num_users=num_users, num_items=ITEMS, slate_size=2, embedding_size=3, num_topics=1,
                          num_segments=2, horizon=5)
    return Market(config, FittedBehaviour(made, config)), made


def test_a_world_with_a_place_for_each_person_has_each_once():
    found, made = market()
    people = found.reset(range(3), 1).population
    assert (people.user_vector == made.user_vector).all()
    assert int(people.segment.max()) == 1


def test_users_of_a_smaller_world_come_from_parts_of_the_people_in_their_order():
    found, made = market(num_users=2)
    drawn = found.reset(range(64), 1).population.user_vector
    place = (drawn.unsqueeze(2) == made.user_vector).all(3).float().argmax(2)
    assert set(place[:, 0].tolist()) == {0, 1, 2}
    assert set(place[:, 1].tolist()) == {3, 4, 5}


def test_users_of_a_larger_world_share_people():
    found, _ = market(num_users=10)
    assert found.reset([0], 1).population.user_vector.shape == (1, 10, 3)


def responses(found, draws):
    """Expected and drawn responses to the first slot in many worlds."""
    state = found.reset(range(draws), 2)
    rate = found.observe(state, "users", expected=True).expected[..., 1]
    step = found.step(state, torch.ones(draws, PEOPLE, dtype=torch.int64), torch.zeros(draws, ITEMS, dtype=torch.int64))
    return rate, step[1].response


def test_responses_are_levels_whose_mean_is_what_is_expected():
    found, _ = market()
    rate, drawn = responses(found, 20000)
    assert set(np.unique(drawn)) <= {np.float32(level) for level in LEVELS}
    error = (drawn - rate).mean(0)
    assert float((error.abs() / (drawn - rate).std(0) * 20000**0.5).max()) < 4.0


def test_with_levels_zero_and_one_it_is_the_preference_formula():
    found, made = market(levels=(0.0, 1.0), cuts=(0.0,))
    state = found.reset([0], 2)
    items = state.slate.items
    z = (made.preference_weight * made.user_vector.unsqueeze(1) * made.item_vector[items[0]]).sum(2)
    expected = torch.sigmoid(z + made.appeal[items[0]])
    assert torch.allclose(found.observe(state, "users", expected=True).expected[0, :, 1:], expected, atol=1e-6)


def test_kernels_change_nothing():
    fast = responses(market()[0], 8)
    with kernels.switched_off():
        slow = responses(market()[0], 8)
    assert torch.equal(fast[1], slow[1])
