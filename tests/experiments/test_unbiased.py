"""Unbiased factorisation: a made world whose selection is known, the pieces by hand, the command, and Coat."""

from dataclasses import replace

import numpy as np
import polars
import pytest

from interplay.envs.data import fit_factors, make_log, read_log, split_log
from interplay.envs.data.propensity import popularity_propensity
from interplay.experiments.common.reports import rendered
from interplay.experiments.studies import main
from interplay.experiments.studies.unbiased.estimates import (
    Errors,
    Grid,
    compare,
    deviation,
    gap,
    known_propensities,
    naive,
    popularity_propensities,
)
from refusals import assert_said, refused

WAYS = {"naive": naive, "IPS": known_propensities(np.inf), "popularity": popularity_propensities(np.inf)}


def log_of(users, items, rewards, propensity=None):
    log = make_log(polars.DataFrame({"user": users, "item": items, "reward": np.asarray(rewards, dtype=float)}))
    return log if propensity is None else replace(log, propensity=np.asarray(propensity))


def gained(found, held_out):
    """What IPS gains on naive weighting, over users."""
    rows = np.bincount(held_out.user, minlength=held_out.num_users)
    return gap(found["naive"].by_user_at_chosen, found["IPS"].by_user_at_chosen, rows)


def selected():
    """60 users, 40 items, ratings 1 or 5; liked pairs are rated six times as often. And the pairs that are left out."""
    rng = np.random.default_rng(0)
    liked = rng.random((60, 40)) < np.linspace(0.1, 0.9, 40)
    rated = rng.random(liked.shape) < np.where(liked, 0.6, 0.1)
    users, items = (axis.ravel() for axis in np.indices(liked.shape))
    whole = log_of(users, items, 1.0 + 4.0 * liked.ravel(), np.where(liked, 0.6, 0.1).ravel())
    held = rng.random(len(users)) < 0.2
    return whole.take(rated.ravel() & ~held, "not rated"), whole.take(held, "for training")


def test_weights_help_where_users_chose_what_they_like():
    train, held_out = selected()
    grid = Grid((0, 2), (0.3, 1.0), seeds=2)
    found = compare(train, held_out, WAYS, grid)
    assert (found["IPS"].held_out < found["naive"].held_out).all()
    assert (np.abs(found["IPS"].shift) < 0.5 * np.abs(found["naive"].shift)).all()
    won = gained(found, held_out)
    assert won.ci95[0] > 0.0
    differences = [errors.at_chosen(errors.held_out).mean() for errors in (found["naive"], found["IPS"])]
    assert won.mean == pytest.approx(differences[0] - differences[1])


def test_where_all_is_rated_alike_weights_change_nothing():
    train, held_out = selected()
    train = replace(train, propensity=np.full(len(train), 0.3))
    found = compare(train, held_out, WAYS, Grid((2,), (0.5,), seeds=1))
    assert found["IPS"].held_out == pytest.approx(found["naive"].held_out)
    assert found["IPS"].validation == pytest.approx(found["naive"].validation)
    assert not np.allclose(found["popularity"].held_out, found["naive"].held_out)


def test_held_out_rows_have_no_say_in_what_is_chosen():
    train, held_out = selected()
    turned = replace(held_out, reward=6.0 - held_out.reward)
    grid = Grid((0,), (0.1, 1.0, 10.0), seeds=3)
    one, other = (compare(train, part, {"IPS": WAYS["IPS"]}, grid)["IPS"] for part in (held_out, turned))
    assert np.array_equal(one.validation, other.validation)
    assert not np.allclose(one.held_out, other.held_out)


def test_validation_errors_are_weighted_as_fits_are():
    train, held_out = selected()
    found = compare(train, held_out, WAYS, Grid((0,), (1.0,), seeds=1))["IPS"]
    rest, validation = split_log(train, 0.2, "random", 0)
    factors = fit_factors(rest, 0, 1.0, 15, 0, 1.0 / rest.propensity)
    weight = 1.0 / validation.propensity
    expected = (weight * deviation(factors, validation) ** 2).sum() / weight.sum()
    assert found.validation == pytest.approx(np.array([[expected]]))


def test_what_is_chosen_and_what_it_costs():
    held_out = np.array([[1.0, 2.0], [3.0, 4.0]])
    errors = Errors(held_out, np.array([[0.2, 0.1], [0.3, 0.4]]), held_out, np.ones((2, 2, 3)))
    assert errors.chosen.tolist() == [1, 0]
    assert errors.at_chosen(errors.held_out).tolist() == [2.0, 3.0]
    assert errors.at_chosen(errors.by_user).shape == (2, 3)


def test_popularity_is_the_product_of_the_counts():
    log = log_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 2, 3, 4])
    assert popularity_propensity(log).tolist() == [1.0, 0.75, 0.75, 0.5]
    assert popularity_propensities(1.5)(log).tolist() == pytest.approx([1.0, 4 / 3, 4 / 3, 1.5])


def test_predictions_keep_to_the_scale():
    log = log_of([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 5, 5])
    factors = fit_factors(log, 0, ridge=1e-6)._replace(mean=9.0)
    assert deviation(factors, log).tolist() == [4.0, 4.0, 0.0, 0.0]


def write(path, propensity=True):
    train, held_out = selected()
    parts = [(part.user, part.item, part.reward, part.propensity) for part in (train, held_out)]
    user, item, reward, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
    frame = polars.DataFrame({"user": user, "item": item, "reward": reward, "propensity": chance})
    (frame if propensity else frame.drop("propensity")).write_csv(path)


@pytest.mark.parametrize("propensity", [True, False])
def test_the_command_prints_and_writes(propensity, tmp_path, capsys):
    write(tmp_path / "log.csv", propensity)
    arguments = ["unbiased", "--log", str(tmp_path / "log.csv"), "--split", "random", "--sizes", "0", "2", "--ridges",
                 "0.5", "1", "--seeds", "2", "--clip", "5", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    report = (tmp_path / "out" / "report.md").read_text()
    assert report in printed
    assert rendered(tmp_path / "out") == report
    assert ("IPS, clipped at 5" in report) == propensity
    assert "IPS by popularity: below naive at " in report
    assert "of 4 hyper-parameters" in report


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    ([], ["unbiased", "log"], "--log"), (["--log", "LOG"], ["how", "own"], "--split-column"),
    (["--log", "LOG", "--split", "random", "--seeds", "0"], ["seeds", 0], 1),
    (["--log", "LOG", "--split", "random", "--clip", "0.5"], ["clip", 0.5], 1),
    (["--log", "LOG", "--split", "random", "--ridges", "0"], ["ridge", 0.0], "ridge")])
def test_wrong_settings_are_named(arguments, named, fix, tmp_path, capsys):
    write(tmp_path / "log.csv")
    arguments = [str(tmp_path / "log.csv") if word == "LOG" else word for word in arguments]
    assert main(["unbiased", *arguments]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


def test_a_log_without_propensities_is_named():
    train, held_out = selected()
    with refused("log", "propensities"):
        compare(replace(train, propensity=None), held_out, WAYS, Grid((0,), (1.0,), seeds=1))


def test_on_coat_naive_is_worse_everywhere(coat):
    """As Schnabel et al. (2016) say of their fits: IPS is below naive, here with all hyper-parameters."""
    train, held_out = split_log(read_log(coat), how="own")
    assert (len(train), len(held_out)) == (6594, 4640)
    assert not np.isin(train.pair_key, held_out.pair_key).any()
    found = compare(train, held_out, WAYS, Grid((0, 4), (0.3, 1.0, 3.0), seeds=1))
    assert (found["naive"].held_out - found["IPS"].held_out > 0.05).all()
    assert found["naive"].held_out.min() == pytest.approx(1.278, abs=0.01)
    assert gained(found, held_out).ci95[0] > 0.05
