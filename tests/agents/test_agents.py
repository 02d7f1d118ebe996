import io
from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, agents, find_agent
from interplay.agents.dqn import DQNAgent, DQNOptions
from interplay.agents.parts.choosing import best
from interplay.agents.parts.replay import Replay
from interplay.agents.q_learning import QLearningAgent, QLearningOptions
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES, InterplayError, Observation, SideSpec, Transition
from interplay.experiments.play import iterate, look

MARKETS = {"kale": {}, "town": {"num_users": 5, "num_items": 7, "horizon": 40}, "contest": {"num_users": 6}}
OPTIONS = {"dqn": {"warm_up": 20, "batch_size": 8}, "q-learning": {"fit_steps": 4, "num_clusters": 5}}


def make(name, market, side, seed=1):
    kind = find_agent(name)
    return kind(market.specs[side], Setting(seed=seed, total_steps=30), kind.Options(**OPTIONS.get(name, {})))


def both(name, market, seed=1):
    return {side: make(name, market, side, seed) for side in SIDES}


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
        for side in SIDES:
            action = pair[side].act(now.seen[side], True)
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
    torch.save({side: pair[side].state_dict() for side in SIDES}, file)
    file.seek(0)
    saved, copies = torch.load(file, weights_only=True), both(name, market, seed=1)
    for side in SIDES:
        copies[side].load_state_dict(saved[side])
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


SPEC = SideSpec("users", num_agents=2, num_options=2, num_levels=1, own_features=("a",), option_features=("b",),
                num_states=3)


def seen(states, mask=(True, True, True)):
    state = torch.tensor(states)
    shape = (*state.shape, 1)
    return Observation(torch.zeros(shape), torch.zeros(*state.shape, 2, 1), torch.tensor(mask).expand(*state.shape, 3),
                       state)


def moved(before, action, reward, after, terminated=False, valid=True, mask=(True, True, True)):
    shape = torch.tensor(before).shape
    return Transition(seen(before), torch.tensor(action), torch.tensor(reward), seen(after, mask),
                      torch.full(shape, terminated), torch.full(shape, valid))


def q_agent():
    agent = QLearningAgent(SPEC, Setting(discount=0.5), QLearningOptions(learning_rate=0.25))
    agent.table[:, 1] = torch.tensor([1.0, 4.0, 8.0])
    return agent


def test_q_learning_makes_the_textbook_update():
    agent = q_agent()
    for visit in range(30):  # the step falls with visits, down to learning_rate
        before = agent.table[0, 0, 2].item()
        agent.learn(moved([[0, 2]], [[2, 0]], [[1.0, 3.0]], [[1, 1]], mask=(True, True, False)))
        rate = max(0.25, (visit + 1) ** -0.6)
        assert agent.table[0, 0, 2].item() == pytest.approx(before + rate * (1.0 + 0.5 * 4.0 - before))
    assert agent.table[1, 2, 0].item() == pytest.approx(5.0, abs=1e-3)
    assert agent.table[1, 0].abs().sum() == 0.0  # tables are independent


def test_q_learning_stops_at_the_end_and_ignores_the_gone():
    agent = q_agent()
    agent.learn(moved([[0, 0]], [[1, 1]], [[2.0, 2.0]], [[1, 1]], terminated=True))
    assert agent.table[:, 0, 1].tolist() == [2.0, 2.0]
    agent.learn(moved([[0, 0]], [[1, 1]], [[9.0, 9.0]], [[1, 1]], valid=False))
    assert agent.table[:, 0, 1].tolist() == [2.0, 2.0]


def test_worlds_that_hit_one_cell_move_it_by_their_mean():
    agent = q_agent()
    agent.learn(moved([[0, 0], [0, 0]], [[1, 1], [1, 2]], [[2.0, 5.0], [4.0, 5.0]], [[2, 2], [2, 2]]))
    assert agent.table[0, 0, 1].item() == pytest.approx(2**-0.6 * 3.0)
    assert agent.table[1, 0].tolist() == [0.0, 5.0, 5.0]


def test_dqn_targets_are_double_masked_and_stop_at_the_end():
    agent = DQNAgent(SPEC, Setting(discount=0.5), DQNOptions())
    online, target = torch.tensor([[1.0, 5.0, 9.0]]), torch.tensor([[10.0, 20.0, 30.0]])
    agent.online, agent.target = (lambda own, options: online), (lambda own, options: target)
    sample = moved([0], [1], [1.0], [1], mask=(True, True, False))
    assert agent._targets(sample).tolist() == [1.0 + 0.5 * 20.0]  # 9 is forbidden; 5 picks, the target values it
    assert agent._targets(replace(sample, terminated=torch.tensor([True]))).tolist() == [1.0]


def test_the_best_is_never_forbidden():
    assert best(torch.tensor([[3.0, 9.0, 5.0]]), torch.tensor([[True, False, True]])).tolist() == [2]


def test_replay_overwrites_the_oldest():
    replay = Replay(5)
    for first in (0.0, 2.0, 4.0, 6.0):
        replay.add(moved([[0, 0]], [[0, 0]], [[first, first + 1.0]], [[0, 0]]))
    rewards = replay.sample((torch.arange(5) + 0.5) / 5).reward
    assert sorted(rewards.tolist()) == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert replay.size == 5


def test_replay_picks_uniformly():
    replay = Replay(100)
    replay.add(moved([[0, 0]], [[0, 0]], [[1.0, 2.0]], [[0, 0]]))
    assert (replay.sample(torch.tensor([0.01, 0.49, 0.51, 0.99])).reward).tolist() == [1.0, 1.0, 2.0, 2.0]


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
    for side in SIDES:
        seen = now.seen[side]
        assert not seen.mask.all()  # somebody may not do everything
        action = pair[side].act(seen, explore)
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
    torch.save({side: pair[side].state_dict() for side in SIDES}, file)
    file.seek(0)
    saved, copies = torch.load(file, weights_only=True), both(name, market)
    for side in SIDES:
        assert not equal(copies[side].state_dict(), saved[side])  # it has learned something
        copies[side].load_state_dict(saved[side])
    play(market, pair, now, 30)
    play(market, copies, now, 30)
    for side in SIDES:
        assert equal(pair[side].state_dict(), copies[side].state_dict())
        assert not equal(pair[side].state_dict(), saved[side])


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


def test_the_gone_teach_dqn_nothing():
    agent = DQNAgent(SPEC, Setting(), DQNOptions(warm_up=1, batch_size=4))
    before = [p.clone() for p in agent.online.parameters()]
    agent.learn(moved([[0, 1]], [[1, 2]], [[1.0, 3.0]], [[1, 1]], valid=False))
    assert all(map(torch.equal, before, agent.online.parameters()))
    agent.learn(moved([[0, 1]] * 8, [[1, 2]] * 8, [[1.0, 3.0]] * 8, [[1, 1]] * 8))
    assert not all(map(torch.equal, before, agent.online.parameters()))


def test_replay_keeps_a_transition_together_as_it_wraps():
    replay = Replay(5)
    for first in range(0, 14, 2):
        replay.add(moved([[first, first + 1]], [[first, first + 1]], [[first + 0.0, first + 1.0]],
                         [[first + 1, first + 2]]))
    rows = replay.sample((torch.arange(5) + 0.5) / 5)
    assert sorted(rows.reward.tolist()) == [9.0, 10.0, 11.0, 12.0, 13.0]
    assert rows.action.tolist() == rows.reward.tolist() == rows.observation.state.tolist()
    assert (rows.next_observation.state - 1).tolist() == rows.reward.tolist()
