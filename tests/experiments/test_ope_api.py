"""``interplay.ope``: off-policy evaluation from Python."""

import numpy as np
import polars as pl
import pytest

import interplay as ip
from interplay.experiments.cli.main import main
from refusals import refused


@pytest.fixture
def choices():
    """Two actions, of which the second pays twice as often, and their chances under a policy that prefers it."""
    rng = np.random.default_rng(0)
    item = rng.integers(0, 2, 600)
    return {"item": item, "reward": (rng.random(600) < 0.3 * (1 + item)).astype(float), "propensity": np.full(600, 0.5),
            "new": np.where(item == 1, 0.9, 0.1)}


def test_a_frame_and_a_file_say_what_the_command_says(choices, tmp_path):
    path = tmp_path / "choices.csv"
    pl.DataFrame(choices).write_csv(path)
    assert main(["ope", str(path), "--csv", str(tmp_path / "out.csv")]) == 0
    wanted = pl.read_csv(tmp_path / "out.csv").select("value", "low", "high", "effective_size")
    for log in (path, str(path), choices, pl.DataFrame(choices)):
        found = ip.ope.evaluate(log)
        assert found.frame.select(wanted.columns).equals(wanted, null_equal=True)
    assert "600 rounds, 2 actions" in repr(found)
    assert "| SNIPS" in repr(found)


@pytest.mark.parametrize("kind", [pl.Float32, pl.Int16, pl.Boolean, pl.String, pl.Categorical])
def test_context_of_a_frame_may_be_of_any_type(choices, kind):
    late = pl.Series("late", np.arange(600) % 2).cast(pl.String if kind == pl.Categorical else kind).cast(kind)
    frame = pl.DataFrame(choices).with_columns(late)
    wanted = pl.DataFrame(choices).with_columns(late=pl.Series(np.arange(600) % 2).cast(pl.String))
    found, same = (ip.ope.evaluate(each, context=("late",))["DR"].estimate for each in (frame, wanted))
    assert found.mean == pytest.approx(same.mean, rel=1e-6)


def test_a_target_is_probabilities_or_a_column(choices, tmp_path):
    policy = np.tile([0.1, 0.9], (600, 1))
    path = tmp_path / "choices.csv"
    pl.DataFrame(choices).write_csv(path)
    found = [ip.ope.evaluate(choices, policy), ip.ope.evaluate(path, policy.tolist()),
             ip.ope.evaluate(choices, target_column="new"), ip.ope.evaluate(path, target_column="new")]
    means = [one["SNIPS"].estimate.mean for one in found]
    assert means == pytest.approx(means[:1] * 4, rel=1e-6)
    low, high = found[0]["SNIPS"].estimate.ci95
    assert low < 0.1 * 0.3 + 0.9 * 0.6 < high
    assert "given" in found[0].what
    assert "'new'" in found[2].what


def test_probabilities_belong_to_the_rows_as_they_were_given_not_to_their_order_in_time(choices):
    rng = np.random.default_rng(1)
    best = rng.integers(0, 2, 600)  # what pays in a row, which is what the target takes
    log = choices | {"reward": (choices["item"] == best).astype(float), "time": rng.permutation(600)}
    found = ip.ope.evaluate(log, np.eye(2)[best], time="time")
    assert found["SNIPS"].estimate.mean == 1.0
    assert found["IPS"].estimate.mean == ip.ope.evaluate(log, np.eye(2)[best])["IPS"].estimate.mean


def test_propensities_too_low_for_any_weight_are_refused(choices):
    log = choices | {"propensity": np.where(np.arange(600) == 7, 1e-320, 0.5)}
    with refused("weights", "1 of 600", fix=("propensities", "1e-320")):
        ip.ope.evaluate(log)


def test_a_run_is_evaluated_on_slates(tmp_path):
    run = ip.train(ip.market("feed", horizon=6), platform="slateq", episodes=1, num_worlds=2, eval_worlds=2,
                   log_dir=tmp_path)
    slates = tmp_path / "planned.market.parquet"
    assert main(["evaluate", str(run.folder), "--export", str(slates), "--explore", "--eval-worlds", "4"]) == 0
    assert ip.ope.evaluate(slates, run).frame.equals(ip.ope.evaluate(slates, run.folder).frame, null_equal=True)


ROUNDS = {"item": [0, 1], "reward": [1.0, 0.0], "propensity": [0.5, 0.5]}


@pytest.mark.parametrize(("log", "target", "flags", "named", "fix"), [
    ({"item": [1], "reward": [1.0, 2.0]}, "uniform", {}, ["log"], ("file", "frame", "columns")),
    (3, "uniform", {}, ["log", 3], "file"), (ROUNDS, "best", {}, ["best"], ("uniform", "most-clicked")),
    (ROUNDS, object(), {}, ["target"], "probabilities"), (ROUNDS, [[1.0], [1.0]], {}, ["policy", (2, 1)], ()),
    ({"item": [0, 1], "reward": [1.0, 0.0]}, "uniform", {}, ["propensity"], ("item", "reward")),
    (ROUNDS, [[0.5, 0.5]] * 2, {"target_column": "reward"}, ["target", "target_column"], ()),
    (ROUNDS, "most-clicked", {"target_column": "reward"}, ["target='most-clicked'", "target_column="], ()),
    (ROUNDS, "uniform", {"allow_code": True}, ["allow_code=True", "target="], ()),
    (ROUNDS, "uniform", {"folds": 1}, ["folds", 1], 2), (ROUNDS, "uniform", {"action": 3}, ["action", 3], ())])
def test_wrong_arguments_are_named(log, target, flags, named, fix):
    with refused(*named, fix=fix):
        ip.ope.evaluate(log, target, **flags)
