"""Estimators against cases worked out by hand, and against expectations over everything that can happen."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from interplay.experiments.offpolicy import (
    ESTIMATORS,
    WEIGHTING,
    BanditFeedback,
    Case,
    cross_fitted,
    evaluate_policy,
    make_case,
)
from interplay.experiments.offpolicy.estimators import (
    clipped_ips,
    direct_method,
    doubly_robust,
    ips,
    more_robust_dr,
    mrdr_weight,
    self_normalised_dr,
    shrunk_dr,
    snips,
)
from interplay.experiments.offpolicy.evaluation import (
    effective_size,
    evaluate_case,
    evaluation_table,
    overlap_warning,
    weight_warning,
)
from interplay.experiments.offpolicy.policies import always, most_clicked, uniform
from refusals import refused

# Two contexts and two actions. In context 0 the log's policy takes action 1 with 3/4, in context 1 with 1/2; the target
# takes it with 1/2 and 1/4. The model says 1/2 of action 0 and 1/4 of action 1, wherever.
HAND = BanditFeedback(context=np.array([[0.0], [0.0], [1.0], [1.0]]), action=np.array([0, 1, 0, 1]),
                      reward=np.array([1.0, 0.0, 1.0, 1.0]), propensity=np.array([0.25, 0.75, 0.5, 0.5]), num_actions=2)
TARGET = np.array([[0.5, 0.5], [0.5, 0.5], [0.75, 0.25], [0.75, 0.25]])
MODEL = np.tile([0.5, 0.25], (4, 1))
CASE = make_case(HAND, TARGET, MODEL)  # weights are 2, 2/3, 3/2, 1/2


def random_case(seed: int = 0, size: int = 50) -> Case:
    rng = np.random.default_rng(seed)
    return Case(rng.exponential(size=size), *(rng.random(size) for _ in range(5)))


class TestByHand:
    def test_weights(self) -> None:
        assert CASE.weight.tolist() == pytest.approx([2.0, 2 / 3, 1.5, 0.5])
        assert CASE.direct.tolist() == pytest.approx([0.375, 0.375, 0.4375, 0.4375])

    def test_direct_method(self) -> None:
        assert direct_method(CASE).value == pytest.approx((0.375 + 0.375 + 0.4375 + 0.4375) / 4)

    def test_ips(self) -> None:
        assert ips(CASE).value == pytest.approx((2.0 + 1.5 + 0.5) / 4)

    def test_snips(self) -> None:
        assert snips(CASE).value == pytest.approx(4.0 / (2.0 + 2 / 3 + 1.5 + 0.5))

    def test_clipped_ips_at_one(self) -> None:
        assert clipped_ips(CASE, 1.0).value == pytest.approx((1.0 + 1.0 + 0.5) / 4)
        assert clipped_ips(CASE).value == clipped_ips(CASE, 2.0).value, "by default at the root of four rounds"

    def test_doubly_robust(self) -> None:
        correction = 2.0 * 0.5 + 2 / 3 * -0.25 + 1.5 * 0.5 + 0.5 * 0.75
        assert doubly_robust(CASE).value == pytest.approx(0.40625 + correction / 4)
        assert self_normalised_dr(CASE).value == pytest.approx(0.40625 + correction / (14 / 3))

    def test_shrunk(self) -> None:
        weights = [2 / 5, (2 / 3) / (4 / 9 + 1), 1.5 / 3.25, 0.5 / 1.25]
        correction = weights[0] * 0.5 - weights[1] * 0.25 + weights[2] * 0.5 + weights[3] * 0.75
        assert shrunk_dr(CASE, 1.0).value == pytest.approx(0.40625 + correction / 4)

    def test_mrdr_is_dr_with_the_model_of_its_own(self) -> None:
        robust = np.tile([1.0, 0.5], (4, 1))
        case = make_case(HAND, TARGET, MODEL, robust)
        correction = 2.0 * 0.0 + 2 / 3 * -0.5 + 1.5 * 0.0 + 0.5 * 0.5
        assert more_robust_dr(case).value == pytest.approx((0.75 + 0.75 + 0.875 + 0.875 + correction) / 4)
        assert doubly_robust(case).value == doubly_robust(CASE).value

    def test_mrdr_weights(self) -> None:
        expected = [0.25 * 0.75 / 0.0625, 0.25 * 0.25 / 0.5625, 0.5625 * 0.5 / 0.25, 0.0625 * 0.5 / 0.25]
        assert mrdr_weight(HAND, TARGET).tolist() == pytest.approx(expected)

    def test_effective_size(self) -> None:
        assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
        assert effective_size(np.zeros(3)) == 0.0


class TestLimits:
    def test_no_clipping_is_ips_and_all_clipping_is_nothing(self) -> None:
        case = random_case()
        assert clipped_ips(case, np.inf).value == ips(case).value
        assert clipped_ips(case, 0.0).value == 0.0

    def test_no_shrinking_is_dr_and_all_shrinking_is_dm(self) -> None:
        case = random_case()
        assert shrunk_dr(case, np.inf).value == doubly_robust(case).value
        assert shrunk_dr(case, 1e12).value == pytest.approx(doubly_robust(case).value)
        assert shrunk_dr(case, 0.0).value == direct_method(case).value

    def test_the_chosen_shrinkage_is_no_worse_than_either_limit(self) -> None:
        """By its own measure; and it is neither where one weight is huge and its reward a surprise."""
        case = random_case()._replace(weight=np.r_[200.0, np.ones(49)])
        chosen = shrunk_dr(case)
        assert 0.0 < chosen.weight[0] < 200.0
        assert chosen.weight[1:].min() > 0.5

    def test_without_a_model_dr_is_ips(self) -> None:
        case = random_case()
        nothing = np.zeros_like(case.reward)
        case = case._replace(predicted=nothing, direct=nothing)
        assert doubly_robust(case).value == ips(case).value
        assert self_normalised_dr(case).value == snips(case).value

    def test_a_perfect_model_needs_no_correction(self) -> None:
        case = random_case()
        case = case._replace(predicted=case.reward)
        for estimator in (doubly_robust, self_normalised_dr, shrunk_dr):
            assert estimator(case).value == direct_method(case).value

    def test_the_log_of_the_target_itself_gives_the_mean(self) -> None:
        policy = np.tile([0.25, 0.75], (4, 1))
        log = replace(HAND, propensity=policy[range(4), HAND.action])
        case = make_case(log, policy, MODEL)
        assert ips(case).value == snips(case).value == clipped_ips(case).value == HAND.reward.mean()


class TestExpectation:
    """All logs of two rounds in which everything that can happen does, each with its probability."""

    LOGGER = np.array([[0.25, 0.75], [0.5, 0.5]])
    RATE = np.array([[0.9, 0.2], [0.4, 0.7]])
    TARGET = np.array([[0.5, 0.5], [0.75, 0.25]])
    TRUTH = (TARGET * RATE).sum(1).mean()

    def expectation(self, estimator: object, model: np.ndarray, logged: np.ndarray | None = None) -> float:
        """The estimator's mean over contexts in order 0 and 1, actions and Bernoulli rewards."""
        total, logged = 0.0, self.LOGGER if logged is None else logged
        for a, b, r, s in itertools.product((0, 1), repeat=4):
            action, reward, rows = np.array([a, b]), np.array([r, s], dtype=float), np.arange(2)
            rate = self.RATE[rows, action]
            chance = (self.LOGGER[rows, action] * np.where(reward == 1.0, rate, 1.0 - rate)).prod()
            log = BanditFeedback(np.array([[0.0], [1.0]]), action, reward, logged[rows, action], 2)
            total += chance * estimator(make_case(log, self.TARGET, model)).value  # type: ignore[operator]
        return total

    @pytest.mark.parametrize("estimator", [ips, doubly_robust, more_robust_dr])
    def test_unbiased_for_any_model(self, estimator: object) -> None:
        wrong = np.array([[0.1, 0.8], [0.3, 0.3]])
        assert self.expectation(estimator, wrong) == pytest.approx(self.TRUTH, abs=1e-12)

    def test_dr_is_unbiased_with_the_true_model_for_any_propensities(self) -> None:
        logged = np.array([[0.5, 0.5], [0.9, 0.1]])
        assert self.expectation(doubly_robust, self.RATE, logged) == pytest.approx(self.TRUTH, abs=1e-12)
        assert abs(self.expectation(ips, self.RATE, logged) - self.TRUTH) > 0.01

    def test_clipping_biases_downwards_by_what_it_cuts(self) -> None:
        # Only action 0 weighs more than 1: 2 and 1.5, where it is taken with 0.25 and 0.5.
        lost = (0.25 * (2.0 - 1.0) * 0.9 + 0.5 * (1.5 - 1.0) * 0.4) / 2
        found = self.expectation(lambda case: clipped_ips(case, 1.0), self.RATE)
        assert found == pytest.approx(self.TRUTH - lost, abs=1e-12)


def skewed(rounds: int, seed: int) -> tuple[BanditFeedback, np.ndarray, np.ndarray]:
    """A log of an additive logistic world, its true rates ``[N, A]`` and a target."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(rounds, 2))
    rate = expit(context @ [[1.0], [-0.5]] + np.array([-1.0, 0.0, 1.0]))
    logger = np.tile([0.6, 0.3, 0.1], (rounds, 1))
    action = rng.choice(3, size=rounds, p=logger[0])
    taken = (np.arange(rounds), action)
    reward = (rng.random(rounds) < rate[taken]).astype(float)
    return BanditFeedback(context, action, reward, logger[taken], 3), rate, np.tile([0.1, 0.3, 0.6], (rounds, 1))


class TestModels:
    def test_logistic_finds_an_additive_world(self) -> None:
        log, rate, _ = skewed(20_000, 0)
        assert np.abs(logit(cross_fitted(log)) - logit(rate)).max() < 0.4
        assert np.abs(cross_fitted(log) - rate).mean() < 0.01

    def test_linear_is_exact_without_noise(self) -> None:
        rng = np.random.default_rng(0)
        context, action = rng.normal(size=(60, 2)), rng.integers(3, size=60)
        everything = context @ [[2.0], [-1.0]] + np.array([1.0, 5.0, -3.0])
        log = BanditFeedback(context, action, everything[np.arange(60), action], np.full(60, 1 / 3), 3)
        assert cross_fitted(log, ridge=1e-9) == pytest.approx(everything, abs=1e-5)

    @pytest.mark.parametrize("binary", [True, False])
    def test_a_great_ridge_leaves_the_mean(self, binary: bool) -> None:
        """As the intercept has none. Two folds: each predicts the other's mean."""
        log, _, _ = skewed(400, 0)
        log = log if binary else replace(log, reward=log.reward + 5.0)
        found = cross_fitted(log, folds=2, ridge=1e5)
        assert np.ptp(found[0]) < 1e-3
        assert found[:, 0].mean() == pytest.approx(log.reward.mean(), abs=1e-3)

    def test_no_round_is_predicted_from_itself(self) -> None:
        log, _, _ = skewed(90, 0)
        changed = log.reward.copy()
        changed[7] = 1.0 - changed[7]
        before, after = cross_fitted(log), cross_fitted(replace(log, reward=changed))
        assert (before[7] == after[7]).all()
        assert (before != after).any()

    def test_weights_count(self) -> None:
        """Weight 0 takes a round out: what is left is the fit without it, action 2's own effect shrunk to none."""
        log, _, _ = skewed(300, 1)
        weight = np.where(log.action == 2, 0.0, 1.0)
        other = cross_fitted(replace(log, reward=np.where(log.action == 2, 50.0, log.reward)), weight=weight)
        assert other == pytest.approx(cross_fitted(replace(log, reward=log.reward), weight=weight))

    def test_positions_and_action_features_are_used(self) -> None:
        rng = np.random.default_rng(0)
        position, action = rng.integers(2, size=400), rng.integers(4, size=400)
        reward = 3.0 * position + 1.0 * action
        log = BanditFeedback(np.zeros((400, 0)), action, reward, np.full(400, 0.25), 4, position,
                             np.arange(4.0)[:, None])
        expected = 3.0 * position[:, None] + np.arange(4.0)
        assert cross_fitted(log, ridge=1e-6) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize("folds", [0, 1, 91])
    def test_folds_must_fit(self, folds: int) -> None:
        with refused("folds", folds, "90 rounds"):
            cross_fitted(skewed(90, 0)[0], folds=folds)


class TestEvaluation:
    def test_every_estimator_is_near_the_truth_and_in_one_table(self) -> None:
        log, rate, target = skewed(5_000, 2)
        truth = float((rate * target).sum(1).mean())
        found = evaluate_policy(log, target)
        assert [e.name for e in found] == list(ESTIMATORS)
        for e in found:
            assert e.estimate.mean == pytest.approx(truth, rel=0.1), e.name
            assert e.warning == ""
            if e.name == "DM":
                assert e.estimate.ci95 is None
            else:
                assert e.estimate.ci95[0] < e.estimate.mean < e.estimate.ci95[1]
        assert len(evaluation_table(found).splitlines()) == 2 + len(ESTIMATORS)

    def test_intervals_are_those_of_the_mean(self) -> None:
        """With weight 1 IPS is a mean, so that its interval is the normal one."""
        reward = np.random.default_rng(0).normal(size=2_000)
        ones, none = np.ones(2_000), np.zeros(2_000)
        (found,) = evaluate_case(Case(ones, reward, none, none, none, none), {"IPS": ips})
        half = 1.96 * reward.std() / np.sqrt(2_000)
        assert found.estimate.ci95 == pytest.approx((reward.mean() - half, reward.mean() + half), abs=0.1 * half)

    def test_figures_follow_from_the_seed(self) -> None:
        log, _, target = skewed(300, 3)
        assert evaluate_policy(log, target, seed=5) == evaluate_policy(log, target, seed=5)
        assert evaluate_policy(log, target, seed=5) != evaluate_policy(log, target, seed=6)

    def test_clipped_share_is_that_of_weights_above_the_bound(self) -> None:
        (found,) = evaluate_case(CASE, {"IPS": ips}, bound=1.0)
        assert found.clipped == 0.5

    def test_a_target_that_the_log_never_follows(self) -> None:
        log = replace(HAND, action=np.zeros(4, dtype=np.int64))
        found = evaluate_case(make_case(log, always(log, 1), MODEL))
        assert all(e.warning.startswith("no overlap: the log has nothing that the target does") for e in found)
        assert {e.name: e.estimate.mean for e in found}["SNIPS"] == 0.0

    @pytest.mark.parametrize(("weight", "said"), [
        (np.ones(1_000), ""), (np.r_[500.0, np.full(999, 0.5)], "one round has 50% of the weight"),
        (np.r_[np.full(50, 20.0), np.zeros(950)], "50 effective of 1,000 rounds"),
        (np.full(1_000, 0.7), ""), (np.ones(8), "")])
    def test_few_rounds_that_count_are_little_overlap(self, weight: np.ndarray, said: str) -> None:
        assert said in overlap_warning(weight)
        assert bool(said) == bool(overlap_warning(weight))

    @pytest.mark.parametrize(("weight", "said"), [
        (np.ones(1_000), ""), (np.tile([0.1, 1.9], 500), ""), (np.zeros(1_000), ""),
        (np.full(1_000, 0.7), "mean weight 0.70, not 1: propensities are too high, or the target does what"),
        (np.full(1_000, 2.0), "mean weight 2.00, not 1: propensities are too low, or the target's probabilities"),
    ])
    def test_a_mean_weight_that_is_not_1_is_not_called_little_overlap(self, weight: np.ndarray, said: str) -> None:
        assert said in weight_warning(weight)
        assert bool(said) == bool(weight_warning(weight))

    def test_halved_propensities_are_found_and_blamed(self) -> None:
        """The log covers all that the target does, so overlap is not what is wrong."""
        log, _, target = skewed(5_000, 2)
        warnings = {e.warning for e in evaluate_policy(replace(log, propensity=log.propensity / 2.0), target)}
        (warning,) = warnings
        assert "propensities are too low" in warning
        assert "overlap" not in warning

    def test_weights_that_vary_by_unit_may_miss_1_by_chance(self) -> None:
        """Five worlds of 200 rounds: what is far from 1 for 1,000 draws is not for five."""
        weight, unit = np.repeat([0.2, 0.5, 1.0, 1.0, 1.6], 200), np.repeat(np.arange(5), 200)
        assert weight_warning(weight)
        assert not weight_warning(weight, unit)

    def test_few_rounds_are_too_few_for_intervals(self) -> None:
        (found,) = evaluate_case(random_case(size=8), {"IPS": ips})
        assert "only 8 rounds: intervals are too narrow" in found.warning
        (found,) = evaluate_case(random_case(size=200), {"IPS": ips}, unit=np.arange(200) % 10)
        assert "only 10 units: intervals are too narrow" in found.warning

    def test_without_corrections_there_is_no_interval(self) -> None:
        """A shrinkage of 0 makes DM of DRos."""
        for estimator in (direct_method, lambda case: shrunk_dr(case, 0.0)):
            (found,) = evaluate_case(random_case(size=200), {"x": estimator})
            assert found.estimate.ci95 is None
            assert "no interval" in found.note
            assert "| -  " in evaluation_table([found])

    def test_a_bound_that_cuts_nothing_is_said(self) -> None:
        even = CASE._replace(weight=np.ones(4))
        assert evaluate_case(even, {"clipped IPS": clipped_ips})[0].note == "equal to IPS: no weight is above 2"
        cut = evaluate_case(CASE._replace(weight=np.array([9.0, 0.1, 0.1, 0.1])), {"clipped IPS": clipped_ips})
        assert cut[0].note == "weights above 2 are cut, and the interval does not know of that bias"


class TestUnits:
    """Rounds that were drawn together, here as 40 units of five."""

    UNIT = np.arange(200) // 5

    def test_rounds_that_say_the_same_count_once(self) -> None:
        few = random_case(size=40)
        many = Case(*(np.repeat(column, 5) for column in few))
        for one, same, naive in zip(evaluate_case(few, WEIGHTING), evaluate_case(many, WEIGHTING, unit=self.UNIT),
                                    evaluate_case(many, WEIGHTING), strict=True):
            if one.name != "clipped IPS":  # whose bound is that of more rounds
                assert same.estimate.ci95 == pytest.approx(one.estimate.ci95)
            assert np.ptp(naive.estimate.ci95) < 0.6 * np.ptp(same.estimate.ci95)

    def test_units_of_many_sizes_weigh_as_many_rounds(self) -> None:
        """The value is a mean over rounds, so that resamples must be too: rounds of big units are worth 1 here."""
        unit = np.r_[np.zeros(90), np.arange(1, 11)].astype(np.int64)
        reward, ones, none = np.r_[np.ones(90), np.zeros(10)], np.ones(100), np.zeros(100)
        (found,) = evaluate_case(Case(ones, reward, none, none, none, none), {"IPS": ips}, unit=unit)
        assert found.estimate.mean == pytest.approx(0.9)
        assert found.estimate.ci95[0] == 0.0, "some resamples lack the big unit"
        assert found.estimate.ci95[1] == pytest.approx(270 / 278), "and some have it three times of eleven"

    def test_no_unit_is_predicted_from_itself(self) -> None:
        log = replace(skewed(200, 0)[0], unit=self.UNIT)
        changed = log.reward.copy()
        changed[37] = 1.0 - changed[37]
        before, after = cross_fitted(log), cross_fitted(replace(log, reward=changed))
        assert (before[35:40] == after[35:40]).all()
        assert (before != after).any()

    def test_folds_must_fit_units(self) -> None:
        with refused("folds", 41, "40 units"):
            cross_fitted(replace(skewed(200, 0)[0], unit=self.UNIT), folds=41)


class TestRefusals:
    @pytest.mark.parametrize(("name", "values", "named"), [
        ("action", np.array([0, 1, 2, 0]), [2, "round 2", "0..1"]),
        ("propensity", np.array([0.5, 0.0, 0.5, 0.5]), [0.0, "round 1"]),
        ("reward", np.array([0.5, 0.0, np.nan, 0.5]), [np.nan, "round 2"]), ("reward", np.zeros(3), ["3 rows", 4]),
        ("context", np.full((4, 1), np.inf), ["[inf]", "round 0"]),
        ("position", np.array([0, -1, 0, 0]), [-1, "round 1"]), ("action_features", np.zeros((3, 1)), ["3 rows", 2]),
    ])
    def test_feedback(self, name: str, values: np.ndarray, named: list[Any]) -> None:
        with refused("feedback", name, *named):
            replace(HAND, **{name: values})  # type: ignore[arg-type]

    def test_policies(self) -> None:
        with refused("policy", TARGET[:3].shape):
            make_case(HAND, TARGET[:3], MODEL)
        with refused("policy's", 1.5, "round 0"):
            make_case(HAND, TARGET + [[0.5, 0.0]] * np.eye(4)[:, :1], MODEL)
        with refused("policy's", 1.0, "round 0"):
            make_case(HAND, np.tile([1.5, -0.5], (4, 1)), MODEL)


def test_targets() -> None:
    assert uniform(HAND).tolist() == [[0.5, 0.5]] * 4
    assert always(HAND, 1).tolist() == [[0.0, 1.0]] * 4
    assert most_clicked(HAND) == 0


def test_one_lucky_round_does_not_make_an_action_the_best() -> None:
    """Action 1 has 90 of 120, action 2 its only one, and action 0 every other of a thousand."""
    action = np.repeat([0, 1, 2], [1000, 120, 1])
    reward = np.r_[np.tile([1.0, 0.0], 500), np.tile([1.0, 1.0, 0.0, 1.0], 30), 1.0]
    assert most_clicked(BanditFeedback(np.zeros((1121, 0)), action, reward, np.full(1121, 0.5), 4)) == 1


def test_rewards_that_do_not_vary_are_warned_of() -> None:
    """A bootstrap interval would have no width, which is no certainty."""
    log = BanditFeedback(np.zeros((400, 0)), np.arange(400) % 2, np.tile([0.0, 1.0], 200), np.full(400, 0.5), 2)
    (found,) = evaluate_case(make_case(log, always(log, 0), np.zeros((400, 2))), {"IPS": ips})
    assert found.estimate.ci95 is None
    assert found.warning == "no spread: all 200 rounds with a weight have the reward 0"


@pytest.mark.parametrize(("column", "named"), [("weight", "weights"), ("reward", "IPS"), ("direct", "DM")])
def test_estimates_that_are_not_finite_are_refused(column: str, named: str) -> None:
    case = random_case(size=50)
    spoilt = getattr(case, column).copy()
    spoilt[7] = np.nan
    with refused(named, np.nan):
        evaluate_case(case._replace(**{column: spoilt}), {"IPS": ips, "DM": direct_method})
