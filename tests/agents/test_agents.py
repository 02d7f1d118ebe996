import io
from dataclasses import replace

import pytest
import torch

from interplay.agents import JointAgent, Setting, agents, find_agent
from interplay.agents.dqn import DQNOptions
from interplay.agents.parts.choosing import best
from interplay.agents.q_learning import QLearningOptions
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES, InterplayError
from interplay.experiments.cast import Cast
from interplay.experiments.play import iterate, look

MARKETS = {"kale": {}, "town": {"num_users": 5, "num_items": 7, "horizon": 40}, "contest": {"num_users": 6}}
OPTIONS = {"dqn": {"warm_up": 20, "batch_size": 8}, "q-learning": {"fit_steps": 4, "num_clusters": 5}}


def make(name, market, side, seed=1):
    kind = find_agent(name)
    return kind(market.specs[side], Setting(seed=seed, total_steps=30), kind.Options(**OPTIONS.get(name, {})))


def both(name, market, seed=1):
    kind = find_agent(name)
    if issubclass(kind, JointAgent):
        one = kind(market.specs, Setting(seed=seed, total_steps=30), kind.Options(**OPTIONS.get(name, {})))
        return Cast(dict.fromkeys(SIDES, one))
    return Cast({side: make(name, market, side, seed) for side in SIDES})


def play(market, pair, now, steps):
    actions = []
    for _ in range(steps):
        before = now
        now, step, metrics = iterate(market, pair, now)
        for side in SIDES:
            assert before.seen[side].mask.dtype == torch.bool
        assert step.illegal_users.sum() == 0
        assert step.illegal_items.sum() == 0
        assert all(torch.isfinite(value).all() for value in metrics.values())
        actions.append((step.position, step.cost))
    return now, actions


@pytest.mark.parametrize("preset", MARKETS)
@pytest.mark.parametrize("name", agents())
def test_every_agent_plays_both_sides_within_the_mask_and_repeats_itself(name, preset):
    market = find_preset(preset).market(**MARKETS[preset])
    before = torch.random.get_rng_state()
    runs = []
    for _ in range(2):
        pair = both(name, market)
        now = look(market, pair, market.reset([0, 1, 2]))
        for side, action in pair.act(now.seen, True).items():
            assert action.dtype == torch.int64
            assert action.shape == now.seen[side].mask.shape[:2]
        runs.append(play(market, pair, now, 12)[1])
    for one, other in zip(*runs, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert torch.equal(before, torch.random.get_rng_state())  # nobody touches the global generator


@pytest.mark.parametrize("name", agents())
def test_every_agent_goes_on_from_its_state_dict(name):
    market = find_preset("town").market(**MARKETS["town"])
    pair = both(name, market)
    now, _ = play(market, pair, look(market, pair, market.reset([0, 1])), 15)
    file = io.BytesIO()
    torch.save(pair.state_dict(), file)
    file.seek(0)
    copies = both(name, market, seed=1)
    copies.load_state_dict(torch.load(file, weights_only=True))
    for one, other in zip(play(market, pair, now, 15)[1], play(market, copies, now, 15)[1], strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_baselines_do_what_they_say():
    market = find_preset("town").market()
    state = market.reset(range(3))
    users = market.observe(state, "users", privileged=True)
    assert (make("rest", market, "users").act(users, False) == 0).all()
    assert (make("first", market, "users").act(users, False) == 1).all()
    assert torch.equal(make("greedy", market, "users").act(users, False), users.expected.argmax(-1))
    column = market.specs["users"].option_features.index("popularity")
    options = users.options.clone()
    options[..., column] = torch.tensor([0.1, 0.4, 0.9, 0.2])
    assert (make("popularity", market, "users").act(replace(users, options=options), False) == 3).all()
    counts = torch.bincount(make("random", market, "users").act(users, False).flatten(), minlength=5)
    assert (counts > 15).all()


def test_greedy_says_what_it_needs():
    market = find_preset("kale").market()
    with pytest.raises(InterplayError, match="privileged=True"):
        make("greedy", market, "users").act(market.observe(market.reset([0]), "users"), False)


def test_the_best_is_never_forbidden():
    assert best(torch.tensor([[3.0, 9.0, 5.0]]), torch.tensor([[True, False, True]])).tolist() == [2]


@pytest.mark.parametrize(("kind", "wrong"), [(DQNOptions, {"hidden": 0}), (QLearningOptions, {"learning_rate": 0.0})])
def test_wrong_options_are_named(kind, wrong):
    with pytest.raises(InterplayError, match=next(iter(wrong))):
        kind(**wrong)


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("name", agents())
def test_every_action_is_allowed(name, explore):
    market = find_preset("town").market(num_users=5, num_items=7, energy_start=1.0)
    pair = both(name, market)
    now, _ = play(market, pair, look(market, pair, market.reset([0, 1, 2])), 10)
    for side, action in pair.act(now.seen, explore).items():
        seen = now.seen[side]
        assert not seen.mask.all()  # somebody may not do everything
        assert seen.mask.gather(2, action.unsqueeze(2)).all()


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.parametrize("preset", MARKETS)
@pytest.mark.parametrize("name", [name for name, kind in agents().items() if kind.learns])
def test_a_resumed_learner_has_the_same_state_after_30_steps(name, preset):
    market = find_preset(preset).market(**MARKETS[preset])
    pair = both(name, market)
    now, _ = play(market, pair, look(market, pair, market.reset([0, 1])), 30)
    file = io.BytesIO()
    torch.save(pair.state_dict(), file)
    file.seek(0)
    saved, copies = torch.load(file, weights_only=True), both(name, market)
    assert not equal(copies.state_dict(), saved)  # it has learned something
    copies.load_state_dict(saved)
    play(market, pair, now, 30)
    play(market, copies, now, 30)
    assert equal(pair.state_dict(), copies.state_dict())
    assert not equal(pair.state_dict(), saved)


def test_item_baselines_do_what_they_say():
    market = find_preset("town").market()
    items = market.observe(market.reset(range(3)), "items", privileged=True)
    assert (make("rest", market, "items").act(items, False) == 0).all()
    assert (make("first", market, "items").act(items, False) == 1).all()
    assert torch.equal(make("greedy", market, "items").act(items, False), items.expected.argmax(-1))
    largest = items.options[..., market.specs["items"].option_features.index("segment_share")].argmax(-1)
    assert torch.equal(make("popularity", market, "items").act(items, False), 1 + 2 * largest)  # two levels each
    assert (make("popularity", market, "items").act(
        replace(items, mask=torch.zeros_like(items.mask).index_fill(2, torch.tensor(0), True)), False) == 0).all()


def test_greedy_items_answer_the_contest_with_their_best_response():
    """Against three rests, profit 64 x / (x + 3) - (x - 1) is largest at x = sqrt(192) - 3 = 10.9."""
    market = find_preset("contest").market()
    items = market.observe(market.reset([0]), "items", privileged=True)
    profit = [64.0 * x / (x + 3.0) - (x - 1.0) for x in (1.0, *market.config.boost_levels)]
    assert items.expected[0, 0].tolist() == pytest.approx(profit, rel=1e-4)
    best_level = max(range(len(profit)), key=profit.__getitem__)
    assert (make("greedy", market, "items").act(items, False) == best_level).all()
