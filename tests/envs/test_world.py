"""Records of a world know their tables as numpy has them, too: always the same tables."""

import copy
import pickle
from dataclasses import fields

import numpy as np
import pytest
import torch

from interplay.envs.presets import find_preset
from interplay.envs.segment_means import segment_means
from interplay.envs.world import State, UserOutcome


@pytest.fixture
def state() -> State:
    market = find_preset("town").market(num_users=6, num_items=5)
    return market.reset(range(2))


def test_arrays_are_the_tables(state: State) -> None:
    mood, energy = state.arrays("mood", "energy")
    assert (mood.shape, energy.dtype) == ((2, 6), np.float32)
    state["mood"][0, 0] = 0.5
    assert mood[0, 0] == 0.5
    assert state.arrays("mood")[0] is mood


def test_arrays_of_a_population_that_worlds_share_hold_it_once(state: State) -> None:
    population = state.population.map(lambda table: table[:1]).expand(3)
    (appeal,) = population.arrays("appeal")
    assert appeal.shape == (1, 5)
    assert (appeal == population.appeal[:1].numpy()).all()


def test_what_is_changed_is_known_again_and_the_rest_as_it_was(state: State) -> None:
    mood, energy = state.arrays("mood", "energy")
    later = state.with_tables({"mood": state["mood"] + 1.0})
    assert later.arrays("energy")[0] is energy
    assert (later.arrays("mood")[0] == mood + 1.0).all()
    given = np.full_like(energy, 3.0)
    later = later.evolve_arrays(energy=given)
    assert later.arrays("energy")[0] is given
    assert (later["energy"] == 3.0).all()
    assert (state["mood"] == 0.0).all()
    assert state.arrays("energy")[0] is energy


def test_a_record_of_arrays_is_one_of_tensors() -> None:
    response = np.ones((1, 2), np.float32)
    numbers = np.zeros((1, 2), np.int64)
    choice = UserOutcome.of(position=numbers, item=numbers, illegal=np.zeros(1, np.int64), response=response)
    assert torch.equal(choice.response, torch.ones(1, 2))
    assert choice.arrays("response")[0] is response


def test_a_state_of_packed_tables_is_changed_like_any_other() -> None:
    pytest.importorskip("numba")
    market = find_preset("town").market(num_users=6, num_items=5)
    nothing = [torch.zeros(2, count, dtype=torch.int64) for count in (6, 5)]
    state, _ = market.step(market.reset(range(2)), *nothing)
    assert state.is_packed
    plain = copy.deepcopy(state)  # holds tensors alone
    richer, expected = (each.with_tables({"energy": each["energy"] + 1.0}) for each in (state, plain))
    assert not torch.equal(richer["energy"], state["energy"])
    assert (richer.arrays("energy")[0] == richer["energy"].numpy()).all()
    for a, b in zip(market.step(richer, *nothing), market.step(expected, *nothing), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.tensors(), b.tensors(), strict=True))
    with pytest.raises(AttributeError, match="no attribute 'enrgy'"):
        state.enrgy  # noqa: B018


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_copies_hold_tables_alone_and_their_arrays_are_their_own(state: State, copied) -> None:
    state.arrays("mood", "energy")
    state.population.arrays("item_rows")
    other = copied(state)
    assert all(torch.equal(a, b) for a, b in zip(other.tensors(), state.tensors(), strict=True))
    assert set(vars(other.population)) == {f.name for f in fields(other.population)}
    other["mood"][0, 0] = 2.0
    assert other.arrays("mood")[0][0, 0] == 2.0
    assert state.arrays("mood")[0][0, 0] == 0.0


def test_checkpoints_that_hold_tables_of_built_in_mechanisms_as_fields_are_read(state: State) -> None:
    saved = state.with_tables({"mood": state["mood"] + 1.0, "energy": state["energy"] + 2.0}).state_dict()
    early = saved | saved["user_tables"] | saved["item_tables"] | {"user_tables": {}, "item_tables": {}}
    again = state.loaded(early)
    assert (again["mood"] == 1.0).all()
    assert torch.equal(again["energy"], state["energy"] + 2.0)


def test_a_table_is_no_attribute(state: State) -> None:
    with pytest.raises(AttributeError, match=r"a mechanism's table is state\['mood'\]"):
        state.mood  # type: ignore[attr-defined]  # noqa: B018


def test_mean_tastes_of_segments_follow_tastes() -> None:
    """They are kept with the tastes that they are of, also where somebody writes into these."""
    market = find_preset("town").market()
    state = market.reset([0])
    before = segment_means(market.constants, state)
    assert segment_means(market.constants, state.with_slate(state.slate)) is before
    other = state.evolve(user_vector=2.0 * state.user_vector)
    torch.testing.assert_close(segment_means(market.constants, other), 2.0 * before)
    state.user_vector.mul_(3.0)
    torch.testing.assert_close(segment_means(market.constants, state), 3.0 * before)
