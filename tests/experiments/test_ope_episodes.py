"""Episodes and slates, against enumerations of all that can happen and against the market's own propensities."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from interplay.envs.presets import find_preset
from interplay.experiments.offpolicy import WEIGHTING, evaluate_case
from interplay.experiments.offpolicy.episodes import (
    EpisodeFeedback,
    doubly_robust,
    evaluate_episodes,
    fitted_q,
    per_decision_is,
)
from interplay.experiments.offpolicy.slates import plackett_luce_log_probability, slate_case
from refusals import refused

# Two states and two actions. Action 1 leads to state 1 with 3/4, action 0 with 1/4; state 1 pays 1, action 1 costs 1/4.
LOGGER = np.array([[0.75, 0.25], [0.5, 0.5]])  # [state, action]
TARGET = np.array([[0.25, 0.75], [0.0, 1.0]])
GOES = np.array([0.25, 0.75])
DISCOUNT = 0.5


def reward(state: int, action: int) -> float:
    return float(state) - 0.25 * action


def value(state: int, steps: int) -> float:
    """The target's return, by recursion."""
    if steps == 0:
        return 0.0
    return sum(TARGET[state, a] * (reward(state, a) + DISCOUNT * (
        GOES[a] * value(1, steps - 1) + (1.0 - GOES[a]) * value(0, steps - 1))) for a in (0, 1))


def everything(steps: int) -> tuple[EpisodeFeedback, np.ndarray]:
    """Every episode from state 0, each as often as its probability says: the log is the expectation itself."""
    rows = []
    for path in itertools.product((0, 1), repeat=2 * steps - 1):
        actions, states = path[:steps], (0, *path[steps:])
        chance = np.prod([LOGGER[s, a] for s, a in zip(states, actions, strict=True)])
        chance *= np.prod([GOES[a] if s else 1.0 - GOES[a] for a, s in zip(actions, states[1:], strict=False)])
        rows += [(states, actions)] * round(chance * 16**steps)
    assert len(rows) == 16**steps, "all probabilities are sixteenths or coarser for each step"
    states, actions = (np.array(column) for column in zip(*rows, strict=True))
    rewards = states - 0.25 * actions
    log = EpisodeFeedback(np.eye(2)[states], actions, rewards, LOGGER[states, actions], np.ones_like(states, bool), 2)
    return log, TARGET[states]


class TestEpisodes:
    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_all_are_exact_in_expectation(self, steps: int) -> None:
        log, policy = everything(steps)
        truth = value(0, steps)
        assert per_decision_is(log, policy, DISCOUNT).value == pytest.approx(truth, abs=1e-12)
        assert doubly_robust(log, policy, DISCOUNT).value == pytest.approx(truth, abs=1e-6)
        for weighted in (False, True):
            assert fitted_q(log, policy, DISCOUNT, weighted).value == pytest.approx(truth, abs=1e-6)

    @pytest.mark.parametrize("steps", [2, 3])
    def test_where_values_cannot_be_fitted_weights_get_them_right_nevertheless(self, steps: int) -> None:
        """Both states have the same features, so that they share one number."""
        log, policy = everything(steps)
        blind, truth = replace(log, features=np.ones((*log.action.shape, 1))), value(0, steps)
        assert abs(fitted_q(blind, policy, DISCOUNT).value - truth) > 0.04
        assert doubly_robust(blind, policy, DISCOUNT).value == pytest.approx(truth, abs=1e-6)
        assert fitted_q(blind, policy, DISCOUNT, weighted=True).value == pytest.approx(truth, abs=1e-6)

    def test_one_episode_by_hand(self) -> None:
        log = EpisodeFeedback(np.eye(2)[[[0, 1, 1]]], np.array([[1, 0, 1]]), np.array([[2.0, 3.0, 5.0]]),
                              np.array([[0.5, 0.25, 0.5]]), np.ones((1, 3), bool), 2)
        policy = np.array([[[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]]])
        terms = per_decision_is(log, policy, 0.5)
        assert terms.value == pytest.approx(1.5 * 2.0 + 0.5 * (1.5 * 2.0) * 3.0 + 0.25 * (1.5 * 2.0 * 0.2) * 5.0)
        assert terms.weight.tolist() == pytest.approx([0.6])

    def test_what_comes_after_the_end_does_not_count(self) -> None:
        log, policy = everything(2)
        longer = EpisodeFeedback(*(np.concatenate([x, x], axis=1) for x in (
            log.features, log.action, log.reward, log.propensity)),
            np.concatenate([log.valid, np.zeros_like(log.valid)], axis=1), 2)
        twice = np.concatenate([policy, policy], axis=1)
        for estimator in (per_decision_is, fitted_q, doubly_robust, partial(fitted_q, weighted=True)):
            assert estimator(longer, twice, DISCOUNT).value == pytest.approx(estimator(log, policy, DISCOUNT).value)

    def test_an_episode_that_ends_gets_nothing_of_one_that_goes_on(self) -> None:
        """Two alike, of which the first ends after its first step: by a table, that is worth half of the second's."""
        log = EpisodeFeedback(np.ones((2, 2, 1)), np.zeros((2, 2), np.int64), np.array([[1.0, 100.0], [1.0, 8.0]]),
                              np.ones((2, 2)), np.array([[True, False], [True, True]]), 1)
        assert fitted_q(log, np.ones((2, 2, 1))).value == pytest.approx(1.0 + 8.0 / 2, abs=1e-4)
        assert per_decision_is(log, np.ones((2, 2, 1))).value == pytest.approx(1.0 + 8.0 / 2)

    def test_what_is_done_later_adds_no_variance_to_what_was_earned_before(self) -> None:
        log, policy = everything(3)
        early = replace(log, reward=np.where(np.arange(3) == 0, 1.0 + log.action, 0.0))
        terms = per_decision_is(early, policy, DISCOUNT)
        whole = terms.weight * early.reward.sum(1)
        assert whole.mean() == pytest.approx(terms.value)
        assert terms.correction.std() < 0.8 * whole.std()

    @pytest.mark.parametrize("name", ["DR", "fitted Q", "weighted fitted Q"])
    def test_intervals_are_as_wide_as_values_are_spread(self, name: str) -> None:
        """All start in one state, so that all chance is in what was fitted, and in the weights."""
        log, policy = everything(3)
        rng, values, widths = np.random.default_rng(0), [], []
        for _ in range(60):
            rows = rng.integers(len(log), size=300)
            some = EpisodeFeedback(*(x[rows] for x in (log.features, log.action, log.reward, log.propensity,
                                                       log.valid)), 2)
            for weighted in (False, True):
                assert fitted_q(some, policy[rows], DISCOUNT, weighted).correction.sum() == pytest.approx(0.0, abs=1e-4)
            found = {e.name: e.estimate for e in evaluate_episodes(some, policy[rows], DISCOUNT)}
            estimate = found[name]
            values.append(estimate.mean)
            widths.append(np.ptp(estimate.ci95))
        assert np.mean(widths) / 3.92 == pytest.approx(np.std(values), rel=0.25)

    def test_in_one_table_with_the_rest(self) -> None:
        log, policy = everything(2)
        found = evaluate_episodes(log, policy, DISCOUNT)
        assert [e.name for e in found] == ["per-decision IS", "DR", "fitted Q", "weighted fitted Q"]
        assert found[0].estimate.ci95[0] < value(0, 2) < found[0].estimate.ci95[1]

    def test_refusals(self) -> None:
        log, policy = everything(2)
        with refused("policy", policy[:, :1].shape):
            per_decision_is(log, policy[:, :1])
        with refused("discount", 2, fix=(0, 1)):
            fitted_q(log, policy, 2)
        with refused("episodes", "valid"):
            EpisodeFeedback(log.features, log.action, log.reward, log.propensity, log.action * 0 > 0, 2)
        with refused("episodes", "reward", log.reward[:, :1].shape):
            EpisodeFeedback(log.features, log.action, log.reward[:, :1], log.propensity, log.valid, 2)
        with refused("episodes", "unit", "1 rows"):
            replace(log, unit=np.zeros(1, np.int64))


class TestSlates:
    def test_probabilities_of_all_slates_add_up_and_agree_with_a_hand(self) -> None:
        score = np.log(np.array([[1.0, 2.0, 5.0, 8.0]]))
        slates = np.array(list(itertools.permutations(range(4), 2)))
        found = np.exp(plackett_luce_log_probability(np.repeat(score, len(slates), 0), slates))
        assert found.sum() == pytest.approx(1.0)
        assert dict(zip(map(tuple, slates.tolist()), found, strict=True))[2, 1] == pytest.approx(5 / 16 * 2 / 11)

    def test_what_must_not_be_shown_and_empty_slots(self) -> None:
        score = np.array([[0.0, 0.0, -np.inf], [0.0, -np.inf, -np.inf], [0.0, 0.0, 0.0]])
        slate, valid = np.array([[2, 0], [0, 1], [1, 0]]), np.array([[True, True], [True, False], [True, True]])
        assert plackett_luce_log_probability(score, slate, valid).tolist() == pytest.approx([-np.inf, 0.0, -np.log(6)])
        exhausted = plackett_luce_log_probability(np.array([[0.0, -np.inf]]), np.array([[0, 1]]))
        assert exhausted.tolist() == [-np.inf], "nothing was left for the second slot"
        with refused("slate", "slot 2"):
            plackett_luce_log_probability(score, np.array([[0, 1], [0, 1], [1, 1]]))

    def test_agrees_with_what_the_market_keeps(self) -> None:
        market = find_preset("town").market(torch.device("cpu"))
        state = market.reset(range(3), seed=5)
        score = state.user_vector @ state.population.item_vector.transpose(1, 2) / market.config.temperature
        found = plackett_luce_log_probability(score.flatten(0, 1).numpy(), state.slate.items.flatten(0, 1).numpy())
        assert found == pytest.approx(state.slate.log_propensity.flatten().numpy(), abs=1e-4)

    def test_another_temperature_is_evaluated_from_this_ones_slates(self) -> None:
        """Three items, slates of two, and what a slate earns is the number of its first item: all can be enumerated."""
        rng, size = np.random.default_rng(0), 20_000
        score, colder = np.array([[0.0, 0.5, 1.0]]), np.array([[0.0, 1.0, 2.0]])
        slates = np.array(list(itertools.permutations(range(3), 2)))
        logger, target = (plackett_luce_log_probability(np.repeat(s, 6, 0), slates) for s in (score, colder))
        drawn = rng.choice(6, size=size, p=np.exp(logger))
        truth = float((np.exp(target) * slates[:, 0]).sum())
        found = evaluate_case(slate_case(slates[drawn, 0].astype(float), logger[drawn], target[drawn]), WEIGHTING)
        for e in found:
            assert e.estimate.mean == pytest.approx(truth, abs=0.03), e.name
            assert e.estimate.ci95[0] < truth < e.estimate.ci95[1]

    def test_a_platforms_slates_have_no_propensity(self) -> None:
        with refused("log_propensity", np.nan, "row 1"):
            slate_case(np.ones(2), np.array([-1.0, np.nan]), np.zeros(2))
