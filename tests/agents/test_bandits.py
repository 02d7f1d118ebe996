"""Bandits: what they estimate, and that they find the better arm."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from interplay.agents import Setting, find_agent
from interplay.agents.beta_bernoulli import gamma
from interplay.agents.parts.arms import LinearArms, arms, num_arms
from interplay.envs.presets import find_preset
from interplay.envs.types import InterplayError, SideSpec

NAMES = ["matrix-factorisation", "linucb", "linear-thompson", "beta-bernoulli"]
CPU = torch.device("cpu")


def make(name, spec, steps=300, **options):
    kind = find_agent(name)
    return kind(spec, Setting(seed=1, total_steps=steps), kind.Options(**options))


def looking(step):
    """The two slots, items 1 and 3, look different; agents know who they are by their state."""
    seen = step.observation
    options = torch.tensor([[1.0], [-1.0]]).expand(seen.options.shape)
    return replace(step, observation=replace(seen, options=options))


@pytest.mark.parametrize("name", NAMES)
def test_every_bandit_finds_the_item_that_pays(name, spec, moved):
    """Item 3, in slot 2, pays 0.8; item 1 pays 0.3; skipping pays nothing."""
    agent = make(name, spec)
    generator = torch.Generator().manual_seed(0)
    step = looking(moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8))
    chance = torch.tensor([0.0, 0.3, 0.8])
    for _ in range(300):
        action = agent.act(step.observation, explore=True)
        reward = (torch.rand(8, 2, generator=generator) < chance[action]).float()
        agent.learn(replace(step, action=action, reward=reward, valid=torch.ones(8, 2, dtype=torch.bool)))
    assert (agent.act(step.observation, explore=False) == 2).all()
    forbidden = replace(step.observation, mask=torch.tensor([True, True, False]).expand(8, 2, 3))
    assert (agent.act(forbidden, explore=False) == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_gone_did_does_not_count(name, spec, moved):
    agent = make(name, spec)
    before = agent.state_dict()
    agent.learn(moved([[0, 1]], [[1, 2]], [[1.0, 0.0]], [[0, 1]], valid=False))
    after = agent.state_dict()
    for key in set(before) - {"draws", "learned"}:
        parts = before[key].items() if isinstance(before[key], dict) else [(None, before[key])]
        for part, value in parts:
            assert torch.equal(value, after[key] if part is None else after[key][part])


def test_arms_are_ids_and_levels():
    market = find_preset("town").market(num_users=3, num_items=5)
    state = market.reset([0])
    users, items = market.observe(state, "users"), market.observe(state, "items")
    assert num_arms(market.specs["users"]) == 1 + 5
    assert torch.equal(arms(market.specs["users"], users)[:, :, 1:], 1 + state.slate.items)
    assert num_arms(market.specs["items"]) == 1 + 4 * 2
    assert arms(market.specs["items"], items)[0, 0].tolist() == list(range(9))


def test_the_ridge_solution_is_that_of_the_normal_equations():
    spec = SideSpec("items", num_agents=3, num_options=2, num_levels=2, own_features=("a",), option_features=("b", "c"))
    sums, generator = LinearArms(spec, 0.7, CPU), torch.Generator().manual_seed(0)
    rows, rewards = [[] for _ in range(3)], [[] for _ in range(3)]
    for _ in range(20):
        own, options = torch.randn(2, 3, 1, generator=generator), torch.randn(2, 3, 2, 2, generator=generator)
        seen = type("Seen", (), {"own": own, "options": options})()
        action = torch.randint(5, (2, 3), generator=generator)
        reward, valid = torch.randn(2, 3, generator=generator), torch.rand(2, 3, generator=generator) < 0.8
        sums.update(seen, action, reward, valid)
        for b, n in np.argwhere(valid.numpy()):
            slot, level = divmod(int(action[b, n]) - 1, 2)
            model = 0 if action[b, n] == 0 else 1 + level
            option = [0.0, 0.0] if model == 0 else options[b, n, slot].tolist()
            rows[model].append([1.0, own[b, n, 0].item(), *option])
            rewards[model].append(reward[b, n].item())
    for model in range(3):
        x, y = np.array(rows[model]), np.array(rewards[model])
        expected = np.linalg.solve(x.T @ x + 0.7 * np.eye(4), x.T @ y)
        assert sums.weights()[model].numpy() == pytest.approx(expected, rel=1e-6)


def test_linucb_prefers_what_it_has_not_tried(spec, moved):
    """Both look equally good so far; slot 2 has been tried a hundred times, slot 1 never."""
    agent = make("linucb", spec)
    step = looking(moved([[0, 0]], [[2, 2]], [[0.0, 0.0]], [[0, 0]]))
    for _ in range(100):
        agent.learn(step)
    spread = torch.linalg.inv(agent._arms.precision)
    _, rows = agent._arms.rows(step.observation)
    width = ((rows @ spread[1]) * rows).sum(-1).sqrt()[0, 0]
    assert width[0] > 5.0 * width[1]
    assert (agent.act(step.observation, explore=True) == 1).all()


def test_thompson_draws_have_the_posteriors_moments():
    spec = SideSpec("users", num_agents=1, num_options=1, num_levels=1, own_features=("a",), option_features=("b",))
    agent = make("linear-thompson", spec)
    mix = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]], dtype=torch.float64)
    agent._arms.precision[1] = mix
    draws = agent._deviation(20_000, 1)[:, 0, 1]
    assert draws.mean(0).abs().max() < 0.03
    assert torch.allclose(torch.cov(draws.T), torch.linalg.inv(mix), atol=0.03)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 5.0), (30.0, 3.0), (400.0, 100.0)])
def test_beta_draws_have_the_moments_of_a_beta_variable(a, b):
    generator = torch.Generator().manual_seed(0)
    one, other = (gamma(torch.full((50_000,), x), torch.rand(2, 50_000, generator=generator)) for x in (a, b))
    draws, exact = one / (one + other), stats.beta(a, b)
    assert draws.mean().item() == pytest.approx(exact.mean(), abs=0.01)
    assert draws.std().item() == pytest.approx(exact.std(), abs=0.01)


def test_rewards_outside_0_and_1_become_chances(spec, moved):
    agent = make("beta-bernoulli", spec)
    for _ in range(400):
        agent.learn(moved([[0, 0]], [[1, 2]], [[-3.0, 1.0]], [[0, 0]]))
        agent.learn(moved([[0, 0]], [[1, 0]], [[5.0, 1.0]], [[0, 0]]))
    mean = (agent.success / (agent.success + agent.failure))[0]
    assert agent._range.tolist() == [-3.0, 5.0]
    assert mean[[0, 4]].tolist() == pytest.approx([0.5, 0.5], abs=0.07)  # 1 lies halfway
    assert mean[2].item() == pytest.approx(0.5, abs=0.07)  # half the time the lowest, half the highest


@pytest.mark.parametrize(("name", "wrong"), [
    ("linucb", {"alpha": -1.0}), ("linucb", {"ridge": 0.0}), ("linear-thompson", {"scale": -1.0}),
    ("matrix-factorisation", {"size": 0}), ("matrix-factorisation", {"learning_rate": 0.0})])
def test_wrong_options_are_named(name, wrong):
    with pytest.raises(InterplayError, match=next(iter(wrong))):
        find_agent(name).Options(**wrong)
