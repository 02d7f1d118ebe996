"""Loops of ``OptionScorer`` give what torch gives, with the same gradients, and the default learners use them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from interplay.agents import Setting, find_agent
from interplay.agents.loops import flat, policy, scorer_cpu
from interplay.agents.parts import fitting
from interplay.agents.parts.networks import OptionScorer, draw_weights
from interplay.agents.testing.synthetic_transitions import ONE_SIDE
from interplay.envs import kernels
from interplay.envs.kernels import switched_off
from interplay.envs.presets import find_preset
from interplay.experiments.common.options import make_options
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players

pytestmark = pytest.mark.skipif(not kernels.available(), reason="loops need numba")
SPEC = ONE_SIDE["items"]["items"]


@pytest.fixture
def calls(monkeypatch):
    """Names of the loops that were called."""
    names, call = [], flat.call
    for module in (scorer_cpu, fitting, policy):
        monkeypatch.setattr(module, "call", lambda kind, name, *given: names.append(name) or call(kind, name, *given))
    return names


def network_of(spec=SPEC, hidden=16, **form):
    network = draw_weights(OptionScorer(spec, hidden, torch.device("cpu"), **form), 3, "test")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():  # biases and norms, too
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network


def seen_by(spec, *rows):
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(*rows, len(spec.own_features), generator=generator)
    options = torch.randn(*rows, spec.num_options, len(spec.option_features), generator=generator)
    return own, options, torch.randint(spec.num_actions, rows, generator=generator)


def results_of(network, own, options, action):
    """Values, and gradients of something that weighs all rows and outputs in another way."""
    network.zero_grad()
    value = network.taken(own, options, action)
    (value.square() * torch.linspace(-1.0, 1.0, value.numel()).view(value.shape)).sum().backward()
    with torch.no_grad():
        return [network(own, options), value.detach(), *(parameter.grad for parameter in network.parameters())]


def assert_alike(found, wanted):
    for mine, other in zip(found, wanted, strict=True):
        largest = float(other.abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=2e-5 * largest + 1e-7)


@pytest.mark.parametrize("form", [{}, {"layer_norm": True}, {"num_outputs": 3}, {"num_outputs": 3, "layer_norm": True},
                                  {"hidden": 64, "layer_norm": True}, {"hidden": 100}], ids=str)
@pytest.mark.parametrize(("options", "levels", "rows"), [
    (4, 1, (40, 9)), (3, 2, (5, 7)), (150, 1, (3,)), (1, 3, (1, 1)), (4, 1, (0, 3))])
def test_loops_give_what_torch_gives(form, options, levels, rows, calls):
    spec = replace(SPEC, num_options=options, num_levels=levels)
    network, given = network_of(spec, **form), seen_by(spec, *rows)
    found = results_of(network, *given)
    assert calls == ["taken", "gradients", "scores"]
    with switched_off():
        wanted = results_of(network, *given)
    assert len(calls) == 3
    assert_alike(found, wanted)


@pytest.mark.parametrize("done", [0, 1])
def test_all_rows_may_have_one_head(done):
    network, (own, options, action) = network_of(), seen_by(SPEC, 300)
    given = own, options, torch.full_like(action, done)
    found = results_of(network, *given)
    with switched_off():
        assert_alike(found, results_of(network, *given))


def test_rows_of_any_layout_will_do():
    network, (own, options, action) = network_of(), seen_by(SPEC, 6, 5)
    wanted = results_of(network, own.clone(), options.clone(), action.clone())
    turned = [table.transpose(0, 1).contiguous().transpose(0, 1) for table in (own, options, action)]
    for mine, other in zip(results_of(network, *turned), wanted, strict=True):
        assert torch.equal(mine, other)


def test_bits_do_not_depend_on_threads():
    network, given, before = network_of(hidden=64), seen_by(SPEC, 2000), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(results_of(network, *given))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("form", [{"dueling": True}, {"sharing": "embedding"}, {"sharing": "independent"},
                                  {"hidden": 200}], ids=str)
def test_other_forms_are_left_to_torch(form, calls):
    network, (own, options, action) = network_of(**form), seen_by(SPEC, 4, SPEC.num_agents)
    agent = torch.arange(SPEC.num_agents).expand(4, -1)
    network.taken(own, options, action, agent).sum().backward()
    with torch.no_grad():
        network(own, options, agent)
    assert not calls


def test_gradients_of_what_is_seen_are_left_to_torch(calls):
    network, (own, options, action) = network_of(), seen_by(SPEC, 4)
    own.requires_grad_()
    (network.taken(own, options, action).sum() + network(own, options).sum()).backward()
    assert own.grad is not None
    network(own.detach(), options).sum().backward()  # of all actions
    network.double().taken(own.detach().double(), options.double(), action)
    assert not calls


class Taking(nn.Module):
    """A network whose call gives values of what was taken."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *given):
        return self.network.taken(*given).squeeze(-1)


def test_copies_under_vmap_are_one_call(calls):
    networks = [Taking(network_of(layer_norm=True)) for _ in range(3)]
    given = [table.unflatten(0, (3, -1)) for table in seen_by(SPEC, 15, 7)]
    with torch.no_grad():
        for number, network in enumerate(networks):
            for parameter in network.parameters():
                parameter += 0.1 * number
    weights, _ = torch.func.stack_module_state(networks)
    values = torch.func.vmap(lambda w, *tables: torch.func.functional_call(networks[0], w, tables))(weights, *given)
    values.square().sum().backward()
    assert calls == ["taken", "gradients"]
    for number, network in enumerate(networks):
        value = network(*(table[number] for table in given))
        value.square().sum().backward()
        assert torch.equal(values[number], value)
        for name, parameter in network.named_parameters():
            assert torch.equal(weights[name].grad[number], parameter.grad)


@pytest.mark.parametrize("preset", ["kale", "town"])
@pytest.mark.parametrize(("name", "small", "loops"), [
    ("dqn", {"warm_up": 60, "batch_size": 16}, {"scores", "targets", "fit", "update"}),
    ("pqn", {"rollout_length": 4}, {"scores", "fit", "improve"}),
    ("ippo", {"rollout_length": 4}, {"policies", "step_values", "update"})])
def test_default_learners_use_the_loops(preset, name, small, loops, calls):
    preset = find_preset(preset)
    market, kind = preset.market(), find_agent(name)
    usual = preset.training.on(torch.device("cpu")).options.get(name, {})
    options = make_options(kind.Options, {**usual, **small}, name)
    player = kind.of({"users": market.spec_of("users")}, Setting(0, total_steps=200), options)
    rest = find_agent("rest").of({"items": market.spec_of("items")}, Setting(0, total_steps=200))
    players = Players({"users": player, "items": rest})
    now = look(market, players, market.reset(range(4), 0), explore=True)
    for _ in range(70 if preset.name == "kale" else 8):
        now, _, _ = iterate(market, players, now)
    assert loops == {*calls}
