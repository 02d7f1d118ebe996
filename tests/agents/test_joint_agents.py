"""`shared-critic`, `ippo` and `mappo` on games that can be solved by hand."""

from dataclasses import replace

import pytest
import torch

from interplay.agents import Setting
from interplay.agents.ippo import IPPOAgent, IPPOOptions, Played
from interplay.agents.mappo import MAPPOAgent
from interplay.agents.shared_critic import SharedCriticAgent, SharedCriticOptions
from interplay.envs.types import Observation, SideSpec, Transition
from refusals import refused

SPEC = SideSpec("users", num_agents=2, num_options=2, num_levels=1, own_features=("a", "b"), option_features=("c",),
                num_ids=4, history_length=3, history_features=("taken", "response"))
WORLDS = 16


def seen(history=None):
    """Two agents that know who they are, and two options that look different."""
    own = torch.eye(2).expand(WORLDS, 2, 2)
    options = torch.tensor([[1.0], [-1.0]]).expand(WORLDS, 2, 2, 1)
    history = torch.zeros(WORLDS, 2, 3, 2) if history is None else history
    return Observation(own, options, torch.ones(WORLDS, 2, 3, dtype=torch.bool),
                       torch.tensor([0, 3]).expand(WORLDS, 2, 2), history=history,
                       history_ids=torch.zeros(WORLDS, 2, 3, dtype=torch.int64))


def step(before, action, reward, response=None, terminated=True):
    shape = action.shape
    return Transition(before, action, reward, seen(), (action == 1).float() if response is None else response,
                      torch.full(shape, terminated), torch.zeros(shape, dtype=torch.bool),
                      torch.ones(shape, dtype=torch.bool))


def critic(steps, **options):
    base = {"warm_up": 64, "batch_size": 64, "hidden": 16, "learning_rate": 0.01, "target_rate": 0.1,
            "epsilon_start": 1.0, "epsilon_end": 0.3}
    return SharedCriticAgent({"users": SPEC}, Setting(seed=1, total_steps=steps, discount=0.5),
                             SharedCriticOptions(**(base | options)))


def actor(kind, steps):
    options = kind.Options(rollout_length=4, num_epochs=4, num_minibatches=2, hidden=16, learning_rate=0.01)
    return kind({"users": SPEC}, Setting(seed=1, total_steps=steps, discount=0.5), options)


def sacrifice(action):
    """Agent 1 earns 0.4 by slot 1; if it takes slot 2, agent 0 earns 1."""
    giving = (action[:, 1] == 2).float()
    return torch.stack([giving, 0.4 * (action[:, 1] == 1)], dim=1)


def trained(agent, steps, reward):
    for _ in range(steps):
        before = seen()
        action = agent.act("users", before, explore=True)
        agent.learn_from({"users": step(before, action, reward(action))})
    return agent.act("users", seen(), explore=False)[0].tolist()


@pytest.mark.parametrize(("make", "gives"), [
    (lambda n: critic(n, mixing="none"), False), (lambda n: critic(n, mixing="vdn"), True),
    pytest.param(lambda n: critic(n, mixing="qmix"), True, marks=pytest.mark.slow),
    pytest.param(lambda n: critic(n, mixing="vdn", scorer="concatenation"), True, marks=pytest.mark.slow),
    pytest.param(lambda n: actor(IPPOAgent, n), False, marks=pytest.mark.slow), (lambda n: actor(MAPPOAgent, n), True)],
    ids=["none", "vdn", "qmix", "vdn-concatenation", "ippo", "mappo"])
def test_teams_give_up_what_others_gain_more_by_and_the_selfish_do_not(make, gives):
    steps = 250
    assert trained(make(steps), steps, sacrifice)[1] == (2 if gives else 1)


@pytest.mark.parametrize("encoder", ["mlp", "gru", *(pytest.param(name, marks=pytest.mark.slow)
                                                    for name in ("cnn", "transformer"))])
def test_what_is_right_only_follows_from_the_history(encoder):
    """Slot 1 pays where the first of three remembered responses was 1, slot 2 where it was 0."""
    agent = critic(300, encoder=encoder)
    generator = torch.Generator().manual_seed(2)

    def draw():
        return torch.stack([torch.ones(WORLDS, 2, 3), torch.randint(2, (WORLDS, 2, 3), generator=generator).float()], 3)

    for _ in range(300):
        before = seen(draw())
        action = agent.act("users", before, explore=True)
        right = torch.where(before.history[:, :, 0, 1] == 1.0, 1, 2)
        agent.learn_from({"users": step(before, action, (action == right).float())})
    before = seen(draw())
    right = torch.where(before.history[:, :, 0, 1] == 1.0, 1, 2)
    assert (agent.act("users", before, explore=False) == right).float().mean() > 0.95
    blind = replace(before, history=torch.zeros_like(before.history))
    assert (agent.act("users", blind, explore=False) == right).float().mean() < 0.8


def test_the_responses_are_learnt_as_the_article_says():
    """sigmoid(W . (u * i) + b) of what was taken: agent 0 responds to slot 1, agent 1 to neither."""
    agent = critic(300, epsilon_end=1.0)
    for _ in range(300):
        before = seen()
        action = agent.act("users", before, explore=True)
        response = ((action == 1) & torch.tensor([True, False])).float()
        agent.learn_from({"users": step(before, action, torch.zeros(WORLDS, 2), response)})
    towers = agent.online.towers
    rate = torch.sigmoid(towers.response(towers.embed("users", seen())))[0]
    assert rate[0].tolist() == pytest.approx([1.0, 0.0], abs=0.1)
    assert rate[1].tolist() == pytest.approx([0.0, 0.0], abs=0.1)


def test_the_mixed_target_is_the_mean_reward_plus_the_mixed_future():
    agent = critic(10, mixing="vdn", response_weight=0.0, warm_up=10_000)
    action = torch.tensor([[1, 2]]).expand(WORLDS, 2)
    reward = torch.tensor([[3.0, 1.0]]).expand(WORLDS, 2)
    agent.learn_from({"users": replace(step(seen(), action, reward, terminated=False),
                                  terminated=torch.tensor([[False, True]]).expand(WORLDS, 2))})
    judged = agent._judge("users", agent._samples()["users"])
    target = 2.0 + 0.5 * (judged.ahead[0, 0] + 0.0) / 2  # agent 1 has gone: nothing follows for it
    expected = torch.nn.functional.smooth_l1_loss(judged.value.mean(1), target.expand(len(judged.value)))
    assert agent._mixed_loss({"users": judged}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_both_sides_learn_together():
    """A joint agent of users and items: items alone decide what users earn."""
    items = SideSpec("items", num_agents=1, num_options=1, num_levels=2, own_features=("c",), option_features=("d",))
    agent = SharedCriticAgent({"users": SPEC, "items": items}, Setting(seed=1, total_steps=200, discount=0.5),
                              SharedCriticOptions(warm_up=64, batch_size=96, hidden=16, learning_rate=0.01,
                                                  mixing="vdn", epsilon_end=0.3))
    theirs = Observation(torch.ones(WORLDS, 1, 1), torch.ones(WORLDS, 1, 1, 1),
                         torch.ones(WORLDS, 1, 3, dtype=torch.bool), torch.zeros(WORLDS, 1, 1, dtype=torch.int64))
    for _ in range(200):
        before = seen()
        users, item = agent.act("users", before, True), agent.act("items", theirs, True)
        pays = (item == 2).float()
        of_items = replace(step(before, users, pays.expand(WORLDS, 2)), observation=theirs, next_observation=theirs,
                           action=item, reward=-0.3 * pays, response=pays, weight=torch.ones(WORLDS, 1),
                           **{name: torch.ones(WORLDS, 1, dtype=torch.bool) for name in ("terminated", "valid")},
                           truncated=torch.zeros(WORLDS, 1, dtype=torch.bool))
        agent.learn_from({"users": step(before, users, pays.expand(WORLDS, 2)), "items": of_items})
    assert agent.act("items", theirs, False)[0].tolist() == [2]  # it pays 0.3 for what gives the users 2


def test_advantages_are_returns_less_values_standardised():
    agent = actor(IPPOAgent, 10)
    action = torch.ones(WORLDS, 2, dtype=torch.int64)
    reward = torch.arange(WORLDS * 2.0).view(WORLDS, 2)
    steps = Transition.stack([step(seen(), action, reward)] * 4)
    batch = agent._batches({"users": Played(steps, None)})["users"]
    assert batch.returns.view(4, WORLDS, 2)[2].tolist() == reward.tolist()  # every step ends an episode
    assert batch.advantage.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert batch.advantage.square().mean().item() == pytest.approx(1.0, abs=1e-4)
    assert batch.log_policy.shape == (4 * WORLDS, 2)


def losing_a_member():
    """Four steps of two worlds: agent 0 of the first goes in step 0 and agent 1 in step 3; the second is cut in step 1.

    Whatever is said of agent 0 after it has gone must not count.
    """
    for t in range(4):
        reward = torch.tensor([[1.0 if t == 0 else 99.0, 1.0 + t], [2.0, 0.0]])
        gone = torch.tensor([[t == 0, t == 3], [False, False]])
        cut = torch.tensor([[False, False], [t == 1, t == 1]])
        there = torch.tensor([[t == 0, True], [True, True]])
        before = seen().map(lambda x: x[:2])
        yield Transition(before, torch.ones(2, 2, dtype=torch.int64), reward, before, reward, gone, cut, there)


def lambda_returns_of(kind):
    """Returns ``[T, B, N]`` with lambda = 0.5, discount 0.5 and critics that say 10 for agent 0 and 4 for agent 1."""
    agent = kind({"users": SPEC}, Setting(discount=0.5), kind.Options(trace_decay=0.5))
    ahead = {"users": torch.tensor([10.0, 4.0]).expand(4, 2, 2)}
    return agent._returns({"users": Transition.stack(list(losing_a_member()))}, ahead)["users"]


def test_the_teams_return_goes_on_when_a_member_has_gone():
    """Rewards of 1, 1, 1.5 and 2 on average in the first world, and of 1 in the second."""
    returns = lambda_returns_of(MAPPOAgent)
    one = [1.0 + 0.5 * (2.0 + 0.5 * 2.75), 1.0 + 0.5 * (2.0 + 0.5 * 3.0), 1.5 + 0.5 * (2.0 + 0.5 * 2.0), 2.0]
    assert returns[:, 0, 1].tolist() == one
    assert returns[0, 0, 0] == one[0]  # the one that goes there earns what the team will earn without it
    assert returns[:, 1].tolist() == [[5.0, 2.75], [6.0, 3.0], [5.0, 2.75], [6.0, 3.0]]


def test_an_own_return_ends_with_its_agent():
    returns = lambda_returns_of(IPPOAgent)
    assert returns[0, 0, 0] == 1.0
    assert returns[:, 0, 1].tolist() == [1.0 + 0.5 * (2.0 + 0.5 * 4.25), 2.0 + 0.5 * (2.0 + 0.5 * 5.0),
                                         3.0 + 0.5 * (2.0 + 0.5 * 4.0), 4.0]


def test_the_teams_return_counts_both_sides():
    """All users go in step 0; the items, one of which stays, earn 2 on average from then on."""
    items = replace(SPEC, side="items", history_length=0, history_features=())
    agent = MAPPOAgent({"users": SPEC, "items": items}, Setting(discount=0.5), MAPPOAgent.Options(trace_decay=1.0))
    before, action, never = seen().map(lambda x: x[:1]), torch.ones(1, 2, dtype=torch.int64), torch.zeros(1, 2).bool()
    steps = {side: Transition.stack([Transition(before, action, torch.full((1, 2), reward), before, torch.zeros(1, 2),
                                                ~never if side == "users" else never, never,
                                                never if t and side == "users" else ~never)
                                     for t in range(2)]) for side, reward in (("users", 8.0), ("items", 4.0))}
    returns = agent._returns(steps, dict.fromkeys(steps, torch.zeros(2, 1, 2)))
    assert returns["users"][0].tolist() == returns["items"][0].tolist() == [[6.0 + 0.5 * 2.0] * 2]


def test_the_teams_critic_sees_what_an_agent_may_choose_from():
    agent, before = actor(MAPPOAgent, 10), seen()
    options = before.options.clone()
    options[:, 1, 0] = 0.5  # the first option of agent 1 alone
    one, other = (agent._values({"users": o})["users"][0] for o in (before, replace(before, options=options)))
    assert ((one - other).abs() > 1e-4).all()  # agent 0 is worth something else, too


@pytest.mark.parametrize(("kind", "sees"), [(IPPOAgent, False), (MAPPOAgent, True)], ids=["ippo", "mappo"])
def test_a_state_that_only_options_show_is_worth_what_it_pays_to_the_teams_critic(kind, sees):
    """In every other world options look bright and everybody is paid; in the others nobody is, whatever they do."""
    agent, bright = actor(kind, 120), (torch.arange(WORLDS) % 2 == 0).float()
    before = replace(seen(), options=bright.view(WORLDS, 1, 1, 1).expand(WORLDS, 2, 2, 1))
    for _ in range(120):
        agent.learn_from({"users": step(before, agent.act("users", before, explore=True),
                                   bright.unsqueeze(1).expand(WORLDS, 2))})
    error = (agent._values({"users": before})["users"] - bright.unsqueeze(1)).abs()
    assert error.max() < 0.1 if sees else error.mean() > 0.4


@pytest.mark.parametrize(("kind", "steps_of_the_optimiser"), [(IPPOAgent, 16), (MAPPOAgent, 4)], ids=["ippo", "mappo"])
def test_the_team_does_not_split_its_rollouts(kind, steps_of_the_optimiser):
    """Four passes over one rollout."""
    agent = kind({"users": SPEC}, Setting(seed=1, total_steps=10, discount=0.5), kind.Options(rollout_length=1))
    action = torch.ones(WORLDS, 2, dtype=torch.int64)
    agent.learn_from({"users": step(seen(), action, action.float())})
    taken = {int(state["step"]) for state in agent.state_dict()["_optimiser"]["_adam"]["state"].values()}
    assert taken == {steps_of_the_optimiser}


@pytest.mark.parametrize(("kind", "wrong", "fix"), [
    (SharedCriticOptions, {"encoder": "lstm"}, "gru"), (SharedCriticOptions, {"scorer": "dot"}, "hadamard"),
    (SharedCriticOptions, {"hidden": 6, "encoder": "transformer"}, (4, "encoder='transformer'")),
    (SharedCriticOptions, {"num_steps": 0}, 1), (SharedCriticOptions, {"learning_rate": 0.0}, 0),
    (IPPOOptions, {"clip": 0.0}, 0), (IPPOOptions, {"trace_decay": 1.5}, (0, 1)), (IPPOOptions, {"num_epochs": 0}, 1)])
def test_wrong_options_are_named(kind, wrong, fix):
    with refused(*next(iter(wrong.items())), fix=fix):
        kind(**wrong)


def test_an_unknown_mixing_is_named():
    with refused("mixing", "sum", fix=("none", "vdn", "qmix")):
        critic(10, mixing="sum")
