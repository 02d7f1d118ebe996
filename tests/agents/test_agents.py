import io
from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting, agents, find_agent
from interplay.agents.dqn import DQNOptions
from interplay.agents.parts.choosing import best
from interplay.agents.q_learning import QLearningOptions
from interplay.agents.testing import DEVICE_STEPS, AgentError, check_agent
from interplay.agents.testing.checks import _check_gone
from interplay.agents.testing.contract_harness import AgentHarness, difference
from interplay.agents.testing.synthetic_transitions import ONE_SIDE, observation
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES, Transition
from interplay.experiments.loop.play import iterate, look
from refusals import refused

MARKETS = {"kale": {}, "town": {"num_users": 5, "num_items": 7, "horizon": 40}, "contest": {"num_users": 6}}
SMALL = {"warm_up": 20, "batch_size": 8, "hidden": 8, "rollout_length": 4, "num_minibatches": 1, "num_epochs": 2,
         "fit_steps": 4, "num_clusters": 5, "num_kinds": 4}
"""Options with which agents learn from their first steps on."""


def small(kind, **more):
    given = SMALL | more
    return kind.Options(**{name: value for name, value in given.items() if name in kind.Options.__dataclass_fields__})


def make(name, market, side, seed=1):
    kind = find_agent(name)
    return kind(market.specs[side], Setting(seed=seed, total_steps=30), small(kind))


@pytest.fixture
def both(players_of):
    """Makes players in which the agent plays all that it can of users and items, or else the platform."""
    return lambda name, market: players_of(name, market, Setting(seed=1, total_steps=30), small)


@pytest.mark.parametrize("name", [  # those left out are ippo but for critics and returns
    pytest.param(name, marks=pytest.mark.slow if name in ("mappo", "shared-critic") else []) for name in agents()])
def test_every_agent_keeps_the_contract(name):
    kind = find_agent(name)
    options = small(kind, warm_up=16)
    # Those without rollouts learn in their second step there; q-learning fits its clusters on the host, in the fourth.
    check_agent(kind, options, device_steps=DEVICE_STEPS if hasattr(options, "rollout_length") else 2)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "slateq" else pytest.mark.slow)
    for name, kind in agents().items() if kind.learns])
def test_every_learner_keeps_the_contract_with_its_default_options(name):
    check_agent(find_agent(name))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [{"priority": 0.6, "sharing": "independent", "num_steps": 3},
                                   {"num_quantiles": 3, "dueling": True, "munchausen": 0.9}])
def test_variants_of_dqn_keep_the_contract(flags):
    check_agent(find_agent("dqn"), DQNOptions(warm_up=20, batch_size=8, hidden=8, **flags))


@pytest.mark.parametrize("name", [name for name, kind in agents().items() if kind.learns])
def test_each_learner_would_be_found_out_if_the_gone_taught_it(name):
    kind = find_agent(name)

    def learn(self, transitions):
        """Whatever it is told of seems to be there."""
        if isinstance(transitions, Transition):
            return kind.learn(self, replace(transitions, valid=torch.ones_like(transitions.valid)))
        return kind.learn(self, {side: replace(step, valid=torch.ones_like(step.valid))
                                 for side, step in transitions.items()})

    broken = type("Broken", (kind,), {"name": "broken", "learn": learn})
    specs = ONE_SIDE["users with a history" if "users" in kind.plays else "a platform"]
    with refused("broken as users", fix="transition.valid", kind=AgentError):
        _check_gone(AgentHarness(broken, small(kind), "users", specs, 40))


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
def test_every_agent_plays_both_sides_within_the_mask_and_repeats_itself(name, preset, both):
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


def test_baselines_do_what_they_say():
    market = find_preset("town").market()
    state = market.reset(range(3))
    users = market.observe(state, "users", expected=True)
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
    with refused("greedy", "Observation.expected", None, fix="expected=True"):
        make("greedy", market, "users").act(market.observe(market.reset([0]), "users"), False)


def test_the_best_is_never_forbidden():
    assert best(torch.tensor([[3.0, 9.0, 5.0]]), torch.tensor([[True, False, True]])).tolist() == [2]


@pytest.mark.parametrize(("kind", "name", "value"), [
    (DQNOptions, "hidden", 0), (QLearningOptions, "learning_rate", 0.0)])
def test_wrong_options_are_named(kind, name, value):
    with refused(name, value):
        kind(**{name: value})


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("name", agents())
def test_every_action_is_allowed(name, explore, both):
    market = find_preset("town").market(num_users=5, num_items=7, budgets={"start": 1.0})
    pair = both(name, market)
    now, _ = play(market, pair, look(market, pair, market.reset([0, 1, 2])), 10)
    for side, action in pair.act(now.seen, explore).items():
        seen = now.seen[side]
        assert not seen.mask.all()  # somebody may not do everything
        assert seen.mask.gather(2, action.unsqueeze(2)).all()


def learnt(players):
    """The players' state but for noise counters and clocks."""
    return {label: {name: value for name, value in state.items() if name not in ("_draws", "learned")}
            for label, state in players.state_dict().items()}


LEARNERS = [(kind, side) for kind in agents().values() if kind.learns for side in kind.plays]
LESSONS = {"users": "users", "items": "items", "platform": "a platform"}


def lesson(agent, side, spec):
    """One state of which action 1 alone pays: the agents' actions after 200 steps, each the end of an episode."""
    first = observation(spec, 8, 0, False).map(lambda x: x[:1].expand(8, *x.shape[1:]))
    # Options that differ, and features of a size that markets have.
    seen = replace(first, mask=torch.ones_like(first.mask), own=first.own / 4.0, options=first.options / 4.0,
                   ids=torch.arange(first.ids.shape[2]).expand_as(first.ids))
    slate = None
    never = torch.zeros(seen.mask.shape[:2], dtype=torch.bool)
    for _ in range(200):
        if side == "platform":
            slate = agent.offer(seen, 2, True).slots
        action = slate[..., 0] if side == "platform" else agent.act_as(side, seen, True)
        reward = (action == 1).float()
        step = Transition(seen, action, reward, seen, reward, ~never, never, ~never, slate)
        agent.learn_from({side: step})
    return agent.act_as(side, seen, False)


@pytest.mark.parametrize(("kind", "side"), LEARNERS, ids=[f"{kind.name}-{side}" for kind, side in LEARNERS])
def test_every_learner_finds_the_action_that_pays(kind, side):
    specs = ONE_SIDE[LESSONS[side]]
    options = replace(small(kind), **{name: 0.01 for name in ("learning_rate",) if hasattr(small(kind), name)})
    specs = {played: replace(spec, delayed=False) for played, spec in specs.items()}  # each action is paid for at once
    agent = kind.of(specs, Setting(seed=1, total_steps=200), options)
    assert (lesson(agent, side, specs[side]) == 1).all()


@pytest.mark.parametrize("preset", ["kale", "town", pytest.param("contest", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name, kind in agents().items() if kind.learns])
def test_every_learner_changes_in_30_steps_and_goes_on_from_a_file(name, preset, both):
    market = find_preset(preset).market(**MARKETS[preset])
    pair, copies = both(name, market), both(name, market)
    now, _ = play(market, pair, look(market, pair, market.reset([0, 1])), 30)
    file = io.BytesIO()
    torch.save(pair.state_dict(), file)
    file.seek(0)
    assert difference(learnt(copies), learnt(pair))
    copies.load_state_dict(torch.load(file, weights_only=True))
    play(market, pair, now, 30)
    play(market, copies, now, 30)
    assert not difference(pair.state_dict(), copies.state_dict())


def test_item_baselines_do_what_they_say():
    market = find_preset("town").market()
    items = market.observe(market.reset(range(3)), "items", expected=True)
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
    items = market.observe(market.reset([0]), "items", expected=True)
    profit = [64.0 * x / (x + 3.0) - (x - 1.0) for x in (1.0, *market.config.built_in.boosts.levels)]
    assert items.expected[0, 0].tolist() == pytest.approx(profit, rel=1e-4)
    best_level = max(range(len(profit)), key=profit.__getitem__)
    assert (make("greedy", market, "items").act(items, False) == best_level).all()
