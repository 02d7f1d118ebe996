"""Bandits: what they estimate, how they explore, and that they find the better arm."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from interplay.agents import Setting, find_agent
from interplay.agents.beta_bernoulli import gamma
from interplay.agents.parts.action_ids import action_ids, gather_action, num_action_ids
from interplay.agents.parts.linear import Ridge
from interplay.envs.presets import find_preset
from interplay.envs.types import Observation, SideSpec
from interplay.experiments.common.options import make_options
from refusals import refused

NAMES = ["matrix-factorisation", "linucb", "linear-thompson", "beta-bernoulli"]
LINEAR = ["linucb", "linear-thompson"]
CPU = torch.device("cpu")
ITEMS = SideSpec("items", num_agents=2, num_options=2, num_levels=2, own_features=("a",), option_features=("b",),
                 num_ids=2)
"""Two items that court one of two segments at one of two levels."""


def make(name, spec, steps=300, seed=1, **options):
    kind = find_agent(name)
    return kind(spec, Setting(seed=seed, total_steps=steps), kind.Options(**options))


def same(one, other):
    """Whether two state dicts or metrics hold the same."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def looking(step):
    """The two slots, items 1 and 3, look different."""
    seen = step.observation
    options = torch.tensor([[1.0], [-1.0]]).expand(seen.options.shape)
    return replace(step, observation=replace(seen, options=options))


def seen_by_items(num_worlds):
    shape = (num_worlds, 2)
    return Observation(torch.zeros(*shape, 1), torch.tensor([[1.0], [-1.0]]).expand(*shape, 2, 1),
                       torch.ones(*shape, 5, dtype=torch.bool), torch.arange(2).expand(*shape, 2))


def learn_arms(agent, step, rewards, steps=300, seed=0):
    """Let it choose and learn; ``rewards`` are (pay, chance) of each action."""
    pay, chance = torch.tensor(rewards).T
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        action = agent.act(step.observation, explore=True)
        paid = torch.rand(action.shape, generator=generator) < chance[action]
        agent.learn_from({"users": replace(step, action=action, reward=pay[action] * paid)})


@pytest.mark.parametrize("name", NAMES)
def test_every_bandit_finds_the_slot_that_pays_and_obeys_the_mask(name, spec, moved):
    """Item 3, in slot 2, pays in 8 of 10 steps, item 1 in 3, skipping never."""
    agent = make(name, spec)
    step = looking(moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8))
    learn_arms(agent, step, [(1.0, 0.0), (1.0, 0.3), (1.0, 0.8)])
    for allowed, best in (((True, True, True), 2), ((True, True, False), 1), ((True, False, False), 0)):
        seen = replace(step.observation, mask=torch.tensor(allowed).expand(8, 2, 3))
        assert (agent.act(seen, explore=False) == best).all()
        assert seen.mask.gather(2, agent.act(seen, explore=True).unsqueeze(2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_bandit_skips_where_options_cost(name, spec, moved):
    agent = make(name, spec)
    step = looking(moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8))
    learn_arms(agent, step, [(0.0, 1.0), (-1.0, 0.9), (-2.0, 0.5)])
    assert (agent.act(step.observation, explore=False) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_items_find_segment_and_level(name, moved):
    """The second segment pays 3 at the first level and costs 1 at the second; resting pays 1."""
    agent = make(name, ITEMS)
    blank = moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8)
    step = replace(blank, observation=seen_by_items(8))
    learn_arms(agent, step, [(1.0, 1.0), (0.0, 1.0), (2.0, 0.5), (3.0, 1.0), (-1.0, 1.0)])
    assert (agent.act(step.observation, explore=False) == 3).all()


@pytest.mark.parametrize("name", NAMES)
def test_rewards_ahead_change_nothing(name, spec, moved):
    """A bandit ignores the future: what comes next, and whether anything does."""
    states = []
    for after, ends in (([[0, 1]], False), ([[2, 2]], True)):
        agent = make(name, spec)
        for action in (1, 2, 0):
            step = moved([[0, 1]], [[action, action]], [[1.0, 0.0]], after, terminated=ends, truncated=ends)
            agent.learn_from({"users": step})
        states.append(agent.state_dict())
    assert same(*states)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_gone_did_changes_neither_agent_nor_metrics(name, spec, moved):
    found = []
    for action, wage in ((1, 0.0), (2, 1000.0)):
        agent = make(name, spec)
        fresh = copy.deepcopy(agent.state_dict())
        step = moved([[0, 1]] * 3, [[1, action]] * 3, [[1.0, wage]] * 3, [[0, 1]] * 3)
        metrics = agent.learn_from({"users": replace(step, valid=torch.tensor([[True, False]] * 3))})
        found.append((agent.state_dict(), metrics))
        assert not same({**fresh, "_draws": 0, "learned": 0}, {**found[-1][0], "_draws": 0, "learned": 0})
    (state, metrics), (other, others) = found
    assert same(state, other)
    assert same(dict(metrics), dict(others))


def test_arms_are_ids_and_levels():
    market = find_preset("town").market(num_users=3, num_items=5)
    state = market.reset([0])
    users, items = market.observe(state, "users"), market.observe(state, "items")
    assert num_action_ids(market.specs["users"]) == 1 + 5
    assert torch.equal(action_ids(market.specs["users"], users)[:, :, 1:], 1 + state.slate.items)
    assert num_action_ids(market.specs["items"]) == 1 + 4 * 2
    assert action_ids(market.specs["items"], items)[0, 0].tolist() == list(range(9))


@pytest.fixture
def regressed():
    """A ``Ridge`` with penalty 0.7 that saw 20 random steps, and the rows X and rewards y of each of its models."""
    spec = replace(ITEMS, num_agents=3, option_features=("b", "c"))
    ridge, generator = Ridge(spec, 0.7, CPU), torch.Generator().manual_seed(0)
    rows, rewards = [[] for _ in range(3)], [[] for _ in range(3)]
    for _ in range(20):
        own, options = torch.randn(2, 3, 1, generator=generator), torch.randn(2, 3, 2, 2, generator=generator)
        seen = Observation(own, options, torch.ones(2, 3, 5, dtype=torch.bool), torch.zeros(2, 3, 2).long())
        action = torch.randint(5, (2, 3), generator=generator)
        reward, valid = torch.randn(2, 3, generator=generator), torch.rand(2, 3, generator=generator) < 0.8
        ridge.update(seen, action, reward, valid)
        for b, n in np.argwhere(valid.numpy()):
            slot, level = divmod(int(action[b, n]) - 1, 2)
            model = 0 if action[b, n] == 0 else 1 + level
            option = [0.0, 0.0] if model == 0 else options[b, n, slot].tolist()
            rows[model].append([1.0, own[b, n, 0].item(), *option])
            rewards[model].append(reward[b, n].item())
    return ridge, seen, [np.array(x) for x in rows], [np.array(y) for y in rewards]


def test_the_ridge_solution_is_that_of_the_normal_equations(regressed):
    ridge, _, rows, rewards = regressed
    assert min(map(len, rows)) > 4
    for model, (x, y) in enumerate(zip(rows, rewards, strict=True)):
        expected = np.linalg.solve(x.T @ x + 0.7 * np.eye(4), x.T @ y)
        assert ridge.weights()[model].numpy() == pytest.approx(expected, rel=1e-9)


def test_deviations_are_those_of_the_posterior(regressed):
    ridge, seen, rows, _ = regressed
    found = ridge.by_action(ridge.deviation(ridge.rows(seen)))
    assert found.shape == seen.mask.shape
    covariance = [np.linalg.inv(x.T @ x + 0.7 * np.eye(4)) for x in rows]
    for action in range(5):
        slot, level = divmod(action - 1, 2)
        option = [0.0, 0.0] if action == 0 else seen.options[1, 2, slot].tolist()
        x = np.array([1.0, seen.own[1, 2, 0].item(), *option])
        assert found[1, 2, action].item() == pytest.approx(np.sqrt(x @ covariance[0 if action == 0 else 1 + level] @ x))


def test_update_gives_the_errors_made_before(regressed):
    ridge, seen, _, _ = regressed
    guess = ridge.by_action(ridge.rows(seen) @ ridge.weights().T)
    action = torch.tensor([[0, 1, 2], [3, 4, 0]])
    error = ridge.update(seen, action, torch.full((2, 3), 5.0), torch.ones(2, 3, dtype=torch.bool))
    assert torch.allclose(5.0 - error, guess.gather(2, action.unsqueeze(2)).squeeze(2))


@pytest.mark.parametrize(("alpha", "choice"), [(0.0, 2), (0.1, 2), (0.2, 1), (1.0, 1)])
def test_linucb_tries_the_unknown_as_alpha_says(spec, moved, alpha, choice):
    """Two agents took slot 2, x = [1, 0, -1], a hundred times for 0.2: A is 401 along x and 1 across it.

    So the bound of slot 2 is 0.2 + alpha * sqrt(2 / 401), that of slot 1, x = [1, 0, 1], alpha * sqrt(2), and that of
    skipping, which has a model of its own, alpha.
    """
    agent = make("linucb", spec, alpha=alpha)
    step = looking(moved([[0, 0]], [[2, 2]], [[0.2, 0.2]], [[0, 0]]))
    for _ in range(100):
        agent.learn_from({"users": step})
    rows = agent.ridge.rows(step.observation)
    deviation = agent.ridge.by_action(agent.ridge.deviation(rows))
    assert deviation[0, 0].tolist() == pytest.approx([1.0, 2**0.5, (2 / 401) ** 0.5])
    assert (agent.act(step.observation, explore=True) == choice).all()
    assert (agent.act(step.observation, explore=False) == 2).all()


def test_thompson_weights_have_the_posteriors_moments():
    spec = SideSpec("users", num_agents=2, num_options=1, num_levels=1, own_features=("a",), option_features=("b",))
    agent = make("linear-thompson", spec, scale=0.6)
    precision = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]], dtype=torch.float64)
    moment = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    agent.ridge.precision[1], agent.ridge.moment[1] = precision, moment
    drawn = agent.drawn(20_000, 2)
    assert drawn.shape == (20_000, 2, 2, 3)
    mean, covariance = torch.linalg.solve(precision, moment), 0.36 * torch.linalg.inv(precision)
    for number in range(2):
        assert torch.allclose(drawn[:, number, 1].mean(0), mean, atol=0.02)
        assert torch.allclose(torch.cov(drawn[:, number, 1].T), covariance, atol=0.02)
        assert torch.allclose(drawn[:, number, 0].mean(0), torch.zeros(3, dtype=torch.float64), atol=0.02)
    both = torch.corrcoef(drawn[:, :, 1, 0].T)[0, 1]
    assert abs(both) < 0.03  # each agent draws its own
    assert torch.equal(agent.act(_one_user(), False), agent.act(_one_user(), False))


def _one_user():
    return Observation(torch.ones(4, 2, 1), torch.ones(4, 2, 1, 1), torch.ones(4, 2, 2, dtype=torch.bool),
                       torch.zeros(4, 2, 1).long())


def test_thompson_tries_an_arm_as_often_as_it_may_be_the_better_one():
    """Skipping is worth N(0, 1/4) and the slot N(0.5, 1/2), the larger of them with Phi(0.5 / sqrt(0.75))."""
    spec = SideSpec("users", num_agents=2, num_options=1, num_levels=1, own_features=("a",), option_features=("b",))
    agent = make("linear-thompson", spec, scale=1.0)
    seen = _one_user().map(lambda x: x.repeat(1000, *[1] * (x.dim() - 1)))
    seen = replace(seen, own=torch.zeros_like(seen.own), options=torch.zeros_like(seen.options))
    agent.ridge.precision[0] *= 4.0
    agent.ridge.precision[1] *= 2.0
    agent.ridge.moment[1, 0] = 1.0
    share = agent.act(seen, explore=True).double().mean().item()
    assert share == pytest.approx(stats.norm.cdf(0.5 / 0.75**0.5), abs=0.02)
    assert (agent.act(seen, explore=False) == 1).all()


@pytest.mark.parametrize("shape", [1.0, 1.5, 4.0, 60.0, 1e6])
def test_gamma_draws_are_gamma_distributed(shape):
    generator = torch.Generator().manual_seed(0)
    uniforms = torch.rand(2, 4, 100_000, generator=generator).clamp(1e-7, 1.0 - 1e-7)
    drawn = gamma(torch.full((100_000,), shape, dtype=torch.float64), uniforms)
    assert stats.kstest(drawn.numpy(), stats.gamma(shape).cdf).pvalue > 0.01


@pytest.mark.parametrize(("successes", "failures"), [(0, 0), (1, 4), (29, 2), (399, 99)])
def test_beta_bernoulli_tries_an_arm_as_often_as_it_may_be_the_better_one(spec, moved, successes, failures):
    """Slot 1 is Beta(1 + successes, 1 + failures), slot 2 was never tried: their rates are compared by integration."""
    agent = make("beta-bernoulli", spec)
    seen = moved([[0, 1]] * 20_000, [[0, 0]] * 20_000, [[0.0, 0.0]] * 20_000, [[0, 1]] * 20_000).observation
    seen = replace(seen, mask=torch.tensor([False, True, True]).expand(20_000, 2, 3))
    agent.success[0, 1 + 1] += successes
    agent.failure[0, 1 + 1] += failures
    first = stats.beta(1 + successes, 1 + failures)
    share = (agent.act(seen, explore=True) == 1).double().mean().item()
    assert share == pytest.approx(first.mean(), abs=0.01)  # P(a uniform rate is lower) is the mean
    rate = agent.success[0, 2] / (agent.success[0, 2] + agent.failure[0, 2])
    assert rate.item() == pytest.approx(first.mean())


def test_rewards_outside_0_and_1_become_chances(spec, moved):
    agent = make("beta-bernoulli", spec)
    for _ in range(400):
        agent.learn_from({"users": moved([[0, 0]], [[1, 2]], [[-3.0, 1.0]], [[0, 0]])})
        agent.learn_from({"users": moved([[0, 0]], [[1, 0]], [[5.0, -1.0]], [[0, 0]])})
    mean = (agent.success / (agent.success + agent.failure))[0]
    assert agent.range.tolist() == [-3.0, 5.0]
    assert mean[0].item() == pytest.approx(0.25, abs=0.06)  # -1 lies at a quarter
    assert mean[4].item() == pytest.approx(0.5, abs=0.07)  # 1 lies halfway
    assert mean[2].item() == pytest.approx(0.5, abs=0.07)  # half the time the lowest, half the highest
    assert mean[[1, 3]].tolist() == [0.5, 0.5]  # nobody tried


@pytest.mark.parametrize(("shared", "counted"), [(True, [[1.0, 2.0]]), (False, [[1.0, 1.0], [0.0, 1.0]])])
def test_counts_are_shared_or_each_agents_own(spec, moved, shared, counted):
    agent = make("beta-bernoulli", spec, shared=shared)
    agent.learn_from({"users": moved([[0, 0]], [[1, 2]], [[1.0, 1.0]], [[0, 0]])})
    agent.learn_from({"users": moved([[0, 0]], [[2, 0]], [[1.0, 0.0]], [[0, 0]])})
    assert (agent.success[:, [2, 4]] - 1.0).tolist() == counted


def test_matrix_factorisation_makes_the_papers_step(spec, moved):
    """Equation 5 by hand for both agents, who tried two arms: e * q - penalty * p, and likewise for all four."""
    agent = make("matrix-factorisation", spec, size=2, learning_rate=0.1, penalty=0.5)
    agent.agent[:] = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 0.0]])
    agent.arm[2], agent.arm[0] = torch.tensor([0.5, -0.5, 1.0]), torch.tensor([2.0, 1.0, 0.0])
    untouched = agent.arm[[1, 3, 4]]
    agent.learn_from({"users": moved([[0, 1]], [[1, 0]], [[3.0, 1.0]], [[0, 1]])})
    first, second = 3.0 - (1.0 * 0.5 - 2.0 * 0.5 + 0.5 + 1.0), 1.0 - (-1.0)
    assert agent.agent[0].tolist() == pytest.approx([1.0 + 0.1 * (first * 0.5 - 0.5), 2.0 + 0.1 * (-first * 0.5 - 1.0),
                                                     0.5 + 0.1 * (first - 0.25)])
    assert agent.arm[2].tolist() == pytest.approx([0.5 + 0.1 * (first - 0.25), -0.5 + 0.1 * (2.0 * first + 0.25),
                                                   1.0 + 0.1 * (first - 0.5)])
    assert agent.agent[1].tolist() == pytest.approx([0.1 * second * 2.0, -1.0 + 0.1 * (second + 0.5), 0.1 * second])
    assert agent.arm[0].tolist() == pytest.approx([2.0 - 0.1, 1.0 + 0.1 * (-second - 0.5), 0.1 * second])
    assert torch.equal(agent.arm[[1, 3, 4]], untouched)


def test_an_arm_that_many_hit_at_once_moves_by_the_mean(spec, moved):
    one, other = (make("matrix-factorisation", spec) for _ in range(2))
    one.learn_from({"users": moved([[0, 1]], [[1, 2]], [[1.0, 2.0]], [[0, 1]])})
    other.learn_from({"users": moved([[0, 1]] * 5, [[1, 2]] * 5, [[1.0, 2.0]] * 5, [[0, 1]] * 5)})
    assert torch.allclose(one.arm, other.arm)
    assert torch.allclose(one.agent, other.agent)


@pytest.mark.parametrize("scale", [10.0, 1000.0, 1e6])
def test_matrix_factorisation_stays_finite_with_large_rewards(spec, moved, scale):
    agent, losses = make("matrix-factorisation", spec), []
    step = moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8)
    likes = scale * torch.tensor([[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]])
    for _ in range(600):
        action = agent.act(step.observation, explore=True)
        paid = gather_action(likes.expand(8, 2, 3), action)
        losses.append(float(agent.learn_from({"users": replace(step, action=action, reward=paid)})["loss"]) / scale**2)
    assert np.isfinite(losses).all()
    assert scale == 1e6 or sum(losses[-20:]) < 0.1 * sum(losses[:20])


def test_matrix_factorisation_learns_which_agent_likes_which_item(spec, moved):
    """Agents like opposite items, so that neither agents nor items have a bias: only the vectors can tell."""
    agent = make("matrix-factorisation", spec, steps=1500)
    step = moved([[0, 1]] * 8, [[0, 0]] * 8, [[0.0, 0.0]] * 8, [[0, 1]] * 8)
    likes = torch.tensor([[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]])
    for _ in range(1500):
        action = agent.act(step.observation, explore=True)
        agent.learn_from({"users": replace(step, action=action, reward=gather_action(likes.expand(8, 2, 3), action))})
    assert agent.act(step.observation, explore=False).tolist() == [[1, 2]] * 8


@pytest.mark.parametrize(("name", "option", "value", "fix"), [
    ("linucb", "alpha", -1.0, 0), ("linucb", "ridge", 0.0, 0),
    ("linear-thompson", "scale", -0.5, 0), ("linear-thompson", "ridge", -1.0, 0),
    ("matrix-factorisation", "size", 0, 1), ("matrix-factorisation", "learning_rate", 0.0, 0),
    ("matrix-factorisation", "penalty", -0.1, 0), ("matrix-factorisation", "epsilon_end", 2.0, (0, 1))])
def test_wrong_options_are_named_with_value_and_fix(name, option, value, fix):
    with refused(option, value, fix=fix):
        find_agent(name).Options(**{option: value})


@pytest.mark.parametrize(("name", "option", "value"), [("beta-bernoulli", "shared", 1), ("linucb", "alpha", "much"),
                                                       ("linear-thompson", "alpha", 1.0)])
def test_unknown_options_and_wrong_types_are_named(name, option, value):
    with refused(option):
        make_options(find_agent(name).Options, {option: value}, f"agent {name!r}")
