"""How likely a platform says its slates are, against how often they come."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.agents.slateq import SlateQAgent, SlateQOptions
from interplay.envs.types import Observation, SideSpec

SPEC = SideSpec("platform", num_agents=1, num_options=5, num_levels=1, own_features=("mood",),
                option_features=("popularity",), num_ids=5, num_states=1)
MANY = 20_000


def seen(*allowed: int) -> Observation:
    """Many worlds that look alike, with some of five candidates."""
    mask = torch.tensor([a == 0 or a in allowed for a in range(6)]).expand(MANY, 1, 6)
    return Observation(torch.ones(MANY, 1, 1), torch.arange(5.0).view(1, 1, 5, 1).expand(MANY, 1, 5, 1), mask,
                       torch.arange(5).expand(MANY, 1, 5), torch.zeros(MANY, 1, dtype=torch.int64),
                       expected=torch.arange(6.0).expand(MANY, 1, 6))


def slateq(epsilon: float) -> Agent:
    return SlateQAgent(SPEC, Setting(3), SlateQOptions(epsilon_start=epsilon))


def made(name: str, spec: SideSpec = SPEC, **options: float) -> Agent:
    kind = find_agent(name)
    agent = kind(spec, Setting(3), kind.Options(**options))
    assert isinstance(agent, Agent)
    return agent


def exploring(name: str, epsilon: float) -> Agent:
    return made(name, epsilon_start=epsilon)


@pytest.mark.parametrize(("agent", "different"), [
    (made("random"), 12), (slateq(0.4), 12), (slateq(0.0), 1), (exploring("dqn", 0.4), 12),
    (exploring("dqn", 0.0), 1), (exploring("pqn", 0.4), 12), (exploring("matrix-factorisation", 0.4), 12),
    (exploring("q-learning", 0.4), 12)])
@pytest.mark.parametrize("allowed", [(1, 2, 3, 5)])
def test_slates_come_as_often_as_is_said(agent: Agent, different: int, allowed: tuple[int, ...]) -> None:
    offer = agent.offer(seen(*allowed), 2, explore=True)
    assert offer.log_propensity is not None
    count = Counter(map(tuple, offer.slots[:, 0].tolist()))
    assert len(count) == different
    for slate, chance in {tuple(s): c for s, c in zip(offer.slots[:, 0].tolist(), offer.log_propensity[:, 0].exp(),
                                                      strict=True)}.items():
        assert count[slate] / MANY == pytest.approx(float(chance), abs=0.01), slate
    # 1/p times the indicator has mean 1 for each slate, so that 1/p has as its mean how many there are.
    assert float((-offer.log_propensity).exp().mean()) == pytest.approx(different, rel=0.05)


@pytest.mark.parametrize(("allowed", "ways"), [((2,), 1), ((), 1), ((2, 4), 2)])
def test_slots_that_nothing_is_left_for_leave_nothing_to_chance(allowed: tuple[int, ...], ways: int) -> None:
    for agent in (made("random"), slateq(1.0), exploring("dqn", 1.0)):
        offer = agent.offer(seen(*allowed), 3, explore=True)
        assert offer.log_propensity is not None
        assert float(offer.log_propensity[0, 0].exp()) == pytest.approx(1 / ways)


@pytest.mark.parametrize(("name", "explore"), [
    ("slateq", False), ("dqn", False), ("linear-thompson", False), ("beta-bernoulli", False), ("linucb", False),
    ("linucb", True), ("popularity", True), ("greedy", True), ("first", True), ("rest", True)])
def test_slates_of_a_platform_without_chance_are_certain(name: str, explore: bool) -> None:
    offer = made(name).offer(seen(1, 2, 3), 2, explore)
    assert offer.log_propensity is not None
    assert (offer.log_propensity == 0.0).all()
    assert (offer.slots == offer.slots[:1]).all()


@pytest.mark.parametrize("name", ["linear-thompson", "beta-bernoulli"])
def test_an_agent_that_draws_what_it_believes_does_not_know(name: str) -> None:
    assert made(name).offer(seen(1, 2), 2, explore=True).log_propensity is None


def test_clusters_that_are_not_fitted_yet_leave_all_slates_as_likely() -> None:
    offer = made("q-learning", replace(SPEC, num_states=None)).offer(seen(1, 2, 3), 2, explore=False)
    assert offer.log_propensity is not None
    assert offer.log_propensity.exp().flatten().tolist() == pytest.approx([1 / 6] * MANY)
