"""Loops that learn give the losses and gradients that torch gives, also for copies under vmap."""

import copy
from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.agents.dqn import DQNAgent, DQNOptions
from interplay.agents.ippo import Batch, IPPOAgent, IPPOOptions
from interplay.agents.loops import policy
from interplay.agents.parts import fitting
from interplay.agents.parts.networks import OptionScorer, draw_weights, follow, parameters_of
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.returns import lambda_returns
from interplay.agents.testing.synthetic_transitions import ONE_SIDE, observation, trajectory
from interplay.envs import kernels
from interplay.envs.kernels import switched_off

pytestmark = pytest.mark.skipif(not kernels.available(), reason="loops need numba")
USERS, ITEMS = ONE_SIDE["users"]["users"], ONE_SIDE["items"]["items"]
ROWS, PICKED = 40, 23


def assert_alike(found, wanted):
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=3e-5 * float(other.abs().max()) + 1e-7)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def disturb(network, by=0.2):
    """Change biases and norms, too."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter += by * draw(*parameter.shape, seed=number)
    return network


def agent_of(specs, **options):
    agent = IPPOAgent.of(specs, Setting(3, total_steps=100), IPPOOptions(**{"entropy": 0.3, **options}))
    disturb(agent.network, 0.02)  # else policies are certain, and gradients rounding alone
    return agent


def batches_of(agent):
    batches = {}
    for number, (side, spec) in enumerate(agent.specs.items()):
        seen, shape = observation(spec, ROWS, number, False), (ROWS, spec.num_agents)
        seen = replace(seen, mask=draw(*seen.mask.shape) > -1.0)
        seen.mask[..., 0] = True
        allowed = torch.where(seen.mask, draw(*seen.mask.shape, seed=1), -torch.inf).argmax(-1)
        batches[side] = Batch(seen, allowed, draw(*shape, seed=2) - 1.0, draw(*shape, seed=3), 3 * draw(*shape, seed=4),
                              draw(*shape, seed=5) > -0.5, draw(*shape, seed=6).abs())
    return batches


def gradients_of(agent, batches, index, monkeypatch):
    """Metrics and gradients of one step, without the step."""
    monkeypatch.setattr(Optimiser, "_step", lambda *given: None)  # no update before the first leaves gradients alone
    metrics = agent._fit_by_loops(batches, index) or agent._fit(batches, index)
    return [*metrics.values(), *(torch.zeros_like(p) if p.grad is None else p.grad.clone()
                                 for p in agent.network.parameters())]


@pytest.mark.parametrize("specs", [
    {"users": USERS}, {"items": ITEMS}, {"users": replace(USERS, num_options=7)},
    {"items": replace(ITEMS, num_levels=3, num_options=1)}, {"users": USERS, "items": ITEMS}], ids=str)
@pytest.mark.parametrize("hidden", [16, 64, 100])
def test_a_step_of_ppo_is_that_of_torch(specs, hidden, monkeypatch):
    agent = agent_of(specs, hidden=hidden, max_norm=1e9)
    batches, index = batches_of(agent), torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))[:PICKED]
    found = gradients_of(agent, batches, index, monkeypatch)
    assert agent._fit_by_loops(batches, index)
    with switched_off():
        assert not agent._fit_by_loops(batches, index)
        assert_alike(found, gradients_of(agent, batches, index, monkeypatch))


def called(patch):
    """Names of the loops that are called from now on."""
    names, call = [], policy.call
    patch.setattr(policy, "call", lambda kind, name, *given: names.append(name) or call(kind, name, *given))
    return names


@torch.no_grad()
def test_policies_and_values_are_those_of_torch(monkeypatch):
    for specs in ({"users": USERS}, {"items": ITEMS}, {"users": USERS, "items": ITEMS}):
        agent = agent_of(specs, hidden=32)
        for side, spec in specs.items():
            seen = observation(spec, 70, 0, False)
            with monkeypatch.context() as patch:
                calls = called(patch)
                found = agent.network.log_policy(side, seen), agent.network.own_value(side, seen)
            with switched_off():
                assert_alike(found, (agent.network.log_policy(side, seen), agent.network.own_value(side, seen)))
            assert calls == ["policies", "values"]


@torch.no_grad()
def test_values_of_what_followed_are_those_of_the_next_step(monkeypatch):
    agent = agent_of({"users": USERS}, hidden=32)
    seen = observation(USERS, 24, 0, False).map(lambda x: x.unflatten(0, (6, 4)))
    own = torch.cat([seen.own[1:], draw(*seen.own[:1].shape)])
    own[2, 1] += 0.5  # an episode ended
    after = replace(seen, own=own)
    with monkeypatch.context() as patch:
        calls = called(patch)
        found = agent.network.step_values("users", seen, after)
    assert calls == ["step_values"]
    known = (own[:-1] == seen.own[1:]).all(-1)
    assert known.sum() == known.numel() - USERS.num_agents
    assert torch.equal(found[1][:-1][known], found[0][1:][known])
    assert torch.equal(found[0], agent.network.own_value("users", seen))
    with switched_off():
        assert_alike(found, agent.network.step_values("users", seen, after))


@pytest.mark.parametrize("options", [{"encoder": "mlp"}, {"scorer": "concatenation"}, {"hidden": 200}], ids=str)
def test_other_actors_are_left_to_torch(options):
    specs = ONE_SIDE["users with a history"] if "encoder" in options else {"users": USERS}
    agent = agent_of(specs, **options)
    assert agent.network.form("users", observation(specs["users"], 2, 0, False)) is None
    assert find_agent("mappo").of(specs, Setting(0))._fit_by_loops(batches_of(agent), torch.arange(3)) == {}


def tables_of(spec, *rows):
    seen = observation(spec, rows[0], 0, False)
    own, options, mask = (table[:, 0] if len(rows) == 1 else table for table in (seen.own, seen.options, seen.mask))
    action = torch.randint(spec.num_actions, rows, generator=torch.Generator().manual_seed(1))
    return own, options, mask, action, draw(*rows, seed=1), draw(*rows, seed=2), draw(*rows) > -0.5, draw(*rows).abs()


class Followed:
    """An optimiser that only notes what it should follow."""

    def __init__(self):
        self.gradients = []

    def moments(self, progress, copies):
        return None

    def follow(self, gradient, progress):
        self.gradients.append(gradient)


def network_of(spec, seed=3, **form):
    return disturb(draw_weights(OptionScorer(spec, 16, torch.device("cpu"), **form), seed, "test"))


@pytest.mark.parametrize("spec", [USERS, ITEMS, replace(ITEMS, num_options=1, num_levels=3)], ids=str)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_step_of_q_learning_is_that_of_torch(spec, layer_norm):
    network = network_of(spec, layer_norm=layer_norm)
    for rows, index in (((ROWS,), torch.tensor([3, 39, 3, 0, 7])), ((ROWS, spec.num_agents), torch.tensor([3, 39, 0]))):
        own, options, _, action, _, _, valid, weight = tables_of(spec, *rows)
        wanted = 2 * draw(*index.shape, *rows[1:], seed=9)
        optimiser = Followed()
        losses = fitting.fit(network.form(own, options), parameters_of(network), (own, options, action, valid, weight),
                             fitting.Parts(index, wanted, [len(index)]), optimiser, 0.0, 0.7)
        network.zero_grad()
        with switched_off():
            value = network.taken(own[index], options[index], action[index]).squeeze(-1)
        error = torch.nn.functional.huber_loss(value, wanted, reduction="none", delta=0.7)
        loss = (error * weight[index] * valid[index]).sum() / valid[index].sum().clamp(min=1)
        loss.backward()
        seen = value.detach()[valid[index]]
        mean = seen.mean() if len(seen) else torch.tensor(0.0)
        assert_alike(losses, torch.stack([loss.detach(), value.detach().mean(), mean]))
        parts = optimiser.gradients[0].split([p.numel() for p in network.parameters()])
        assert_alike(parts, [p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("spec", [USERS, ITEMS], ids=str)
@torch.no_grad()
def test_targets_are_those_of_torch(spec, double):
    online, target = network_of(spec), network_of(spec, 4)
    own, options, mask, _, reward, discount, _, _ = tables_of(spec, ROWS)
    index = torch.arange(0, ROWS, 3)
    found = fitting.targets(online.form(own, options), [parameters_of(online if double else target),
                                                       parameters_of(target)],
                           (own, options, mask, reward, discount), index, double)
    with switched_off():
        choice, value = ((online if double else target)(own, options), target(own, options))
    best = choice.squeeze(-1).masked_fill(~mask, -torch.inf).argmax(-1, keepdim=True)
    wanted = reward + discount * value.squeeze(-1).gather(-1, best).squeeze(-1)
    assert_alike([found], [wanted[index]])


def test_copies_under_vmap_get_what_each_gets_alone():
    networks = [network_of(ITEMS, seed) for seed in range(3)]
    weights = [torch.stack(column).detach() for column in zip(*map(parameters_of, networks), strict=True)]
    own, options, _, action, _, _, valid, weight = (x.unflatten(0, (3, -1)) for x in tables_of(ITEMS, 45))
    index, wanted = torch.stack([torch.randperm(15)[:6] for _ in range(3)]), draw(3, 6)

    optimiser = Followed()

    def step(index, wanted, own, options, action, valid, weight, *weights):
        rows = own, options, action, valid, weight
        return fitting.fit(networks[0].form(own, options), weights, rows, fitting.Parts(index, wanted, [4, 2]),
                           optimiser, 0.0)

    losses = torch.func.vmap(step)(index, wanted, own, options, action, valid, weight, *weights)
    of_copies = optimiser.gradients[1]
    for number, network in enumerate(networks):
        alone = step(*(x[number] for x in (index, wanted, own, options, action, valid, weight)),
                     *parameters_of(network))
        assert torch.equal(losses[number], alone)
        assert torch.equal(of_copies[number], optimiser.gradients[-1])


@pytest.mark.parametrize("max_norm", [0.0, 0.1, 1e6])
def test_a_known_gradient_is_followed_as_one_of_autograd(max_norm):
    networks = [network_of(USERS) for _ in range(2)]
    optimisers = [Optimiser(network, 0.01, max_norm) for network in networks]
    for step in range(3):
        gradients = [draw(*p.shape, seed=step) for p in networks[0].parameters()]
        loss = sum((p * g).sum() for p, g in zip(networks[0].parameters(), gradients, strict=True))
        optimisers[0].step(loss, 0.1)
        optimisers[1].follow(torch.cat([g.flatten() for g in gradients]), 0.1)
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    counts = [[float(kept["step"]) for kept in o.state_dict()["_adam"]["state"].values()] for o in optimisers]
    assert counts[0] == counts[1] == [3.0] * len(counts[0])


def learners(max_norm=0.1, count=2):
    networks = [network_of(USERS, layer_norm=True) for _ in range(count)]
    return [(network, Optimiser(network, 0.01, max_norm)) for network in networks]


def learn(network, optimiser, number, progress=0.1):
    own, options, _, action, wanted, _, valid, weight = tables_of(USERS, ROWS)
    index = torch.randperm(ROWS, generator=torch.Generator().manual_seed(number))
    return fitting.fit(network.form(own, options), parameters_of(network), (own, options, action, valid, weight),
                       fitting.Parts(index, wanted[index], [20, 13, 7]), optimiser, progress)


@pytest.mark.parametrize("max_norm", [0.0, 0.1, 1e6])
def test_a_loop_moves_weights_as_torch_does(max_norm, monkeypatch):
    mine, other = learners(max_norm)
    for number in range(3):
        found = learn(*mine, number)
        with monkeypatch.context() as patch:
            patch.setattr(Optimiser, "moments", lambda *given: None)
            patch.setattr(Optimiser, "_as_whole", lambda *given: None)
            wanted = learn(*other, number)
        assert_alike([found], [wanted])
    for one, two in zip(state_of(*mine), state_of(*other), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert state_of(*mine)[-1] == 9.0


def state_of(network, optimiser):
    """Weights, and what Adam keeps of each parameter."""
    kept = optimiser.state_dict()["_adam"]["state"].values()
    names = "exp_avg", "exp_avg_sq", "step"
    return [*network.state_dict().values(), *(of_one[name] for of_one in kept for name in names)]


@pytest.mark.parametrize("moved", ["a copy", "loaded", "one weight elsewhere", "a step of torch's", "steps apart"])
def test_learning_goes_on_wherever_weights_are(moved, monkeypatch):
    """Weights, and what Adam keeps, are tables in one piece as long as nobody moves them."""
    mine, other = learners()
    for one in (mine, other):
        learn(*one, 0)
        learn(*one, 1)
    network, optimiser = mine
    if moved == "a copy":
        mine = copy.deepcopy(mine)
    elif moved == "loaded":
        (mine,) = learners(count=1)
        learn(*mine, 5)
        mine[0].load_state_dict(network.state_dict())
        mine[1].load_state_dict(optimiser.state_dict())
    elif moved == "one weight elsewhere":
        weight = list(network.parameters())[3]
        weight.data = weight.data.clone()
    else:
        for network, optimiser in (mine, other):
            some = list(network.parameters())[:None if moved == "a step of torch's" else 3]
            optimiser.step(sum(p.square().sum() for p in some), 0.2)
    found = learn(*mine, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Optimiser, "moments", lambda *given: None)
        patch.setattr(Optimiser, "_as_whole", lambda *given: None)
        wanted = learn(*other, 2)
    assert_alike([found], [wanted])
    for one, two in zip(state_of(*mine), state_of(*other), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
def test_an_update_of_dqn_is_in_one_call_what_it_is_in_three(double, monkeypatch):
    agent = DQNAgent.of({"users": USERS}, Setting(3, total_steps=100), DQNOptions(warm_up=30, batch_size=16,
                                                                                  double=double))
    for number, steps in enumerate(trajectory({"users": USERS}, 12, False)):
        action = (draw(*steps["users"].action.shape, seed=number).abs() * 5).long() % USERS.num_actions
        agent.learn_from({"users": replace(steps["users"], action=action)})
    other, names = copy.deepcopy(agent), []
    call = fitting.call
    monkeypatch.setattr(fitting, "call", lambda kind, name, *given: names.append(name) or call(kind, name, *given))
    found = agent._update()
    with monkeypatch.context() as patch:
        patch.setattr(Optimiser, "moments", lambda *given: None)
        wanted = other._update()
    assert names == ["update", "targets", "fit"]
    assert_alike(found.values(), wanted.values())
    assert_alike([*state_of(agent.online, agent._optimiser), *agent.target.parameters()],
                 [*state_of(other.online, other._optimiser), *other.target.parameters()])


def test_a_target_follows_as_torch_lets_it():
    online, *targets = (network_of(USERS, seed) for seed in (1, 2, 2))
    follow(targets[0], online, 0.25)
    with switched_off():
        follow(targets[1], online, 0.25)
    assert_alike(targets[0].state_dict().values(), targets[1].state_dict().values())
    assert not torch.equal(*(next(network.parameters()) for network in (online, targets[0])))


@pytest.mark.parametrize("shape", [(5,), (10, 3), (7, 2, 3)])
@pytest.mark.parametrize("weight", [0.0, 0.65, 1.0])
def test_lambda_returns_have_the_bits_of_torch(shape, weight):
    given = draw(*shape), draw(*shape, seed=1), draw(*shape, seed=2) > 0.8, draw(*shape, seed=3)
    found = lambda_returns(*given, weight)
    with switched_off():
        assert torch.equal(found, lambda_returns(*given, weight))
