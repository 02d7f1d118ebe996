"""Logs of a market: their propensities and truths against what is played, and the estimators' answers beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from interplay.agents import Agent, Setting, find_agent
from interplay.envs.presets import find_preset
from interplay.experiments.offpolicy.episodes import evaluate_episodes
from interplay.experiments.studies.estimators.market import LoggedMarket
from interplay.experiments.studies.estimators.market_judging import (
    all_deviate,
    ask_log,
    deviation,
    find_truths,
    judge_market,
)


def town(steps: int, num_users: int = 12, **changes: object) -> LoggedMarket:
    """A town of a few users and ten items."""
    preset = find_preset("town")
    config = preset.config.changed("town", {"num_users": num_users, "num_items": 10} | changes)
    return LoggedMarket(replace(preset, config=config), steps=steps)


def test_propensities_are_those_of_the_actions_and_the_target_is_a_policy() -> None:
    log = town(3).log(400, 0)
    e = log.episodes
    assert e.action.shape == (400 * 12, 3)
    assert np.unique(e.unit).tolist() == list(range(400))
    assert log.policy.sum(2) == pytest.approx(1.0, abs=1e-9)
    for k in range(e.num_actions):  # 1/p times the indicator has mean 1, multiplied by anything independent
        inverse = (e.action == k) / e.propensity
        assert inverse.mean() == pytest.approx(1.0, abs=0.06), k
        assert (inverse * e.features[..., 1]).mean() == pytest.approx(e.features[..., 1].mean(), abs=0.03), k


def test_other_repeats_are_other_worlds_and_the_same_ones_come_again() -> None:
    market = town(2)
    first, again, other = market.log(5, 0), market.log(5, 0), market.log(5, 1)
    assert (first.episodes.features == again.episodes.features).all()
    assert (first.episodes.action == again.episodes.action).all()
    assert not np.isin(other.episodes.unit, first.episodes.unit).any()
    assert (first.episodes.features[:, 0] != other.episodes.features[:, 0]).any()


def test_the_target_chooses_as_the_conditional_logit_does() -> None:
    market = replace(town(2), temperature=0.5)
    *_, now = market.play(market.logger, range(1), 0)
    many = now.seen.map(lambda x: x.expand(6_000, *x.shape[1:]))
    agent = find_agent("conditional-logit")(market.market.specs["users"], Setting(1))
    assert isinstance(agent, Agent)
    action = torch.nn.functional.one_hot(agent.act(many, False), 5).double().mean(0)
    assert action.flatten().tolist() == pytest.approx(market.target(now.seen).exp().flatten().tolist(), abs=0.03)


def test_truths_are_what_is_earned() -> None:
    """Played with drawn responses in other worlds; in one step all may change at once, or one alone."""
    market, worlds, seed = town(1), range(3_000), 99
    truth = find_truths(market, 1_000)
    (target,), (logged,) = (list(market.play(p, worlds, seed)) for p in (market.target, market.logger))
    (shown,) = market.play(market.logger, worlds, seed, other_slates=True)
    assert float(target.step.response.mean()) == pytest.approx(truth["step"].value, abs=0.01)
    assert float(logged.step.response.mean()) == pytest.approx(truth["step"].logged, abs=0.01)
    assert float(shown.step.response.mean()) == pytest.approx(truth["slate"].value, abs=0.01)
    assert truth["episode"].value == pytest.approx(truth["step"].value, abs=0.015)
    assert truth["slate"].logged == truth["step"].logged
    assert truth["slate"].value < truth["slate"].logged - 0.01, "warmer slates are worse"


def test_the_truth_of_an_episode_is_what_a_user_that_deviates_alone_earns() -> None:
    market = town(4, num_users=4, wearout={"weight": 3.0})
    truth = find_truths(market, 2_000)["episode"]
    earned = sum(now.step.response[:, -1] for now in market.play(deviation(market), range(6_000), 99))
    assert float(torch.as_tensor(earned).mean()) == pytest.approx(truth.value, abs=0.06)
    assert truth.error < 0.02
    together = all_deviate(market, 2_000)
    assert together.value < truth.value - 0.01, "users that wear out the same items earn less together"


def test_a_user_that_deviates_leaves_the_others_choices_as_they_are() -> None:
    market = town(1)
    (now,) = market.play(deviation(market), range(3), 0)
    assert torch.equal(now.chances[:, :-1], market.logger(now.seen)[:, :-1])
    assert torch.equal(now.chances[:, -1], market.target(now.seen)[:, -1])


def test_an_episode_of_one_step_is_a_step() -> None:
    log = town(1).log(50, 0)
    found = ask_log(log, 3, 0)
    assert found["episode"][0].estimate.mean == pytest.approx(found["step"][1].estimate.mean)
    assert found["episode"][0].estimate.ci95 == pytest.approx(found["step"][1].estimate.ci95)
    alone = evaluate_episodes(replace(log.episodes, unit=None), log.policy)
    assert alone[0].estimate.mean == found["episode"][0].estimate.mean
    assert alone[0].estimate.ci95 != found["episode"][0].estimate.ci95


@pytest.mark.slow
def test_the_model_errs_most_and_the_others_hold_the_truth() -> None:
    """Eight logs do for what differs by much; the finer order needs the report's hundred."""
    found = judge_market(town(3), num_worlds=200, repeats=8, fresh=1_500)
    step = {a.name: a for a in found["step"].accuracy}
    assert step["DM"].relative_error > 1.5 * max(a.relative_error for n, a in step.items() if n != "DM")
    assert step["DM"].covered is None
    others = [a for q in found.values() for a in q.accuracy if a.name != "DM"]
    assert len(others) == 7 + 4 + 3
    for a in others:
        assert a.covered >= 6, a
        assert abs(a.bias) < 0.025, a
        assert a.warned == 0, a


@pytest.mark.parametrize("changes", [{"num_candidates": 6}, {"slate_order": "fixed", "slate_size": 10}])
def test_slates_that_are_no_draw_from_all_items_are_not_asked_about(changes: dict[str, object]) -> None:
    market = town(2, **changes)
    assert market.log(30, 0).slates is None
    assert set(find_truths(market, 10)) == set(ask_log(market.log(30, 0), 3, 0)) == {"step", "episode"}
