"""Copies of an agent with seeds of their own, which act and learn as one."""

from contextlib import nullcontext

import pytest
import torch

from interplay.agents import Setting, agents, find_agent
from interplay.agents.parts.networks import OptionScorer
from interplay.agents.parts.optimising import Optimiser
from interplay.agents.parts.seeds import Seeds, can_stack
from interplay.envs.kernels import available, switched_off
from interplay.envs.noise import Stream, any_of, uniform, world_key
from interplay.envs.presets import find_preset
from interplay.experiments.common.options import make_options
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players

SEEDS, WORLDS = (3, 8), 4
TOLERANCE = 2e-4
"""Relative, of losses and weights after a hundred updates: batched products round in another order."""

CASES = {
    "q-learning": {}, "dqn": {"warm_up": 60, "batch_size": 16}, "pqn": {"rollout_length": 4},
    "ippo": {"rollout_length": 5}, "mappo": {"rollout_length": 5}, "shared-critic": {"warm_up": 60, "batch_size": 16},
    "random": {}, "rest": {}, "greedy": {}}
MORE = [
    ("dqn", {"warm_up": 60, "batch_size": 16, "priority": 0.6, "num_steps": 3, "dueling": True, "num_quantiles": 3}),
    ("dqn", {"warm_up": 60, "batch_size": 16, "priority": 0.6, "sharing": "independent"}),
    ("dqn", {"warm_up": 60, "batch_size": 16, "munchausen": 0.9, "sharing": "embedding"}),
    ("pqn", {"rollout_length": 4, "sharing": "independent", "max_norm": 0.01}), ("pqn", {"max_norm": 0.01}),
    ("q-learning", {"double": True, "fit_steps": 6}), ("q-learning", {"shared": True, "fit_steps": 6})]


def market_of(preset):
    small = dict(num_users=5, num_items=6) if preset == "town" else {}
    return find_preset(preset).market(**small)


def players_of_each(market, users, options, items):
    """Players for each seed."""
    def player(side, name, options, seed):
        kind = find_agent(name)
        given = make_options(kind.Options, options, name)
        return kind.of({side: market.spec_of(side)}, Setting(seed, total_steps=200), given)

    return [Players({"users": player("users", users, options, seed), "items": player("items", items, {}, seed)})
            for seed in SEEDS]


def played(market, players, seed, steps):
    now = look(market, players, market.reset(range(WORLDS), seed), explore=True)
    metrics = {}
    for _ in range(steps):
        now, _, found = iterate(market, players, now)
        metrics |= found
    return now.state, metrics


@pytest.mark.parametrize(("preset", "users", "options"), [
    *(("town", *case) for case in [*CASES.items(), *MORE]),
    *(pytest.param("kale", *case, marks=[] if case[0] in ("dqn", "ippo", "q-learning") and case not in MORE
                   else pytest.mark.slow) for case in [*CASES.items(), *MORE])], ids=str)
@pytest.mark.filterwarnings("error")
def test_copies_do_what_each_does_alone(preset, users, options):
    market, steps = market_of(preset), 25
    alone = players_of_each(market, users, options, "rest")
    parts = players_of_each(market, users, options, "rest")
    copied = zip(*(each.each() for each in parts), strict=True)
    stacked = Players.of_players([Seeds(copies) for copies in copied], parts[0])
    state, metrics = played(market, stacked, list(SEEDS), steps)
    for number, (seed, players) in enumerate(zip(SEEDS, alone, strict=True)):
        own, wanted = played(market, players, seed, steps)
        for copy, player in zip(stacked.each(), parts[number].each(), strict=True):
            copy.hand_over({number: player}, own=True)
        assert torch.equal(state.key.unflatten(0, (2, -1))[number], own.key)
        assert torch.equal(state.taken.unflatten(0, (2, -1))[number], own.taken)
        torch.testing.assert_close(state["satiation"].unflatten(0, (2, -1))[number], own["satiation"])
        assert wanted.keys() == metrics.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(metrics[name][number], value, rtol=TOLERANCE, atol=1e-5)
        assert_close(parts[number].state_dict(), players.state_dict())


@pytest.mark.parametrize("options", [{"fit_steps": 6}, {"double": True, "fit_steps": 6}], ids=str)
def test_tables_are_stacked_where_there_are_no_loops(options):
    with switched_off():
        test_copies_do_what_each_does_alone("town", "q-learning", options)


@pytest.mark.skipif(not available(), reason="without kernels nothing is kept")
def test_copies_score_what_they_see_as_seldom_as_each_does_alone(monkeypatch):
    market, steps, scored = market_of("town"), 8, []
    forward = OptionScorer.forward
    monkeypatch.setattr(OptionScorer, "forward", lambda *given: (scored.append(1), forward(*given))[1])
    alone = players_of_each(market, "pqn", {"rollout_length": 4}, "rest")
    parts = [Seeds(copies) for copies in zip(*(each.each() for each in alone), strict=True)]
    played(market, Players.of_players(parts, alone[0]), list(SEEDS), steps)
    together = len(scored)
    played(market, alone[0], SEEDS[0], steps)
    assert together == len(scored) - together < 2 * steps


def assert_close(one, other):
    if isinstance(one, torch.Tensor) and one.is_floating_point():
        torch.testing.assert_close(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_close(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b)
    else:
        assert one == other


def test_every_agent_that_says_so_is_tested_here():
    assert {name for name, kind in agents().items() if kind.stacks} == CASES.keys() | {"slateq"}


def test_a_recurrent_encoder_cannot_be_stacked():
    market = find_preset("kale-partial").market()
    for encoder, fits in (("gru", False), ("none", True)):
        made = players_of_each(market, "ippo", {"encoder": encoder}, "rest")
        assert can_stack([players["users"] for players in made]) is fits


@pytest.mark.parametrize("kernels", [True, False])
def test_noise_of_copies_is_the_noise_of_each(kernels):
    worlds = torch.arange(3)
    keys = torch.stack([world_key(seed, worlds) for seed in SEEDS])
    mask = torch.rand(2, 3, 4, 5) > 0.5
    mask[..., 0] = True

    def draw(key, mask):
        return uniform(key, 7, Stream.EXPLORE, (4, 2)), any_of(key, 7, Stream.EXPLORE, mask)

    with nullcontext() if kernels else switched_off():
        drawn, places = torch.func.vmap(draw)(keys, mask)
        alike = torch.func.vmap(draw, in_dims=(0, None))(keys, mask[0])[1]
    for number in range(2):
        wanted, place = draw(keys[number], mask[number])
        assert torch.equal(drawn[number], wanted)
        assert torch.equal(places[number], place)
        assert torch.equal(alike[number], draw(keys[number], mask[0])[1])


def test_the_gradient_of_each_copy_has_a_length_of_its_own():
    layer = torch.nn.Linear(3, 2)
    optimiser = Optimiser(layer, 0.1, max_norm=1.0)
    layer.weight.data, layer.bias.data = torch.ones(2, 2, 3), torch.zeros(2, 2)

    def learn(weight, bias, scale):
        optimiser.step((scale * torch.nn.functional.linear(torch.ones(3), weight, bias)).sum(), 0.0)
        return scale

    torch.func.vmap(learn)(layer.weight, layer.bias, torch.tensor([1000.0, 0.001]))
    lengths = (layer.weight.grad.square().sum((1, 2)) + layer.bias.grad.square().sum(1)).sqrt()
    torch.testing.assert_close(lengths, torch.tensor([1.0, 0.001 * 8.0**0.5]))
