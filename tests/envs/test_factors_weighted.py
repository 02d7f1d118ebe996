"""Weights in the factorisation: a weighted row is so many rows, and inverse propensities undo a selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from interplay.envs.data import Factors, InteractionLog, fit_factors, make_log
from refusals import refused

Floats = NDArray[np.float64]


def some_log(num_rows: int = 400) -> InteractionLog:
    """20 users, 30 items, rewards 1 to 5, repeated pairs."""
    rng = np.random.default_rng(0)
    return make_log(pl.DataFrame({"user": rng.integers(20, size=num_rows), "item": rng.integers(30, size=num_rows),
                                  "reward": rng.integers(1, 6, size=num_rows)}))


def weights(log: InteractionLog) -> Floats:
    return np.random.default_rng(1).uniform(0.2, 30.0, len(log))


def same(one: Factors, other: Factors) -> bool:
    return all(np.array_equal(mine, its) for mine, its in zip(one, other, strict=True))


def test_weights_of_one_change_no_bit() -> None:
    log = some_log()
    assert same(fit_factors(log, 3), fit_factors(log, 3, weight=np.ones(len(log))))
    assert not same(fit_factors(log, 3), fit_factors(log, 3, weight=weights(log)))


def test_only_the_ratios_of_weights_matter() -> None:
    log = some_log()
    one, other = (fit_factors(log, 3, weight=scale * weights(log)) for scale in (1.0, 1e-3))
    for mine, its in zip(one, other, strict=True):
        assert mine == pytest.approx(its, rel=1e-6, abs=1e-9)


def test_a_weight_of_two_is_a_row_that_occurs_twice() -> None:
    """Weights 1 and 2 of mean m, and the rows they stand for: n is m times larger for the latter."""
    log = some_log()
    times = np.random.default_rng(2).integers(1, 3, len(log))
    rows = np.repeat(np.arange(len(log)), times)
    longer = replace(log, user=log.user[rows], item=log.item[rows], reward=log.reward[rows])
    mean = times.mean()
    # The ridge of a side is ridge * sqrt(n), the error grows with n: sqrt(mean) makes the two problems proportional.
    weighted = fit_factors(log, 3, ridge=0.5, weight=times.astype(float))
    repeated = fit_factors(longer, 3, ridge=0.5 * float(np.sqrt(mean)))
    for mine, its in zip(weighted, repeated, strict=True):
        assert mine == pytest.approx(its, rel=1e-6, abs=1e-8)


def test_rows_of_weight_zero_teach_nothing() -> None:
    """Neither does a user whose rows all weigh 0: it is one who was never seen."""
    log = some_log()
    weight = np.where((log.user == 0) | (log.item == 3), 0.0, 1.0)
    spoilt = replace(log, reward=np.where(weight == 0.0, np.float32(5.0), log.reward))
    factors = fit_factors(log, 3, weight=weight)
    assert same(factors, fit_factors(spoilt, 3, weight=weight))
    assert not factors.user_vector[0].any()
    assert factors.item_bias[3] == 0.0


def test_the_side_solved_last_is_at_the_minimum_of_the_weighted_error() -> None:
    """The gradient of every item's penalised, weighted squared error, row by row, is 0."""
    log, ridge = some_log(), 0.7
    factors = fit_factors(log, 2, ridge=ridge, iterations=3, weight=weights(log))
    weight = weights(log) / weights(log).mean()
    wrong = factors.predict(log.user, log.item) - log.scaled(log.reward)
    for item in range(log.num_items):
        rows = log.item == item
        penalty = ridge * np.sqrt(weight[rows].sum())
        slope = (weight * wrong)[rows] @ factors.user_vector[log.user[rows]] + penalty * factors.item_vector[item]
        assert slope == pytest.approx([0.0, 0.0], abs=1e-8)
        assert (weight * wrong)[rows].sum() + penalty * factors.item_bias[item] == pytest.approx(0.0, abs=1e-8)


def test_inverse_propensities_undo_a_selection() -> None:
    """Who likes an item rates it nine times as often. Weights bring the items' means over all users back."""
    rng = np.random.default_rng(3)
    liked = rng.random((400, 100)) < np.linspace(0.2, 0.8, 100)
    propensity = np.where(liked, 0.9, 0.1)
    user, item = np.nonzero(rng.random(liked.shape) < propensity)
    log = make_log(pl.DataFrame({"user": user, "item": item, "reward": liked[user, item].astype(float)}))

    def means(weight: Floats | None) -> Floats:
        factors = fit_factors(log, 0, ridge=1e-6, weight=weight)
        users, items = (axis.ravel() for axis in np.indices((400, 100)))
        return factors.predict(users, items).reshape(-1, 100).mean(0)

    truth = liked.mean(0)
    assert np.abs(means(None) - truth).mean() > 0.15
    assert np.abs(means(1.0 / propensity[user, item]) - truth).mean() < 0.05


@pytest.mark.parametrize(("wrong", "values"), [
    (lambda n: np.ones(n + 1), [(401,), 400]), (lambda n: np.r_[np.ones(n - 1), -2.0], [-2]),
    (lambda n: np.r_[np.ones(n - 1), np.nan], [np.nan]), (lambda n: np.r_[np.ones(n - 1), np.inf], [np.inf]),
    (np.zeros, [0])])
def test_wrong_weights_are_named(wrong: Callable[[int], Floats], values: list[Any]) -> None:
    with refused("weight", *values):
        fit_factors(some_log(), 2, weight=wrong(400))
