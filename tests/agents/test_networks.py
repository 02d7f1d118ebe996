"""Initial weights and gradients of every network of every learner, in all its variants, found by discovery."""

from dataclasses import fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import nn

from interplay.agents import JointAgent, Setting, agents
from interplay.agents.encoders import NONE, encoders
from interplay.agents.parts import networks as networks_module
from interplay.agents.parts.networks import OptionScorer, draw_weights, values_of
from interplay.agents.testing.synthetic_transitions import ANY_SIDES, ONE_SIDE, trajectory
from interplay.envs.kernels import switched_off

SMALL = {"warm_up": 20, "batch_size": 64, "hidden": 8, "rollout_length": 4, "num_epochs": 1, "num_minibatches": 1}


def choices(kind):
    """Options that choose among forms of an algorithm, and their values."""
    hints = get_type_hints(kind.Options)
    found = {name: (True, False) if hint is bool else get_args(hint) for name, hint in hints.items()
             if hint is bool or get_origin(hint) is Literal}
    found |= {"encoder": (NONE, *encoders())} if "encoder" in hints else {}
    return [(name, value) for name, values in found.items() for value in values]


def roles(kind):
    """The sides that it plays in one run, each with what is seen there."""
    if issubclass(kind, JointAgent):
        return {"both": ANY_SIDES["users with a history, and items"]}
    cases = {"users": "users with a history", "items": "items", "platform": "a platform"}
    return {side: ONE_SIDE[cases[side]] for side in kind.plays}


def make(kind, specs, seed=1, **choice):
    names = {field.name for field in fields(kind.Options)}
    options = kind.Options(**{name: value for name, value in SMALL.items() if name in names}, **choice)
    return kind.of(specs, Setting(seed=seed, total_steps=40), options)


def networks(agent):
    """Those that are trained, by name."""
    return {name: part for name, part in vars(agent).items()
            if isinstance(part, nn.Module) and all(p.requires_grad for p in part.parameters())}


DEEP = [kind for kind in agents().values() if any(networks(make(kind, specs)) for specs in roles(kind).values())]
VARIANTS = [(kind, role, dict([choice])) for kind in DEEP for role in roles(kind) for choice in choices(kind) or [()]]
IDS = ["-".join([kind.name, role, *(f"{name}={value}" for name, value in choice.items())])
       for kind, role, choice in VARIANTS]


def test_deep_agents_are_found():
    assert {"dqn", "pqn", "slateq", "shared-critic", "ippo", "mappo"} <= {kind.name for kind in DEEP}


@pytest.mark.parametrize(("kind", "role", "choice"), VARIANTS, ids=IDS)
def test_no_weights_start_at_zero(kind, role, choice):
    for label, network in networks(make(kind, roles(kind)[role], **choice)).items():
        for name, parameter in network.named_parameters():
            assert bool(torch.isfinite(parameter).all()), f"{label}.{name} was not drawn"
            is_bias = name.rpartition(".")[2].startswith("bias")
            assert bool((parameter == 0.0).all()) == is_bias, f"{label}.{name}"


def acted(agent, side, step):
    """The step with what the agent does in it; half of the users take the first of a platform's slots."""
    if side == "platform":
        slate = agent.offer(step.observation, 2, True).slots
        return replace(step, slate=slate, action=torch.where(step.response > 0.5, slate[..., 0], 0))
    return replace(step, action=agent.act_as(side, step.observation, True))


def metrics_of(agent, specs):
    """Metrics of the agent's first update, whose gradients are still there."""
    for moment in trajectory(specs, 30, False):
        steps = {side: acted(agent, side, step) for side, step in moment.items()}
        metrics = agent.learn_from(steps)
        if "loss" in metrics:
            return metrics
    raise AssertionError("it did not learn")


# PPO has towers for its actor and for its critic, and leaves parts of them out of the loss: the actor needs no
# response, the critic neither that nor scores, and IPPO's critic does not read what there is to choose from.
UNREAD = {"ippo": ("_response", "_critic._levels", "_critic._nothing", "_critic._segment"),
          "mappo": ("_response", "_critic._levels", "_critic._nothing")}


@pytest.mark.parametrize(("kind", "role", "choice"), VARIANTS, ids=IDS)
def test_every_parameter_gets_a_gradient(kind, role, choice):
    specs = roles(kind)[role]
    agent = make(kind, specs, **choice)
    metrics_of(agent, specs)
    for label, network in networks(agent).items():
        for name, parameter in network.named_parameters():
            unread = any(part in name for part in UNREAD.get(kind.name, ()))
            learns = parameter.grad is not None and bool((parameter.grad != 0.0).any())
            assert learns is not unread, f"{label}.{name}"


@pytest.mark.parametrize("kind", DEEP, ids=lambda kind: kind.name)
def test_weights_that_are_not_finite_show_in_the_metrics(kind):
    """A loop that looks at metrics alone, once an episode, has to see them."""
    for specs in roles(kind).values():
        for label in networks(make(kind, specs)):
            agent = make(kind, specs)
            for parameter in networks(agent)[label].parameters():
                nn.init.constant_(parameter, torch.nan)
            metrics = metrics_of(agent, specs)
            assert not all(torch.isfinite(value) for value in metrics.values()), label


def signatures(agent):
    """What tells the draws of a weight from others, whatever they were scaled by."""
    for label, network in networks(agent).items():
        for name, parameter in network.named_parameters():
            numbers = parameter.detach().double().flatten()[:3]
            if len(numbers) == 3 and numbers[0] not in (0.0, 1.0):
                yield f"{label}.{name}", tuple((numbers / numbers[0]).round(decimals=4).tolist())


@pytest.mark.parametrize("kind", DEEP, ids=lambda kind: kind.name)
def test_no_two_weights_share_their_draws(kind):
    """Of any network, player or seed."""
    found = {(role, seed, name): signature for role, specs in roles(kind).items() for seed in (0, 1, 2)
             for name, signature in signatures(make(kind, specs, seed))}
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("kind", DEEP, ids=lambda kind: kind.name)
def test_one_seed_gives_the_same_weights(kind):
    for specs in roles(kind).values():
        assert dict(signatures(make(kind, specs, 3))) == dict(signatures(make(kind, specs, 3)))


def learnt(kind, choice, change):
    """State of an independent agent after some updates on steps of which ``change`` altered agent 0's part."""
    specs = ONE_SIDE["users with a history"]
    agent = make(kind, specs, sharing="independent", **choice)
    for moment in trajectory(specs, 30, False):
        step = moment["users"]
        action = (10.0 * step.response).long() % step.observation.mask.shape[-1]
        agent.learn_from({"users": change(replace(step, action=action))})
    return agent.state_dict()


def altered(step):
    """Agent 0 was often not there; where it was, it saw something else and earned very much."""
    first = torch.arange(step.reward.shape[1]) == 0
    seen = replace(step.observation, own=torch.where(first.unsqueeze(-1), 3.0, step.observation.own))
    return replace(step, observation=seen, reward=torch.where(first, 1000.0, step.reward),
                   valid=step.valid & ~(first & (step.response < 0.7)))


def by_agent(state):
    """All numbers that belong to an agent, by name: weights, targets, and Adam's moments."""
    weights = {(label, name): value for label, part in state.items() if label in ("online", "target", "network")
               for name, value in part.items()}
    adam = state["_optimiser"]["_adam"]["state"]
    return weights | {("adam", number, name): moment for number, moments in adam.items()
                      for name, moment in moments.items() if name != "step"}


INDEPENDENT = [(kind, choice) for kind in DEEP for choice in [{}, {"priority": 0.6}, {"max_norm": 0.01}]
               if {"sharing", *choice} <= {field.name for field in fields(kind.Options)}]


@pytest.mark.parametrize(("kind", "choice"), INDEPENDENT, ids=[f"{kind.name}-{choice}" for kind, choice in INDEPENDENT])
def test_independent_agents_share_nothing(kind, choice):
    """Whatever one of them lives through, all that belongs to the others stays as it was, to the bit."""
    one, other = (by_agent(learnt(kind, choice, change)) for change in (lambda step: step, altered))
    assert len(one) > 20
    for name, numbers in one.items():
        assert torch.equal(numbers[1:], other[name][1:]), name
        assert not torch.equal(numbers[0], other[name][0]), name


def test_draws_depend_on_the_seed_the_owner_and_the_name_alone():
    def drawn(seed, owner, **layers):
        return draw_weights(nn.ModuleDict(layers), seed, owner).state_dict()["here.weight"]

    weight = drawn(1, "users", here=nn.Linear(3, 2))
    assert torch.equal(weight, drawn(1, "users", before=nn.Linear(5, 5), here=nn.Linear(3, 2)))
    assert not torch.equal(weight, drawn(1, "items", here=nn.Linear(3, 2)))
    assert not torch.equal(weight, drawn(1 << 32, "users", here=nn.Linear(3, 2)))
    # A salted hash would give others in each process.
    assert weight[0].tolist() == pytest.approx([-0.07647882, -0.25152817, -1.37586582])


@pytest.mark.parametrize("form", [{}, {"layer_norm": True}, {"num_outputs": 3}, {"dueling": True},
                                  {"sharing": "embedding"}, {"sharing": "independent"}], ids=str)
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_values_of_what_was_done_are_those_of_all_actions_with_the_same_gradients(form, levels):
    spec = replace(ONE_SIDE["items"]["items"], num_levels=levels)
    network = draw_weights(OptionScorer(spec, 16, torch.device("cpu"), **form), 3, "test")
    generator = torch.Generator().manual_seed(0)
    rows = 40, spec.num_agents
    own = torch.rand(*rows, len(spec.own_features), generator=generator)
    options = torch.rand(*rows, spec.num_options, len(spec.option_features), generator=generator)
    action = torch.randint(spec.num_actions, rows, generator=generator)
    agent = torch.arange(spec.num_agents).expand(rows)
    found = []
    for values in (network.taken(own, options, action, agent), values_of(network(own, options, agent), action)):
        network.zero_grad()
        values.square().sum().backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
        found.append([values.detach(), *gradients])
    for mine, wanted in zip(*found, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("form", [{}, {"num_outputs": 3}, {"dueling": True}, {"sharing": "embedding"}], ids=str)
@pytest.mark.parametrize("rows", [(3, 7), (7,)])
def test_many_options_are_scored_in_parts_with_the_same_values(form, rows, monkeypatch):
    spec = replace(ONE_SIDE["items"]["items"], num_agents=7)
    network = draw_weights(OptionScorer(spec, 16, torch.device("cpu"), **form), 3, "test")
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(*rows, len(spec.own_features), generator=generator)
    options = torch.rand(*rows, spec.num_options, len(spec.option_features), generator=generator)
    agent = torch.arange(7).expand(rows)
    wanted = network(own, options, agent).detach()  # with gradients, by torch
    sizes, whole = [], OptionScorer._all
    monkeypatch.setattr(OptionScorer, "_all", lambda *given: sizes.append(given[1].shape) or whole(*given))
    monkeypatch.setattr(networks_module, "_AT_ONCE", options.shape[:-1].numel() // 3)
    with torch.no_grad(), switched_off():
        torch.testing.assert_close(network(own, options, agent), wanted)
    assert len(sizes) > 1
    sizes.clear()
    network(own, options, agent)
    assert len(sizes) == 1, "what is learnt from goes through at once"
