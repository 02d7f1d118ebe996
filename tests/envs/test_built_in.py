"""The built-in mechanisms as mechanisms: the contract, what subclasses do, and how they are named and set."""

from dataclasses import dataclass, fields, replace

import pytest
import torch

from interplay.envs import kernels
from interplay.envs.config import MarketConfig
from interplay.envs.mechanisms import mechanisms
from interplay.envs.mechanisms.boosts import Boosts
from interplay.envs.mechanisms.budgets import Budgets
from interplay.envs.mechanisms.built_in import KINDS, find
from interplay.envs.mechanisms.drift import Drift
from interplay.envs.mechanisms.mood import Mood
from interplay.envs.mechanisms.satiation import Satiation
from interplay.envs.mechanisms.wearout import Wearout
from interplay.envs.presets import find_preset
from interplay.envs.testing import check_mechanism
from interplay.envs.testing.traces import any_actions
from refusals import refused

TOWN = find_preset("town").config
SMALL = {"num_users": 12, "num_items": 9, "response_mode": "mean", "horizon": 40, "budgets": {"start": 2.0},
         "mood": {"max": 0.7, "return_rate": 0.3}}
IDLE = [Satiation(), Mood(), Drift(), Wearout(), Boosts(levels=())]
OLD = {"satiation_gain": "satiation.gain", "mood_weight": "mood.weight", "leaving": "mood.leaving",
       "return_rate": "mood.return_rate", "drift_noise": "drift.noise", "wearout_decay": "wearout.decay",
       "upkeep": "budgets.upkeep", "energy_start": "budgets.start", "energy_max": "budgets.max",
       "boost_levels": "boosts.levels", "boost_cost": "boosts.cost"}


def own(kind):
    """A subclass, which is not what kernels know."""
    return dataclass(frozen=True)(type(f"My{kind.__name__}", (kind,), {"__doc__": "One's own."}))


def as_own(mechanism):
    return own(type(mechanism))(**{f.name: getattr(mechanism, f.name) for f in fields(mechanism)})


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_found_and_keeps_the_contract(kind):
    assert mechanisms()[kind.name] is kind
    check_mechanism(find(TOWN.mechanisms, kind))


@pytest.mark.parametrize("idle", [IDLE[0], *(pytest.param(each, marks=pytest.mark.slow) for each in IDLE[1:])])
def test_idle_ones_are_as_if_they_were_not_there(idle):
    assert idle.is_idle
    check_mechanism(idle, off=idle)


@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_subclasses_keep_the_contract_too(kind):
    check_mechanism(as_own(find(TOWN.mechanisms, kind)))


@pytest.mark.parametrize("with_kernels", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_torch_code_of_a_subclass_makes_the_same_world(kind, with_kernels):
    """But for rounding: what it adds to a logit is added last."""
    market = find_preset("town").market(**SMALL)
    other = find_preset("town").market_of(replace(market.config, mechanisms=tuple(
        as_own(m) if type(m) is kind else m for m in market.config.mechanisms)))
    assert [m.name for m in other.config.further] == [f"my_{kind.name}"]
    state = same = market.reset(range(4))
    for number in range(25):
        actions = any_actions(market, state, number)
        state, step = market.step(state, *actions)
        if with_kernels:
            same, twin = other.step(same, *actions)
        else:
            with kernels.switched_off():
                same, twin = other.step(same, *actions)
        for one, two in zip((*state.tensors(), *step.tensors()), (*same.tensors(), *twin.tensors()), strict=True):
            torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-4, equal_nan=True)
        for side in ("users", "items"):
            torch.testing.assert_close(other.observe(same, side).mask, market.observe(state, side).mask)
    assert not state.active.all() or not state.alive.all()


def test_a_subclass_may_begin_its_table_in_another_way():
    @dataclass(frozen=True)
    class Cheerful(Mood):
        """Users begin in a good mood."""

        def user_tables(self, start):
            return {"mood": start.full_users(0.5)}

    market = find_preset("town").market(**SMALL, mechanisms=[Cheerful(max=1.0)])
    state = market.reset([0])
    assert (list(state.user_tables.tables), state["mood"].unique().tolist()) == (["mood", "satiation"], [0.5])


@pytest.mark.parametrize("name", OLD)
def test_names_from_before_are_one_line_that_says_the_new_one(name):
    with refused(name, OLD[name].split(".")[0], fix=f"{OLD[name]}=VALUE"):
        find_preset("town").market(**{name: 1.0})


def test_a_parameter_adds_its_mechanism_and_false_leaves_one_out():
    config = find_preset("contest").config
    added = config.changed("market", {"satiation": {"gain": 2.0}})
    assert added.mechanisms == (Satiation(gain=2.0), *config.mechanisms)
    assert config.changed("market", {"boosts": False, "clock": True}).mechanisms == (mechanisms()["clock"](),)
    assert config.changed("market", {"boosts.cost": 3.0}).built_in.boosts == replace(config.built_in.boosts, cost=3.0)


def test_mechanisms_are_added_to_those_of_a_preset_each_in_place_of_its_kind():
    config = find_preset("kale").config
    added = config.changed("market", {"mechanisms": [Satiation(gain=9.0), "clock"]})
    assert [m.name for m in added.mechanisms] == ["mood", "satiation", "clock"]
    assert added.built_in.satiation == Satiation(gain=9.0)
    mine = config.changed("market", {"mechanisms": (as_own(Mood(weight=0.3)),), "mood.decay": 0.5})
    assert [(m.name, m.decay) for m in mine.further] == [("my_mood", 0.5)]


def test_the_order_in_which_they_are_given_makes_no_difference():
    assert MarketConfig(mechanisms=(Boosts(), Mood())) == MarketConfig(mechanisms=(Mood(), Boosts()))


def test_there_is_one_of_a_kind():
    with refused("mood", 2):
        MarketConfig(mechanisms=(Mood(), as_own(Mood())))


def test_budgets_that_begin_above_their_limit_are_refused():
    with refused("budgets.start", 2.0, "budgets.max", 1.0, fix="budgets.max"):
        Budgets(start=2.0)
