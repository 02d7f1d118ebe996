"""Mechanisms that number states of tabular agents, and that measure figures of their field."""

from dataclasses import dataclass

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.envs.mechanisms import Mechanism
from interplay.envs.presets import find_preset
from interplay.envs.testing import MechanismError, check_mechanism
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.players import Players
from refusals import refused


@dataclass(frozen=True)
class Clock(Mechanism):
    """Counts steps modulo three."""

    def user_tables(self, start):
        return {"ticks": start.full_users(0.0)}

    def update(self, state, outcome):
        return {"ticks": (state["ticks"] + 1.0) % 3.0}

    def num_user_states(self, sizes):
        return 3

    def user_state(self, state):
        return state["ticks"].long()

    def measures(self, state):
        return {"ticks": state["ticks"].mean(1)}


@dataclass(frozen=True)
class OddMeasure(Mechanism):
    def measures(self, state):
        return {"mood": state["mood"]}


def rest(market):
    return Players({side: find_agent("rest")(market.specs[side], Setting()) for side in ("users", "items")})


def test_tabular_users_see_what_a_mechanism_numbers():
    market = find_preset("kale").market(mechanisms=(Clock(),), user_state="mechanism")
    assert market.specs["users"].num_states == 3
    state, idle = market.reset([0, 1]), (torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.int64))
    seen = []
    for _ in range(4):
        seen.append(market.observe(state, "users").state[0, 0].item())
        state, _ = market.step(state, *idle)
    assert seen == [0, 1, 2, 0]


def test_other_exact_states_leave_out_what_mechanisms_carry_over():
    assert find_preset("kale").market(mechanisms=(Clock(),)).specs["users"].num_states is None


@pytest.mark.parametrize(("side", "mechanisms"), [("user", ()), ("item", (Clock(),))])
def test_a_market_asks_for_a_mechanism_that_numbers_states(side, mechanisms):
    with refused(f"{side}_state='mechanism'", f"num_{side}_states"):
        find_preset("kale").market(**{"mechanisms": mechanisms, f"{side}_state": "mechanism"})


def test_measures_are_means_over_steps_and_last_values():
    market = find_preset("kale").market(mechanisms=(Clock(),), horizon=4)
    measures = evaluate(market, rest(market), 2).measures
    assert {name: value.mean for name, value in measures.items()} == {"ticks": 1.0, "ticks at the end": 1.0}
    assert evaluate(find_preset("kale").market(horizon=2), rest(market), 2).measures == {}


def test_the_contract_holds_of_measures():
    check_mechanism(Clock)
    with refused("odd_measure", "mood", "torch.float32 [3, 5]", kind=MechanismError):
        check_mechanism(OddMeasure)
