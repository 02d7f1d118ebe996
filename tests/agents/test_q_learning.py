from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.agents.q_learning import QLearningAgent, QLearningOptions
from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.envs.types import Observation, SideSpec, Transition
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players


@pytest.fixture
def make(spec):
    def agent(**options):
        made = QLearningAgent(spec, Setting(discount=0.5), QLearningOptions(learning_rate=0.25, **options))
        made.table[:, :, 1] = torch.tensor([1.0, 4.0, 8.0])
        return made

    return agent


@pytest.mark.parametrize(("options", "power"), [({}, 0.6), ({"rate_power": 1.0}, 1.0)])
def test_it_makes_the_textbook_update(make, moved, options, power):
    agent = make(**options)
    for visit in range(30):  # the step falls with visits, down to learning_rate
        before = agent.table[0, 0, 0, 2].item()
        agent.learn_from({"users": moved([[0, 2]], [[2, 0]], [[1.0, 3.0]], [[1, 1]], mask=(True, True, False))})
        rate = max(0.25, (visit + 1) ** -power)
        assert agent.table[0, 0, 0, 2].item() == pytest.approx(before + rate * (1.0 + 0.5 * 4.0 - before))
    assert agent.table[0, 1, 2, 0].item() == pytest.approx(5.0, abs=1e-3)
    assert agent.table[0, 1, 0].abs().sum() == 0.0  # tables are independent


def test_it_stops_at_the_end_and_ignores_the_gone(make, moved):
    agent = make()
    agent.learn_from({"users": moved([[0, 0]], [[1, 1]], [[2.0, 2.0]], [[1, 1]], terminated=True)})
    assert agent.table[0, :, 0, 1].tolist() == [2.0, 2.0]
    agent.learn_from({"users": moved([[0, 0]], [[1, 1]], [[9.0, 9.0]], [[1, 1]], valid=False)})
    assert agent.table[0, :, 0, 1].tolist() == [2.0, 2.0]


def test_it_bootstraps_through_a_cut(make, moved):
    agent = make()
    agent.learn_from({"users": moved([[0, 0]], [[1, 1]], [[2.0, 2.0]], [[1, 1]], truncated=True)})
    assert agent.table[0, :, 0, 1].tolist() == [2.0 + 0.5 * 8.0] * 2


def test_worlds_that_hit_one_cell_move_it_by_their_mean(make, moved):
    agent = make()
    agent.learn_from({"users": moved([[0, 0], [0, 0]], [[1, 1], [1, 2]], [[2.0, 5.0], [4.0, 5.0]], [[2, 2], [2, 2]])})
    assert agent.table[0, 0, 0, 1].item() == pytest.approx(2**-0.6 * 3.0)
    assert agent.table[0, 1, 0].tolist() == [0.0, 5.0, 5.0]


def test_a_shared_table_learns_from_all_agents(make, moved):
    agent = make(shared=True)
    agent.learn_from({"users": moved([[0, 0]], [[1, 1]], [[2.0, 4.0]], [[2, 2]])})
    assert agent.table.shape == (1, 1, 3, 3)
    assert agent._level.tolist() == [2.0, 4.0]  # what they earn is told apart before the table learns of actions
    assert not agent.table[0, 0, 0].any()
    agent.learn_from({"users": moved([[0, 0]], [[2, 2]], [[4.0, 7.0]], [[2, 2]])})
    errors = [4.0 + 0.5 * 2.0 - 2.0, 7.0 + 0.5 * 4.0 - 4.0]
    rate = 2**-0.6
    assert agent._level.tolist() == pytest.approx([2.0 + rate * errors[0], 4.0 + rate * errors[1]])
    assert agent.table[0, 0, 0, 2].item() == pytest.approx(rate * (1.0 - rate) * sum(errors) / 2.0)


def test_hysteretic_agents_learn_less_from_bad_news(make, moved):
    agent = make(negative_error_scale=0.1)
    agent.learn_from({"users": moved([[1, 1]], [[2, 0]], [[0.0, 3.0]], [[0, 0]])})  # 8 was too high, 1 too low
    assert agent.table[0, 0, 1, 2].item() == pytest.approx(8.0 - 0.1 * 8.0)
    assert agent.table[0, 1, 1, 0].item() == pytest.approx(1.0 + 2.0)


def test_double_tables_judge_each_other(make, moved):
    agent = make(double=True)
    agent.table[0, :, 1], agent.table[1, :, 1] = torch.tensor([0.0, 9.0, 1.0]), torch.tensor([0.0, 2.0, 5.0])
    agent.learn_from({"users": moved([[0, 0]] * 64, [[1, 1]] * 64, [[1.0, 1.0]] * 64, [[1, 1]] * 64)})
    # Table 0 prefers action 1, which table 1 values at 2; table 1 prefers action 2, which table 0 values at 1.
    assert agent.table[:, 0, 0, 1].tolist() == pytest.approx([0.25 * 2.0, 0.25 * 1.5], rel=1e-5)


def test_double_q_is_not_deceived_by_noise(spec, moved):
    """All actions of state 1 are worth 0 on average; the max over noisy estimates says more (van Hasselt 2010)."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for double in (False, True):
        agent = QLearningAgent(spec, Setting(discount=1.0), QLearningOptions(double=double, learning_rate=0.1))
        for _ in range(400):
            noise = torch.randn(1, 2, generator=generator)
            action = torch.randint(3, (1, 2), generator=generator)
            agent.learn_from({"users": moved([[1, 1]], action.tolist(), noise.tolist(), [[2, 2]], terminated=True)})
            agent.learn_from({"users": moved([[0, 0]], [[1, 1]], [[0.0, 0.0]], [[1, 1]])})
        found[double] = agent.table[:, :, 0, 1].mean().item()
    assert found[False] > 0.15
    assert abs(found[True]) < 0.5 * found[False]


def test_without_exact_states_a_column_is_a_kind_of_option():
    """The same item keeps its column in whatever slot it is, and each level of an option has its own."""
    market = find_preset("town").market(num_users=6, num_items=8)
    setting = Setting(total_steps=20)
    players = Players({side: QLearningAgent(market.specs[side], setting, QLearningOptions(fit_steps=5, num_kinds=4))
                 for side in ("users", "items")})
    now = look(market, players, market.reset([0, 1]))
    for _ in range(8):
        now, _, _ = iterate(market, players, now)
    seen, users = now.seen["users"], players["users"]._abstraction
    flipped = seen.map(lambda x: x.flip(2) if x.shape[2:3] == (4,) else x)
    assert torch.equal(users.columns(flipped)[:, :, 1:], users.columns(seen)[:, :, 1:].flip(2))
    columns = players["items"]._abstraction.columns(now.seen["items"])
    assert torch.equal(columns[0, 0], torch.arange(market.specs["items"].num_actions))  # segments keep their places


def test_a_reward_goes_to_the_action_that_it_pays(spec, moved):
    """Boosts serve in the step after they were chosen; the first step of an episode pays for none."""
    delayed = replace(spec, side="items", num_states=None, delayed=True)
    agent = QLearningAgent(delayed, Setting(discount=0.0), QLearningOptions(fit_steps=1))
    for action, reward, ends in ((0, 0.0, True), (2, 1.0, False), (1, 5.0, True), (0, 1.0, False)):  # the first fits
        agent.learn_from({"users": moved([[0, 0]], [[action] * 2], [[reward] * 2], [[0, 0]], truncated=ends)})
    assert agent._visits.sum(dim=(0, 1, 2)).tolist() == [4.0, 0.0, 2.0]  # of two agents
    assert agent.table.amax(dim=(0, 1, 2)).tolist() == [1.0, 0.0, 5.0]


@pytest.mark.parametrize("shared", [True, False])
def test_items_without_exact_states_learn_what_boosts_cost(shared):
    """Boosts here cost much more than they can earn."""
    market = find_preset("contest").market(item_state="none", boosts={"cost": 50.0})
    agent = QLearningAgent(market.specs["items"], Setting(total_steps=300, discount=0.9),
                           QLearningOptions(fit_steps=20, shared=shared, num_clusters=2))
    players = Players({"users": find_agent("first")(market.specs["users"], Setting()), "items": agent})
    for episode in range(6):
        now = look(market, players, market.reset(range(4), episode))
        for _ in range(market.config.horizon):
            now, _, _ = iterate(market, players, now)
    assert (agent.act(now.seen["items"], explore=False) == 0).all()


def random_step(spec, draws, worlds=6):
    """What might be seen: features, a mask that allows action 0, and exact states if there are some."""
    shape = worlds, spec.num_agents
    mask = torch.rand(*shape, spec.num_actions, generator=draws) < 0.6
    mask[..., 0] = True
    state = None if spec.num_states is None else torch.randint(spec.num_states, shape, generator=draws)
    return Observation(torch.randn(*shape, len(spec.own_features), generator=draws),
                       torch.randn(*shape, spec.num_options, len(spec.option_features), generator=draws), mask,
                       torch.zeros(*shape, spec.num_options, dtype=torch.int64), state)


def random_transition(spec, draws, seen, action):
    shape = action.shape
    return Transition(seen, action, 3.0 * torch.randn(shape, generator=draws), random_step(spec, draws),
                      torch.zeros(shape), torch.rand(shape, generator=draws) < 0.1,
                      (torch.rand(shape[0], 1, generator=draws) < 0.1).expand(shape),
                      torch.rand(shape, generator=draws) < 0.8, weight=2.0 * torch.rand(shape, generator=draws))


@pytest.mark.parametrize(("side", "levels", "states", "options"), [
    ("users", 1, 5, {"double": True, "rate_power": 0.5}),
    ("users", 1, None, {"num_clusters": 8, "num_kinds": 12, "double": True, "shared": True}),
    ("users", 1, None, {"num_clusters": 3, "num_kinds": 40, "negative_error_scale": 0.3}),
    ("items", 2, None, {"num_clusters": 32, "shared": True})])
def test_loops_act_and_learn_to_the_bit_as_torch_does(side, levels, states, options):
    pytest.importorskip("numba")
    spec = SideSpec(side, 7, 4, levels, tuple("abcde"), tuple("xyz"), num_states=states, delayed=side == "items")
    draws = torch.Generator().manual_seed(0)
    one, other = (QLearningAgent(spec, Setting(seed=3, total_steps=80), QLearningOptions(fit_steps=10, **options))
                  for _ in range(2))
    seen = random_step(spec, draws)
    for _ in range(60):
        action = one.act(seen, explore=True)
        with kernels.switched_off():
            assert torch.equal(other.act(seen, explore=True), action)
        moved = random_transition(spec, draws, seen, action)
        found = one.learn_from({side: moved})
        with kernels.switched_off():
            assert other.learn_from({side: moved}) == found
        seen = moved.next_observation
    with kernels.switched_off():
        expected = other.scores(seen)
    assert torch.equal(one.scores(seen), expected)
    assert one.table.any()
    assert one.state_dict().keys() == other.state_dict().keys()
    for name in ("table", "_visits", "_batch", "_level", "_steps"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
