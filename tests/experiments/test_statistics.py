import numpy as np
import pytest
from scipy import stats

from interplay.experiments.common.statistics import (
    Estimate,
    gini,
    interquartile_mean,
    mean_estimate,
    probability_of_improvement,
)
from refusals import refused


def test_gini():
    assert gini([5, 5, 5, 5]) == pytest.approx(0.0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)
    assert gini([1, 3]) == pytest.approx(0.25)
    assert gini([0, 0]) == 0.0


def test_the_interquartile_mean_ignores_both_tails():
    assert interquartile_mean([-1e6, 1, 2, 3, 4, 1e6, 2.5, 2.5]).mean == pytest.approx(2.5)


def covered(truth, estimate, draw, repeats):
    """Share of intervals that hold the truth."""
    return np.mean([low <= truth <= high for low, high in (estimate(draw()).ci95 for _ in range(repeats))])


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("estimate", [mean_estimate, interquartile_mean])
def test_intervals_of_few_values_cover_as_often_as_they_say(estimate, n):
    """The bootstrap's cover 85 % and 91 % at n = 5."""
    rng = np.random.default_rng(n)
    assert covered(1.0, estimate, lambda: rng.normal(1.0, 2.0, n), 2_000) == pytest.approx(0.95, abs=0.025)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(size=12)
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert mean_estimate(values).ci95 == pytest.approx(expected)


def test_the_interval_of_an_interquartile_mean_is_tukeys_and_mclaughlins():
    """By hand: of 1, 2, 4, 8, 9, 20, 21, 30 the middle is 4, 8, 9, 20, and 4 and 20 stand in for what is cut off."""
    values = [21.0, 1.0, 8.0, 30.0, 2.0, 9.0, 20.0, 4.0]
    winsorised = np.array([4.0, 4.0, 4.0, 8.0, 9.0, 20.0, 20.0, 20.0])
    half = stats.t.ppf(0.975, 3) * winsorised.std(ddof=1) * np.sqrt(7 / (4 * 3))
    assert interquartile_mean(values).mean == pytest.approx(10.25)
    assert interquartile_mean(values).ci95 == pytest.approx((10.25 - half, 10.25 + half))


def test_fewer_than_five_values_have_a_range_that_is_called_so():
    found = mean_estimate([3.0, 1.0, 2.0])
    assert found == Estimate(2.0, None, (1.0, 3.0), 3) == interquartile_mean([3.0, 1.0, 2.0])
    assert str(found) == "2.000 (1.000 to 3.000, n = 3)"
    assert str(mean_estimate([1.0, 2.0, 3.0, 4.0, 5.0])).startswith("3.000 [1.0")


def test_intervals_do_not_depend_on_the_unit():
    values = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 2.5])
    for estimate in (mean_estimate, interquartile_mean):
        np.testing.assert_allclose(estimate(1e-9 * values).ci95, 1e-9 * np.array(estimate(values).ci95), rtol=1e-9)


def test_what_does_not_vary_has_no_width():
    assert mean_estimate([3.0] * 5) == Estimate(3.0, (3.0, 3.0), n=5)
    assert mean_estimate([3.0]) == Estimate(3.0, None, (3.0, 3.0), 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_mean(bad):
    with refused("1 of 3", bad):
        mean_estimate([1.0, bad, 2.0])


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        mean_estimate([])


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
    """Two tasks with hardly any noise, far apart: what they differ by is no spread of runs."""
    low, high = [0.0, 0.01, 0.02, 0.03], [10.0, 10.01, 10.02, 10.03]
    both = interquartile_mean(low, high)
    assert both.mean == pytest.approx(np.mean([0.02, 0.03, 10.0, 10.01]))
    assert both.ci95[1] - both.ci95[0] < 0.1
    mixed = interquartile_mean([*low, *high])
    assert mixed.ci95[1] - mixed.ci95[0] > 4.0


@pytest.mark.parametrize("n", [3, 5, 10])
def test_stratified_intervals_cover_the_truth_at_least_as_often_as_they_say(n):
    rng = np.random.default_rng(3)
    share = covered(1.0, lambda tasks: interquartile_mean(*tasks),
                    lambda: (rng.normal(1.0, 1.0, n), rng.normal(1.0, 2.0, n), rng.normal(1.0, 1.5, n)), 1_000)
    assert 0.93 <= share <= 0.995


def test_probability_of_improvement_counts_pairs_and_half_the_ties():
    assert probability_of_improvement([([2.0, 3.0], [1.0, 2.0])]).mean == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert probability_of_improvement([([1.0], [0.0]), ([0.0], [1.0])]).mean == pytest.approx(0.5)
    low, high = probability_of_improvement([(np.arange(10.0), np.arange(10.0) + 2)]).ci95
    assert 0.0 <= low < probability_of_improvement([(np.arange(10.0), np.arange(10.0) + 2)]).mean < high < 0.6


def test_an_agent_that_wins_all_of_few_comparisons_is_not_certain_to_win():
    found = probability_of_improvement([(np.arange(5.0) + 9.0, np.arange(5.0))])
    assert found.mean == found.ci95[1] == 1.0
    assert 0.5 < found.ci95[0] < 0.8
    assert probability_of_improvement([(np.arange(4.0) + 9.0, np.arange(5.0))]) == Estimate(1.0, n=4)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("tasks", [1, 3])
def test_intervals_of_probabilities_cover_about_as_often_as_they_say(tasks, shift):
    rng, n = np.random.default_rng(0), 10
    share = covered(stats.norm.cdf(shift / np.sqrt(2.0)), probability_of_improvement,
                    lambda: [(rng.normal(shift, 1.0, n), rng.normal(0.0, 1.0, n)) for _ in range(tasks)], 500)
    assert 0.9 <= share <= 0.99
