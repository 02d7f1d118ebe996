"""What ``check_agent`` lets agents live through, and how it compares what they did."""

import itertools

import pytest
import torch

from interplay.agents import JointAgent
from interplay.agents.first import FirstAgent
from interplay.agents.greedy import GreedyAgent
from interplay.agents.matrix_factorisation import MatrixFactorisationAgent
from interplay.agents.testing import AgentError, check_agent
from interplay.agents.testing.contract_harness import difference
from interplay.agents.testing.synthetic_transitions import ANY_SIDES, ONE_SIDE, observation, trajectory
from interplay.envs.presets import find_preset
from refusals import refused


class Pair(JointAgent):
    """An agent for each side that it plays."""

    name = "pair"

    def build(self):
        self.players = {side: MatrixFactorisationAgent(spec, self.setting) for side, spec in self.specs.items()}

    def act(self, side, observation, explore):
        return self.players[side].act(observation, explore)

    def learn(self, transitions):
        losses = {side: self.players[side].learn_from({side: step})["loss"] for side, step in transitions.items()}
        return losses | {"loss": sum(losses.values())}


def test_a_joint_agent_plays_both_sides_and_one_alone():
    check_agent(Pair)


def strays(self, side, seen, explore):
    return Pair.act(self, side, seen, explore) * (1.0 if side == "items" else 1)


def lonely(self):
    Pair.build(self)
    self.users = self.players["users"]


def lost(self, state):
    items = self.players["items"].state_dict()
    JointAgent.load_state_dict(self, state | {"players": state["players"] | {"items": items}})


@pytest.mark.parametrize(("changes", "named"), [
    ({"act": strays}, ["broken as users with a history, and items", "torch.float32"]),
    ({"load_state_dict": lost}, ["broken as users with a history, and items", "Stateful"]),
    ({"build": lonely}, ["broken as items", "__init__", "KeyError", "test_synthetic_transitions.py"])])
def test_either_side_of_a_joint_agent_is_looked_at(changes, named):
    with refused(*named, kind=AgentError):
        check_agent(type("Broken", (Pair,), {"name": "broken", **changes}))


def test_privileged_agents_alone_see_what_is_expected():
    check_agent(GreedyAgent)
    with refused("blind as users", "Observation.expected", None, fix="expected=True", kind=AgentError):
        check_agent(type("Blind", (GreedyAgent,), {"name": "blind", "sees_expected_reward": False}))


@pytest.mark.parametrize(("case", "needs"), [
    ("one user with an exact state", "state"), ("users with a history", "history"),
    ("users with a history", "history_ids")])
def test_there_are_states_and_histories_in_some_cases(case, needs):
    def act(self, seen, explore):
        if getattr(seen, needs) is not None:
            raise RuntimeError("found it")
        return FirstAgent.act(self, seen, explore)

    with refused(f"first as {case}", "RuntimeError", "test_synthetic_transitions.py", fix="found it", kind=AgentError):
        check_agent(type("First", (FirstAgent,), {"name": "first", "act": act}))


@pytest.mark.parametrize("specs", [*ONE_SIDE.values(), *ANY_SIDES.values()])
def test_transitions_are_such_as_markets_have(specs):
    markets = [{**market.specs, "platform": market.platform_spec}
               for market in (find_preset(name).market() for name in ("town", "kale", "kale-partial"))]
    for side, spec in specs.items():
        for names in ("own_features", "option_features", "history_features"):
            assert {*getattr(spec, names)} <= {name for market in markets for name in getattr(market[side], names)}
        seen = observation(spec, 50, 0, expected=True)
        assert seen.mask[..., 0].all()
        assert spec.num_actions == 1 or not seen.mask.all()
        assert seen.options.amin() < -3.0 < 3.0 < seen.options.amax()
        assert max(seen.own.abs().amax(), seen.options.abs().amax()) <= 4.0
        assert seen.ids.unique().tolist() == list(range(spec.num_ids))
        assert (seen.state is None) == (spec.num_states is None)
        assert (seen.history is None) == (spec.history_length == 0)


@pytest.mark.parametrize("empty", [False, True])
def test_the_gone_stay_away_until_the_episode_is_cut_off(empty):
    lived = [moment["users"] for moment in trajectory(ONE_SIDE["users"], 40, False, empty)]
    assert lived[0].valid.any() != empty
    assert sum(step.terminated.sum() for step in lived) > 20
    assert sum((~step.valid).sum() for step in lived) > 20
    for now, then in itertools.pairwise(lived):
        assert not (now.terminated & ~now.valid).any()
        stays = (now.valid & ~now.terminated) | now.truncated
        assert torch.equal(then.valid, stays)
        assert now.truncated.all() or difference(now.next_observation.own, then.observation.own) == ""


def test_differences_are_found_and_named():
    one = {"a": [torch.ones(2), {"b": 1}], "c": None}
    assert difference(one, {"a": [torch.ones(2), {"b": 1}], "c": None}) == ""
    assert difference(one, {"a": [torch.ones(2), {"b": 2}], "c": None}) == "a, 1, b"
    assert difference(one, {"a": [torch.zeros(2), {"b": 1}], "c": None}) == "a, 0"
    assert difference(one, {"a": [torch.ones(2)], "c": None}) == "a, 1"
    assert difference(one, {"a": one["a"]}) == "c"
    assert difference({}, {"d": 1}) == "d"
    assert difference(torch.ones(2), torch.ones(2, dtype=torch.int64), "e") == "e"
    assert difference({"f": 1}, {"f": True}) == "f"
