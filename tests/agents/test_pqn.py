from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting
from interplay.agents.parts.choosing import best
from interplay.agents.parts.returns import QStep, q_lambda_returns
from interplay.agents.pqn import PQNAgent, PQNOptions
from interplay.agents.testing.synthetic_transitions import ONE_SIDE, trajectory
from interplay.envs import kernels
from refusals import refused


def played(steps):
    return QStep.stack([QStep.of(step) for step in steps])


def test_targets_are_q_lambda_returns_over_allowed_actions(spec, moved):
    agent = PQNAgent(spec, Setting(discount=0.5), PQNOptions(trace_decay=0.5))
    values = torch.tensor([2.0, 4.0, 90.0])
    agent._values = lambda seen: values.expand(*seen.own.shape[:-1], 3)
    steps = [moved([[0, 1]], [[1, 1]], [[1.0, 2.0]], [[0, 1]], mask=(True, True, False)),
             moved([[0, 1]], [[1, 1]], [[3.0, 4.0]], [[0, 1]], mask=(True, True, False))]
    rollout = played(steps)
    found = agent._returns(rollout)
    last = [3.0 + 0.5 * 4.0, 4.0 + 0.5 * 4.0]  # 90 is forbidden
    assert found[1].tolist() == [last]
    assert found[0].tolist() == [[1.0 + 0.5 * (0.5 * 4.0 + 0.5 * last[0]), 2.0 + 0.5 * (0.5 * 4.0 + 0.5 * last[1])]]
    ended = [replace(steps[0], terminated=torch.tensor([[True, False]]), truncated=torch.tensor([[False, True]])),
             steps[1]]
    assert agent._returns(played(ended))[0].tolist() == [[1.0, 2.0 + 0.5 * 4.0]]


def test_returns_are_the_same_bits_with_and_without_loops():
    steps = [step["users"] for step in trajectory({"users": ONE_SIDE["users with a history"]["users"]}, 12, False)]
    rollout = played(steps)
    values = torch.randn(rollout.mask.shape, generator=torch.Generator().manual_seed(0))
    values[3, 0, 0, 0] = torch.nan
    given = replace(rollout, valid=rollout.valid & (rollout.reward < 0.8)), values, 0.9, 0.7
    found = q_lambda_returns(*given)
    with kernels.switched_off():
        assert torch.allclose(found, q_lambda_returns(*given), rtol=0.0, atol=0.0, equal_nan=True)
    assert 0 < found.isnan().sum() < found.numel()


@pytest.mark.parametrize("sharing", ["shared", "embedding", "independent"])
def test_it_learns_which_agent_wants_what(spec, moved, sharing):
    """Agent 0 is in state 0 and wants slot 1; agent 1 in state 1 wants to skip. Episodes are one step long."""
    options = PQNOptions(sharing=sharing, rollout_length=4, hidden=16, learning_rate=0.01, epsilon_end=0.3)
    agent = PQNAgent(spec, Setting(total_steps=200, discount=0.5), options)
    step = moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8, terminated=True)
    slots = torch.tensor([[1.0], [-1.0]]).expand(step.observation.options.shape)
    seen = replace(step.observation, options=slots)
    for _ in range(200):
        action = agent.act(seen, explore=True)
        reward = (action == torch.tensor([1, 0])).float()
        agent.learn_from({"users": replace(step, observation=seen, action=action, reward=reward)})
    assert agent.act(seen, explore=False).tolist() == [[1, 0]] * 8
    assert agent._values(seen)[0, 0, 1].item() == pytest.approx(1.0, abs=0.2)


def test_it_gives_up_a_little_now_for_more_later(spec, moved):
    """From state 0, slot 1 pays 0.3 and ends; slot 2 pays nothing and leads to state 1, where slot 1 pays 1."""
    options = PQNOptions(rollout_length=4, hidden=16, learning_rate=0.01, epsilon_end=0.3)
    agent = PQNAgent(spec, Setting(total_steps=400, discount=0.9), options)
    blank = moved([[0, 0]] * 16, [[0, 0]] * 16, [[0.0, 0.0]] * 16, [[0, 0]] * 16)
    slots = torch.tensor([[1.0], [-1.0]]).expand(blank.observation.options.shape)

    def seen(state):
        return replace(blank.observation, own=state.float().unsqueeze(-1), options=slots, state=state)

    now = torch.zeros(16, 2, dtype=torch.int64)
    for _ in range(400):
        action = agent.act(seen(now), explore=True)
        goes_on = (now == 0) & (action == 2)
        reward = torch.where(action == 1, torch.where(now == 1, 1.0, 0.3), 0.0)
        agent.learn_from({"users": replace(blank, observation=seen(now), action=action, reward=reward,
                            next_observation=seen(goes_on.long()), terminated=~goes_on)})
        now = goes_on.long()
    both = seen(torch.tensor([[0, 1]]).expand(16, 2))
    assert agent.act(both, explore=False).tolist() == [[2, 1]] * 16
    values = agent._values(both)[0]
    assert values[0, 1:].tolist() == pytest.approx([0.3, 0.9], abs=0.1)
    assert values[1, 1].item() == pytest.approx(1.0, abs=0.1)


def test_each_pass_takes_every_row_once_and_shuffles_again(spec, moved):
    agent = PQNAgent(spec, Setting(), PQNOptions(rollout_length=3, num_epochs=2, num_minibatches=4))
    fit, parts = agent._fit, []
    agent._fit_by_loops = lambda *given: {}
    agent._fit = lambda steps, index: parts.append(steps[0][index, 0, 0]) or fit(steps, index)
    for t in range(3):
        before = [[4 * t + world, 0] for world in range(4)]
        agent.learn_from({"users": moved(before, [[0, 0]] * 4, [[0.0, 0.0]] * 4, [[0, 0]] * 4)})
    assert [len(part) for part in parts] == [3] * 8
    passes = torch.cat(parts[:4]).tolist(), torch.cat(parts[4:]).tolist()
    assert [sorted(one) for one in passes] == [list(range(12))] * 2
    assert list(range(12)) != passes[0] != passes[1]


def test_what_the_gone_would_have_earned_changes_nothing(spec, moved):
    agents = []
    for wage in (0.0, 1000.0):
        agent = PQNAgent(spec, Setting(), PQNOptions(rollout_length=2, num_minibatches=1))
        step = moved([[0, 1]] * 4, [[1, 2]] * 4, [[1.0, wage]] * 4, [[1, 1]] * 4)
        for _ in range(2):
            metrics = agent.learn_from({"users": replace(step, valid=torch.tensor([[True, False]] * 4))})
        agents.append((agent.network.state_dict(), metrics))
    (one, metrics), (other, others) = agents
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert {name: value.item() for name, value in metrics.items()} == {k: v.item() for k, v in others.items()}


def test_it_only_learns_from_full_rollouts_and_not_from_agents_that_have_left(spec, moved):
    agent = PQNAgent(spec, Setting(), PQNOptions(rollout_length=3))
    before = [p.clone() for p in agent.network.parameters()]

    def same():
        return all(map(torch.equal, before, agent.network.parameters()))

    for _ in range(3):
        assert same()
        agent.learn_from({"users": moved([[0, 1]] * 4, [[1, 2]] * 4, [[1.0, 3.0]] * 4, [[1, 1]] * 4, valid=False)})
    assert same()
    for _ in range(3):
        assert same()
        agent.learn_from({"users": moved([[0, 1]] * 4, [[1, 2]] * 4, [[1.0, 3.0]] * 4, [[1, 1]] * 4)})
    assert not same()


@pytest.mark.parametrize(("name", "value", "fix"), [
    ("rollout_length", 0, 1), ("num_epochs", 0, 1), ("num_minibatches", 0, 1), ("trace_decay", -0.1, (0, 1)),
    ("trace_decay", 1.1, (0, 1)), ("learning_rate", 0.0, 0), ("max_norm", 0.0, 0), ("sharing", "all", "embedding"),
    ("epsilon_start", 1.5, (0, 1))])
def test_wrong_options_are_named(name, value, fix):
    with refused(name, value, fix=fix):
        PQNOptions(**{name: value})


def test_learning_uses_what_acting_worked_out_and_nothing_that_has_changed(monkeypatch):
    """What is seen is scored once, when agents act; learning scores what nobody acted on, and all if weights moved."""
    spec = ONE_SIDE["users with a history"]["users"]
    options = PQNOptions(rollout_length=4, num_minibatches=1)
    agent, other = (PQNAgent(spec, Setting(seed=0, total_steps=100), options) for _ in range(2))
    scored, values = [], agent._values
    monkeypatch.setattr(agent, "_values", lambda seen: scored.append(seen.own) or values(seen))

    def scored_by(work):
        scored.clear()
        work()
        return len(scored)

    steps = trajectory({"users": spec}, 12, False)
    cuts = [bool(moment["users"].truncated.any()) for moment in steps]
    assert sum(cuts[4:7]) == 1  # within the second rollout
    for number, moment in enumerate(steps):
        seen = moment["users"].observation
        assert scored_by(lambda seen=seen: agent.act(seen, explore=False)) == 1
        assert scored_by(lambda seen=seen: agent.act(seen, explore=False)) == int(not kernels.available())
        if number == 10:  # what is known is of other weights
            for one in (agent, other):
                one.network.load_state_dict(PQNAgent(spec, Setting(seed=1), options).network.state_dict())
        unknown = 1 + sum(cuts[number - 3:number]) + 2 * (number == 11) if kernels.available() else 4
        assert scored_by(lambda moment=moment: agent.learn_from(moment)) == unknown * (number % 4 == 3)
        other.learn_from(moment)  # which knows nothing from acting
    assert all(map(torch.equal, agent.network.parameters(), other.network.parameters()))
    with torch.no_grad():
        seen.own.add_(1.0)
    assert scored_by(lambda: agent.act(seen, explore=False)) == 1
    assert torch.equal(agent.act(seen, explore=False), best(values(seen).detach(), seen.mask))
