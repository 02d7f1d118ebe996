from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting
from interplay.agents.dqn import DQNAgent, DQNOptions
from interplay.agents.loops.flat import calls_noted
from interplay.agents.parts.networks import OptionScorer, values_of
from interplay.agents.parts.optimising import Optimiser, num_updates
from interplay.agents.parts.returns import NStep
from interplay.envs import kernels
from refusals import refused


class Constant:
    """A network whose values ``[A]`` are the same whatever is seen."""

    def __init__(self, values):
        self.table = torch.tensor([[[v] for v in values]])

    def __call__(self, own, options, agent=None):
        return self.table.expand(len(own), -1, -1)

    def taken(self, own, options, action, agent=None):
        return values_of(self(own, options), action)


def fixed(agent, online, target):
    """The agent with constant networks: ``[A]`` values of the online and of the target one."""
    for name, values in (("online", online), ("target", target)):
        object.__setattr__(agent, name, Constant(values))
    return agent


def sample(moved, discount=0.5, **changes):
    step = moved([[0, 1]], [[1, 1]], [[1.0, 1.0]], [[1, 1]], mask=(True, True, False), **changes)
    return NStep(1, discount).add(step).map(lambda x: x.flatten(0, 1)[:1])


AGENTS = torch.tensor([0])


def test_targets_are_double_masked_and_stop_at_the_end(spec, moved):
    agent = fixed(DQNAgent(spec, Setting()), [1.0, 5.0, 9.0], [30.0, 20.0, 40.0])
    assert agent._targets(sample(moved), AGENTS).tolist() == [[1.0 + 0.5 * 20.0]]  # 9 is forbidden; 5 picks, 20 judges
    assert agent._targets(sample(moved, truncated=True), AGENTS).tolist() == [[1.0 + 0.5 * 20.0]]
    assert agent._targets(sample(moved, terminated=True), AGENTS).tolist() == [[1.0]]
    single = fixed(DQNAgent(spec, Setting(), DQNOptions(double=False)), [1.0, 5.0, 9.0], [30.0, 20.0, 40.0])
    assert single._targets(sample(moved), AGENTS).tolist() == [[1.0 + 0.5 * 30.0]]


def test_munchausen_targets_are_those_of_the_paper(spec, moved):
    """Equation 3 with two allowed actions of values 1 and 2, tau = 1 and alpha = 0.5."""
    agent = fixed(DQNAgent(spec, Setting(), DQNOptions(munchausen=0.5, temperature=1.0)), [0.0] * 3, [1.0, 2.0, 9.0])
    before = replace(sample(moved), observation=sample(moved).next_observation)
    policy = torch.tensor([1.0, 2.0]).softmax(0)
    soft = (policy * (torch.tensor([1.0, 2.0]) - policy.log())).sum()
    expected = 1.0 + 0.5 * policy[1].log().clamp(min=-1.0) + 0.5 * soft
    assert agent._targets(before, AGENTS).item() == pytest.approx(expected.item(), abs=1e-5)


def test_quantile_loss_is_least_at_the_quantiles(spec):
    agent = DQNAgent(spec, Setting(), DQNOptions(num_quantiles=4))
    returns = torch.linspace(0.0, 100.0, 1001)  # wide, so that the Huber part around 0 does not show

    def loss(quantiles):
        return agent._loss(returns.view(1, 1, -1) - torch.tensor(quantiles).view(1, 4, 1)).item()

    best = [12.5, 37.5, 62.5, 87.5]
    for place in range(4):
        for shift in (-5.0, 5.0):
            moved = [q + shift * (k == place) for k, q in enumerate(best)]
            assert loss(best) < loss(moved)


def test_the_gone_teach_nothing(spec, moved):
    agent = DQNAgent(spec, Setting(), DQNOptions(warm_up=1, batch_size=4))
    before = [p.clone() for p in agent.online.parameters()]
    agent.learn_from({"users": moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]], valid=False)})
    assert all(map(torch.equal, before, agent.online.parameters()))
    for _ in range(8):
        agent.learn_from({"users": moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]])})
    assert not all(map(torch.equal, before, agent.online.parameters()))


def test_updates_follow_every_so_many_steps(spec, moved):
    agent = DQNAgent(spec, Setting(), DQNOptions(warm_up=1, batch_size=4, update_every=3, updates_per_step=2))
    step = {"users": moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]])}
    losses = [agent.learn_from(step).get("loss") for _ in range(7)]
    assert [loss is not None for loss in losses] == [False, False, True, False, False, True, False]
    assert num_updates(agent.state_dict()) == 4


FLAGS = [{}, {"double": False}, {"dueling": True}, {"num_steps": 3}, {"priority": 0.6}, {"munchausen": 0.9},
         {"num_quantiles": 5}, {"sharing": "embedding"}, {"sharing": "independent"},
         {"sharing": "independent", "priority": 0.6, "num_quantiles": 5, "dueling": True},
         {"munchausen": 0.9, "num_quantiles": 5, "priority": 0.6}]


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_every_flag_learns_which_agent_wants_what(spec, moved, flags):
    """Agent 0 is in state 0 and wants slot 1; agent 1 in state 1 wants to skip. Episodes are one step long."""
    options = DQNOptions(warm_up=16, batch_size=32, learning_rate=0.01, hidden=16, target_rate=0.2, **flags)
    agent = DQNAgent(spec, Setting(total_steps=150, discount=0.5), options)
    generator = torch.Generator().manual_seed(1)
    wanted = torch.tensor([1, 0])
    for _ in range(150):
        action = torch.randint(3, (4, 2), generator=generator)
        step = moved([[0, 1]] * 4, action.tolist(), (action == wanted).float().tolist(), [[0, 1]] * 4, terminated=True)
        options = step.observation.options.clone()
        options[:, :, 0] = 1.0  # slot 1 looks different from slot 2
        agent.learn_from({"users": replace(step, observation=replace(step.observation, options=options))})
    seen = replace(step.observation, options=options)
    assert agent.act(seen, explore=False).tolist() == [[1, 0]] * 4
    value = agent.online(seen.own, seen.options, torch.tensor([0, 1]).expand(4, 2)).mean(-1)
    assert value[0, 0, 1].item() == pytest.approx(1.0, abs=0.2)


def test_the_loss_of_prioritised_replay_is_the_mean_over_the_batch(spec, moved, monkeypatch):
    """Schaul et al., section 3.4: weights scale the updates, and nothing divides by their sum."""
    options = DQNOptions(warm_up=0, batch_size=4, priority=0.6, huber_delta=100.0)
    agent = DQNAgent(spec, Setting(total_steps=10), options)
    weight = torch.tensor([1.0, 0.5, 0.25, 0.25])
    monkeypatch.setattr(agent, "_correction", lambda index, error, valid: weight)
    monkeypatch.setattr(agent, "_targets", lambda sample, agent_ids: torch.full((4, 1), 2.0))
    fixed(agent, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    monkeypatch.setattr(agent._optimiser, "step", lambda loss, progress: None)
    monkeypatch.setattr("interplay.agents.dqn.follow", lambda target, online, rate: None)
    metrics = agent.learn_from({"users": moved([[0, 1]], [[1, 2]], [[1.0, 1.0]], [[1, 1]])})
    assert metrics["loss"].item() == pytest.approx(0.5 * 2.0**2 * 2.0 / 4.0)


@pytest.mark.parametrize("flags", [{"dueling": True, "num_outputs": 2}, {"layer_norm": True}])
def test_independent_networks_are_those_of_each_agent_alone(spec, flags):
    """The batched product against one network at a time, with the same weights."""
    many = OptionScorer(spec, 8, torch.device("cpu"), sharing="independent", **flags)
    for number, parameter in enumerate(many.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    one = OptionScorer(spec, 8, torch.device("cpu"), **flags)
    own, options = torch.randn(5, 2, 1), torch.randn(5, 2, 2, 1)
    found = many(own, options)
    for agent in range(2):
        state = {name: many.state_dict()[name][agent].view(value.shape) for name, value in one.state_dict().items()}
        one.load_state_dict(state)
        assert torch.allclose(one(own[:, agent], options[:, agent]), found[:, agent], atol=1e-6)


@pytest.mark.parametrize(("wrong", "fix"), [
    ({"hidden": 0}, 1), ({"learning_rate": 0.0}, 0), ({"sharing": "some"}, "independent"),
    ({"munchausen": 0.9, "num_steps": 3}, "num_steps=1"), ({"epsilon_end": 2.0}, (0, 1)),
    ({"exploration_fraction": 0.0}, 0)])
def test_wrong_options_are_named(wrong, fix):
    with refused(*wrong, *wrong.values(), fix=fix):
        DQNOptions(**wrong)


def learnt(spec, moved, **options):
    """An agent after a few steps."""
    agent = DQNAgent(spec, Setting(total_steps=10), DQNOptions(
        hidden=16, warm_up=4, batch_size=8, updates_per_step=3, target_rate=0.3, learning_rate=0.01, **options))
    for step in range(6):
        agent.learn_from({"users": moved([[0, 1]], [[step % 3, 2]], [[1.0, 0.1 * step]], [[1, 1]])})
    return agent


@pytest.mark.skipif(not kernels.available(), reason="loops need numba")
@pytest.mark.parametrize("options", [{}, {"double": False, "huber_delta": 0.1}, {"num_steps": 2}], ids=str)
def test_updates_after_a_step_are_one_call_and_those_made_one_by_one(spec, moved, options, monkeypatch):
    with calls_noted() as calls:
        agent = learnt(spec, moved, **options)
    updates = [call.args[10].shape for call in calls if call.func.__name__ == "update"]  # the first step is Adam's own
    assert len(updates) >= 3
    assert set(updates) == {(1, 3, 8)}
    with kernels.switched_off():
        by_torch = learnt(spec, moved, **options)
    monkeypatch.setattr(Optimiser, "moments", lambda *given: None)
    alone = learnt(spec, moved, **options)
    for other in alone, by_torch:
        for network in "online", "target":
            for mine, its in zip(*(getattr(a, network).parameters() for a in (agent, other)), strict=True):
                torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)
        assert num_updates(agent.state_dict()) == num_updates(other.state_dict()) == 3 * (1 + len(updates))
