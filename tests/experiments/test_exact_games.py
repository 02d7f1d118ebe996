"""An exact answer is given to the game that was solved, and to no other."""

import dataclasses
import inspect

import pytest

from interplay.envs.behaviour.synthetic import GivenPopulation, SyntheticBehaviour
from interplay.envs.config import MarketConfig
from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.envs.sizes import MarketSizes
from interplay.envs.types import InterplayError
from interplay.experiments.exact.oracles import game_of_mechanisms

PRESETS = ("pigou", "funds", "pricing", "creators", "coach", "tutor", "herd", "clearance", "lts",
           "genres-one", "merton")
# Agents see more or less by these, and earn the same.
SEEING = {"history_length", "user_sees", "user_state", "item_state"}
OTHER_VALUES = {"slate_order": "ranked", "num_candidates": 1, "temperature": 0.5}
ADDED = {"boosts.levels": (2.0,), "budgets": True, "satiation.weight": 0.5, "mood.weight": 0.5, "mood.leaving": True,
         "wearout.weight": 0.5, "drift.rate": 0.5, "drift.noise": 0.5}


def other_value(name, now):
    """A value of a field that is allowed, and is not the one that it has."""
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    return (not now) if isinstance(now, bool) else now + 0.5


def numbers():
    fields = {f.name for f in dataclasses.fields(MarketConfig)} - {f.name for f in dataclasses.fields(MarketSizes)}
    return sorted(fields - SEEING - {"mechanisms", "response_mode"})


@pytest.mark.parametrize("preset", PRESETS)
def test_no_answer_where_another_number_of_the_market_may_change_what_is_earned(preset):
    changed = 0
    for name in numbers():
        config = find_preset(preset).market().config
        try:
            market = find_preset(preset).market(**{name: other_value(name, getattr(config, name))})
        except InterplayError:
            continue  # this market cannot have it
        if market.config != config:
            assert game_of_mechanisms(market) is None, name
            changed += 1
    assert changed > len(numbers()) // 2


@pytest.mark.parametrize("preset", PRESETS)
def test_no_answer_where_a_built_in_mechanism_is_added_that_is_not_idle(preset):
    for name, value in ADDED.items():
        assert game_of_mechanisms(find_preset(preset).market(**{name: value})) is None, name
    idle = find_preset(preset).market(satiation={"gain": 0.5}, mood={"decay": 0.5}, wearout=True, boosts={"levels": ()})
    assert game_of_mechanisms(idle) is not None


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "tutor"])
def test_no_answer_where_responses_are_others(preset):
    """In these games nobody responds, or everybody does: else users or items would earn more or less."""
    market = find_preset(preset).market()
    assert game_of_mechanisms(market) is not None
    people = market.reset([0]).population
    rows = {name: getattr(people, name)[0].tolist() for name in inspect.signature(GivenPopulation).parameters}
    undecided = SyntheticBehaviour(GivenPopulation(**rows | {"appeal": [0.0] * market.config.num_items}))
    assert game_of_mechanisms(Market(market.config, undecided)) is None
