"""SlateQ on numbers that can be checked by hand, and on a small market where planning pays."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch

from interplay.agents import Setting, find_agent
from interplay.agents.slateq import SlateQAgent, SlateQOptions
from interplay.envs.types import Observation, SideSpec, Transition
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.play import iterate, look
from interplay.experiments.loop.players import Players
from refusals import refused

SPEC = SideSpec("platform", num_agents=1, num_options=5, num_levels=1, own_features=("a",),
                option_features=tuple("bcdef"), num_ids=5)


@pytest.fixture
def agent(monkeypatch):
    """An agent whose networks say what its tests want them to, the same for everybody."""
    made = SlateQAgent(SPEC, Setting(discount=0.5), SlateQOptions(warm_up=1))
    made.said = {}

    def values(network, seen):
        named = {id(made.online): "online", id(made.target): "target", id(made.choice): "choice"}
        return torch.tensor(made.said[named[id(network)]]).expand(*seen.mask.shape)

    monkeypatch.setattr(made, "_values", values)
    return made


def seen(mask=(True,) * 6):
    return Observation(torch.zeros(1, 1, 1), torch.eye(5)[None, None], torch.tensor(mask)[None, None],
                       torch.arange(5)[None, None])


VALUES = [0.2, 3.0, 1.0, 2.0, 0.5, 2.5]
LOGITS = [0.0, -1.0, 2.0, 0.5, 3.0, -0.5]


def worth(slate):
    """Equation 3, written out."""
    weights = {i: torch.tensor(LOGITS[i]).exp() for i in (0, *(i for i in slate if i > 0))}
    return float(sum(w * VALUES[i] for i, w in weights.items()) / sum(weights.values()))


def test_the_value_of_a_slate_is_the_mean_of_its_items_by_the_chance_of_being_taken(agent):
    agent.said = {"online": VALUES, "choice": LOGITS}
    slates = torch.tensor([[1, 2], [4, 5], [3, 0], [0, 0]])
    values, attraction = torch.tensor(VALUES).expand(4, 6), torch.tensor(LOGITS).exp().expand(4, 6)
    found = agent._slate_value(slates, values, attraction)
    assert found.tolist() == pytest.approx([worth(slate) for slate in slates.tolist()], rel=1e-5)
    assert found[3] == pytest.approx(VALUES[0])


def test_greedy_finds_the_best_slate_where_top_k_does_not(agent):
    agent.said = {"online": VALUES, "choice": LOGITS}
    best = max(permutations(range(1, 6), 2), key=worth)
    found = agent.offer(seen(), 2, False).slots[0, 0].tolist()
    assert worth(found) == pytest.approx(worth(best), rel=1e-5)
    agent.options = SlateQOptions(optimiser="top-k")
    top = agent.offer(seen(), 2, False).slots[0, 0].tolist()
    assert set(top) == {4, 2}  # those of the largest v * Q, of which 4 keeps users from what is worth more
    assert worth(top) < worth(found)


def test_slates_hold_what_is_allowed_and_are_filled_while_there_is_something(agent):
    agent.said = {"online": VALUES, "choice": LOGITS}
    for optimiser in ("greedy", "top-k"):
        agent.options = SlateQOptions(optimiser=optimiser)
        few, none = seen((True, False, True, False, True, False)), seen((True,) + (False,) * 5)
        assert set(agent.offer(few, 3, False).slots[0, 0].tolist()) == {2, 4, 0}
        assert agent.offer(none, 3, False).slots[0, 0].tolist() == [0, 0, 0]


def test_the_target_is_the_reward_and_the_value_of_the_best_slate_that_follows(agent):
    agent.said = {"online": VALUES, "target": [10.0 * value for value in VALUES], "choice": LOGITS}
    step = Transition(seen(), torch.tensor([[3]]), torch.tensor([[1.0]]), seen(), torch.tensor([[1.0]]),
                      torch.tensor([[False]]), torch.tensor([[True]]), torch.tensor([[True]]),
                      slate=torch.tensor([[[3, 1]]]))
    best = max(map(worth, permutations(range(1, 6), 2)))
    assert agent._targets(step).item() == pytest.approx(1.0 + 0.5 * 10.0 * best, rel=1e-5)  # cut off, not ended
    assert agent._targets(replace(step, terminated=torch.tensor([[True]]))).item() == 1.0


def test_the_surprise_is_the_cross_entropy_over_what_was_shown(agent):
    agent.said = {"choice": LOGITS}
    step = Transition(seen(), torch.tensor([[3]]), torch.tensor([[1.0]]), seen(), torch.tensor([[1.0]]),
                      torch.tensor([[False]]), torch.tensor([[False]]), torch.tensor([[True]]),
                      slate=torch.tensor([[[3, 0]]]))
    chance = torch.tensor([LOGITS[0], LOGITS[3]]).log_softmax(0)
    assert agent._surprise(step).item() == pytest.approx(-float(chance[1]), rel=1e-5)
    assert agent._surprise(replace(step, action=torch.tensor([[0]]))).item() == pytest.approx(-float(chance[0]),
                                                                                              rel=1e-5)


def test_wrong_options_are_named():
    with refused("optimiser", "best", fix=("greedy", "top-k")):
        SlateQOptions(optimiser="best")


@pytest.mark.slow
def test_it_learns_what_users_take_and_what_pays_in_the_end():
    """The user of ``kale`` sees one item at a time, and takes it or not: showing chocolate is myopic."""
    from interplay.envs.presets import find_preset

    market = find_preset("kale").market(slate_order="ranked", slate_size=1)
    setting = Setting(seed=3, total_steps=20 * 50, discount=0.97)
    users = find_agent("conditional-logit")(market.specs["users"], setting)
    items = find_agent("rest")(market.specs["items"], setting)
    learner = SlateQAgent(market.platform_spec, setting, SlateQOptions(exploration_fraction=0.5))
    players = Players({"users": users, "items": items, "platform": learner})
    for episode in range(20):
        now = look(market, players, market.reset(range(32 * episode, 32 * episode + 32), 3), explore=True)
        for _ in range(50):
            now, _, _ = iterate(market, players, now)
    greedy = players.replaced("platform", find_agent("greedy")(market.platform_spec, setting))
    learnt, myopic, none = (evaluate(market, c, 64).user_return.mean
                            for c in (players, greedy, players.replaced("platform", None)))
    assert learnt > 1.3 * max(myopic, none)
