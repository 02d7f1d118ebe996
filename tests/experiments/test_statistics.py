import numpy as np
import pytest

from interplay.experiments.statistics import (
    Estimate,
    gini,
    interquartile_mean,
    mean_estimate,
    probability_of_improvement,
)


def test_gini():
    assert gini([5, 5, 5, 5]) == pytest.approx(0.0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)
    assert gini([1, 3]) == pytest.approx(0.25)
    assert gini([0, 0]) == 0.0


def test_the_interquartile_mean_ignores_both_tails():
    assert interquartile_mean([-1e6, 1, 2, 3, 4, 1e6, 2.5, 2.5]).mean == pytest.approx(2.5)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = [e.ci95[0] <= 1.0 <= e.ci95[1] for e in (mean_estimate(rng.normal(1.0, 2.0, 40)) for _ in range(100))]
    assert 87 <= sum(covered) <= 99


def test_what_does_not_vary_has_no_width():
    assert mean_estimate([3.0, 3.0, 3.0]) == Estimate(3.0, (3.0, 3.0))
    assert mean_estimate([3.0]) == Estimate(3.0, (3.0, 3.0))


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        mean_estimate([])


def test_overlap():
    assert Estimate(1.0, (0.0, 2.0)).overlaps(Estimate(2.5, (2.0, 3.0)))
    assert not Estimate(1.0, (0.0, 1.9)).overlaps(Estimate(2.5, (2.0, 3.0)))


def test_an_interquartile_interval_holds_its_mean_and_shrugs_at_outliers():
    values = np.random.default_rng(1).normal(5.0, 1.0, 60)
    values[:3] = 1e5
    low, high = interquartile_mean(values).ci95
    assert low < interquartile_mean(values).mean < high
    assert 4.0 < low < high < 6.0


def test_a_gini_ignores_order_and_scale():
    amounts = np.random.default_rng(2).exponential(size=20)
    brute = np.abs(amounts[:, None] - amounts[None]).sum() / (2 * len(amounts) * amounts.sum())
    assert gini(amounts) == pytest.approx(brute)
    assert gini(7.0 * amounts[::-1]) == pytest.approx(brute)


def test_an_interval_over_tasks_is_stratified():
    """Two tasks with hardly any noise, far apart: resampling across them would widen the interval by their distance."""
    low, high = [0.0, 0.01, 0.02, 0.03], [10.0, 10.01, 10.02, 10.03]
    both = interquartile_mean(low, high)
    assert both.mean == pytest.approx(np.mean([0.02, 0.03, 10.0, 10.01]))
    assert both.ci95[1] - both.ci95[0] < 0.05
    mixed = interquartile_mean([*low, *high])
    assert mixed.ci95[1] - mixed.ci95[0] > 4.0


def test_stratified_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    found = [interquartile_mean(rng.normal(1.0, 1.0, 12), rng.normal(1.0, 2.0, 12)) for _ in range(100)]
    assert 86 <= sum(e.ci95[0] <= 1.0 <= e.ci95[1] for e in found) <= 99


def test_probability_of_improvement_counts_pairs_and_half_the_ties():
    assert probability_of_improvement([([2.0, 3.0], [1.0, 2.0])]).mean == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert probability_of_improvement([([1.0], [0.0]), ([0.0], [1.0])]).mean == pytest.approx(0.5)
    assert probability_of_improvement([([5.0, 6.0], [1.0, 2.0])]) == Estimate(1.0, (1.0, 1.0))
    low, high = probability_of_improvement([(np.arange(10.0), np.arange(10.0) + 2)]).ci95
    assert 0.0 <= low < probability_of_improvement([(np.arange(10.0), np.arange(10.0) + 2)]).mean < high < 0.6
