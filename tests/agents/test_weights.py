"""Weights of steps, in every learner: of one action that earns 1 with weight 3 and 0 with weight 1, 0.75 is right."""

from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, agents, find_agent
from interplay.agents.parts.returns import NStep, cut_off
from interplay.agents.testing.synthetic_transitions import ANY_SIDES, ONE_SIDE, trajectory
from interplay.envs.types import Transition
from interplay.experiments.common.options import parse_pairs, split_agent

STEPS = 400
OPTIONS = {
    "dqn": dict(warm_up=8, batch_size=64, learning_rate=0.01), "pqn": dict(rollout_length=4, learning_rate=0.01),
    "shared-critic": dict(warm_up=8, batch_size=64, learning_rate=0.01, response_weight=0.0),
    "ippo": dict(rollout_length=4, learning_rate=0.01), "mappo": dict(rollout_length=4, learning_rate=0.01),
    "slateq": dict(warm_up=8, batch_size=64, learning_rate=0.01), "q-learning": dict(learning_rate=0.002),
    "matrix-factorisation": dict(learning_rate=0.01, penalty=0.0), "linucb": dict(ridge=1e-3),
    "linear-thompson": dict(ridge=1e-3)}
WORTH = {
    "dqn": lambda a, o: a.online(o.own, o.options, torch.zeros(o.own.shape[:2], dtype=torch.int64)).mean(-1)[..., 1],
    "pqn": lambda a, o: a._values(o)[..., 1],
    "slateq": lambda a, o: a._values(a.online, o)[..., 1],
    "shared-critic,mixing=vdn": lambda a, o: a.online.value("users", o, torch.ones(2, 1, dtype=torch.int64))[1],
    "shared-critic": lambda a, o: a.online.value("users", o, torch.ones(o.own.shape[:2], dtype=torch.int64))[1],
    "ippo": lambda a, o: a._values({"users": o})["users"], "mappo": lambda a, o: a._values({"users": o})["users"],
    "q-learning": lambda a, o: a.table[0, :, 0, 1],
    "matrix-factorisation": lambda a, o: (a.agent[:, :-1] * a.arm[2, :-1]).sum(-1) + a.agent[:, -1] + a.arm[2, -1],
    "linucb": lambda a, o: a.ridge.by_action(a.ridge.rows(o) @ a.ridge.weights().T)[..., 1],
    "linear-thompson": lambda a, o: a.ridge.by_action(a.ridge.rows(o) @ a.ridge.weights().T)[..., 1],
    "beta-bernoulli": lambda a, o: (a.success / (a.success + a.failure))[..., 2]}


def test_every_learner_is_listed():
    assert {split_agent(name)[0] for name in WORTH} == {name for name, kind in agents().items() if kind.learns}


def lesson(moved, side):
    """Two worlds: one earns 1 with weight 1.5, the other 0 with weight 0.5; both ended, so that nothing follows."""
    step = moved([[0], [0]], [[1], [1]], [[1.0], [0.0]], [[0], [0]], terminated=True)
    step = replace(step, weight=torch.tensor([[1.5], [0.5]]))
    return replace(step, slate=torch.ones(2, 1, 1, dtype=torch.int64)) if side == "platform" else step


def taught(name, spec, moved):
    worth, (name, pairs) = WORTH[name], split_agent(name)
    kind = find_agent(name)
    side = "platform" if kind.plays == ("platform",) else "users"
    setting = Setting(total_steps=STEPS, discount=0.5)
    options = kind.Options(**OPTIONS.get(name, {}), **parse_pairs(pairs, "options"))
    spec = replace(spec, side=side, num_agents=1)
    agent = kind.of({side: spec}, setting, options)
    step = lesson(moved, side)
    for _ in range(STEPS):
        agent.learn_from({side: step})
    return worth(agent, step.observation)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("dqn", "pqn") else pytest.mark.slow) for name in WORTH])
def test_heavier_steps_count_for_more(name, spec, moved):
    worth = torch.as_tensor(taught(name, spec, moved))
    assert worth.flatten().tolist() == pytest.approx([0.75] * worth.numel(), abs=0.06)


def test_steps_count_alike_unless_weights_are_given(moved):
    step = moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]])
    assert step.weight.tolist() == [[1.0, 1.0]]
    saved = step.state_dict()
    del saved["weight"]  # as checkpoints of old had it
    assert Transition.from_state(saved).weight.tolist() == [[1.0, 1.0]]
    heavy = replace(step, weight=torch.tensor([[2.0, 5.0]]))
    assert NStep(1, 0.5).add(heavy).weight.tolist() == [[2.0, 5.0]]


def test_what_weighs_nothing_teaches_nothing(moved, spec):
    """Whatever it earned; of those who learn from single steps, whose lessons hold one reward each."""
    for name in ("dqn", "q-learning", "matrix-factorisation", "linucb", "beta-bernoulli"):
        kind, found = find_agent(name), []
        for reward in (0.0, 1.0):
            agent = kind(spec, Setting(total_steps=20), kind.Options(**OPTIONS.get(name, {})))
            for t in range(20):
                step = moved([[0, 0]], [[1, 1]], [[0.5, reward]], [[t % 3, 1]])
                agent.learn_from({"users": replace(step, weight=torch.tensor([[1.0, 0.0]]))})
            found.append(torch.as_tensor(WORTH[name](agent, step.observation)))
        assert torch.equal(*found), name


def test_returns_stop_before_a_reward_that_is_not_known(moved):
    steps = [moved([[t]], [[1]], [[1.0 + t]], [[10 + t]], valid=t != 2) for t in range(4)]
    joining = NStep(3, 0.5)
    joined = [found for found in map(joining.add, steps) if found is not None]
    assert joined[0].reward.item() == 1.0 + 0.5 * 2.0  # the third is not known
    assert joined[0].discount.item() == 0.25
    assert joined[0].next_observation.state.item() == 11
    assert joined[1].reward.item() == 2.0
    truncated, valid = torch.zeros(4, 1, dtype=torch.bool), torch.stack([step.valid[0] for step in steps])
    assert not cut_off(truncated[:1], valid[:1]).any()
    assert cut_off(truncated, valid).flatten().tolist() == [False, True, False, False]


def test_synthetic_transitions_hold_weights_of_one():
    for case in (ONE_SIDE, ANY_SIDES):
        for specs in case.values():
            for moment in trajectory(specs, 2, False):
                assert all((step.weight == 1.0).all() for step in moment.values())
