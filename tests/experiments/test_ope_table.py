"""Off-policy evaluation of a table of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interplay.envs.data.form import TableForm
from interplay.experiments.cli.main import main
from interplay.experiments.offpolicy import ESTIMATORS, WEIGHTING
from interplay.experiments.offpolicy.table import BanditColumns, read_bandit
from refusals import assert_said

WORTH = np.array([0.2, 0.5, 0.3])
TARGET = np.array([0.5, 0.1, 0.4])


def choices(rounds: int = 4000, repeat: int = 1) -> pl.DataFrame:
    """Three actions by the softmax of a context; each row ``repeat`` times, as of one user."""
    rng = np.random.default_rng(0)
    mood = rng.standard_normal(rounds)
    chance = np.exp(mood[:, None] * np.array([0.5, 0.0, -0.5]))
    chance /= chance.sum(1, keepdims=True)
    action = (chance.cumsum(1) > rng.random(rounds)[:, None]).argmax(1)
    return pl.DataFrame({
        "person": np.arange(rounds), "item": np.array(["x", "y", "z"])[action],
        "reward": (rng.random(rounds) < WORTH[action]).astype(int), "propensity": chance[np.arange(rounds), action],
        "new": TARGET[action], "mood": mood * 1e6, "day": np.where(rng.random(rounds) < 0.5, "fri", "sat"),
    })[np.repeat(np.arange(rounds), repeat)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    choices().write_csv(tmp_path / "mine.csv")
    return tmp_path / "mine.csv"


def asked(path: Path, *flags: str) -> pl.DataFrame:
    assert main(["ope", str(path), *flags, "--csv", str(path.parent / "out.csv")]) == 0
    return pl.read_csv(path.parent / "out.csv")


def test_every_estimator_says_what_a_policy_of_its_own_would_earn(
        table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(table, "--context-columns", "mood", "day")
    assert "mine.csv: 4,000 rounds, 3 actions, mean reward 0.3" in capsys.readouterr().out
    assert found["estimator"].to_list() == list(ESTIMATORS)
    truth = float(WORTH.mean())
    assert ((found["low"] < truth) & (found["high"] > truth)).sum() >= len(ESTIMATORS) - 1  # but for DM
    assert (found["value"] - truth).abs().max() < 0.02


def test_a_target_whose_chances_are_a_column(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, truth = asked(table, "--target-column", "new"), float(WORTH @ TARGET)
    assert "target: the one in column 'new'" in capsys.readouterr().out
    assert found["estimator"].to_list() == list(WEIGHTING)
    assert ((found["low"] < truth) & (found["high"] > truth)).all()
    rows = choices()
    weighted = (rows["new"] / rows["propensity"] * rows["reward"]).mean()
    assert found.filter(estimator="IPS")["value"].item() == pytest.approx(weighted, rel=1e-6)


def test_rows_of_one_unit_count_once(tmp_path: Path) -> None:
    """Each row four times: by itself each would halve the interval."""
    choices(1000, repeat=4).write_parquet(tmp_path / "mine.parquet")
    apart, together = (asked(tmp_path / "mine.parquet", *flags).filter(estimator="SNIPS")
                       for flags in ((), ("--unit-column", "person")))
    width = [(f["high"] - f["low"]).item() for f in (apart, together)]
    assert 1.7 < width[1] / width[0] < 2.3


def test_the_best_action_goes_by_its_id(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(table, "--policy", "most-clicked")
    assert "2,000 rounds, 3 actions" in (said := capsys.readouterr().out)
    assert "target: always item y, chosen on the 2,000 rounds before" in said
    assert abs(found.filter(estimator="DR")["value"].item() - WORTH[1]) < 0.06


def test_context_is_standardised_and_categories_are_columns(table: Path) -> None:
    context = read_bandit(table, BanditColumns(context=("mood", "day"))).feedback.context
    assert context.shape == (4000, 3)
    assert context[:, 0].std() == pytest.approx(1.0, abs=1e-3)
    assert set(context[:, 1] + context[:, 2]) == {1.0}


@pytest.mark.parametrize(("change", "flags", "named", "fix"), [
    ({"propensity": 0.0}, [], ["mine.csv", "propensity", "'0.0'", "row 1"], ()),
    ({"propensity": None}, [], ["mine.csv", "propensity", "nothing", "row 1"], ()),
    ({"reward": "good"}, [], ["mine.csv", "reward", "'good'", "row 1"], ()),
    ({"item": None}, [], ["mine.csv", "item", "nothing", "row 1"], ()),
    ({"new": 1.5}, ["--target-column", "new"], ["mine.csv", "new", "'1.5'", "row 1"], ()),
    ({}, ["--target-column", "new", "--policy", "most-clicked"], ["--policy most-clicked", "--target-column"], ()),
    ({}, ["--propensity-column", "chance"], ["chance", "'person', 'item', 'reward'"], "--propensity-column"),
    ({}, ["--unit-column", "item", "--context-columns", "item"], ["item"], ()),
    ({}, ["--context-columns", "person", "--folds", "9999"], ["folds", 9999], (2, 1000)),
])
def test_what_cannot_be_is_refused_in_one_line(change: dict[str, object], flags: list[str], named: list[Any], fix: Any,
                                               tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = choices().with_columns(pl.lit(value).alias(name) for name, value in change.items())
    rows.write_csv(tmp_path / "mine.csv")
    assert main(["ope", str(tmp_path / "mine.csv"), *flags]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


def test_too_few_rows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rounds, flags, named in ((0, [], ["mine.csv", 0]), (1, [], ["folds", 3, "1 rounds"]),
                                 (1, ["--policy", "most-clicked"], ["policy", "most-clicked"])):
        choices(5)[:rounds].write_csv(tmp_path / "mine.csv")
        assert main(["ope", str(tmp_path / "mine.csv"), *flags]) == 2
        assert_said(capsys.readouterr().err, *named)


def test_a_table_is_read_in_the_forms_of_all_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No header, semicolons, words as rewards, days as times, and a row that cannot be used."""
    rows = [("a", "no", "0,5", "03/01/2020"), ("b", "yes", "0,5", "02/01/2020"), ("b", "", "0,5", "02/01/2020"),
            ("a", "yes", "0,5", "01/01/2020"), ("b", "no", "0,5", "04/01/2020")]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(";".join(row).replace(",", ".") for row in rows) + "\n")
    words = shlex.split("--no-header --columns item reward propensity day --separator semicolon --reward-map no=0 "
                        "yes=1 --time-column day --time-format %d/%m/%Y --drop-bad-rows")
    assert main(["ope", str(path), *words, "--folds", "2", "--policy", "most-clicked"]) == 0
    printed = capsys.readouterr().out
    assert "dropped  1 rows whose reward is empty" in printed
    assert "target: always item a, chosen on the 2 rounds before" in printed, "of the two oldest, both yes, the first"
    read = read_bandit(path, BanditColumns(time="day"), TableForm(header=False, columns=("item", "reward", "propensity",
                       "day"), time_format="%d/%m/%Y", reward_map={"no": 0.0, "yes": 1.0}, drop_bad_rows=True))
    assert read.feedback.reward.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert [read.actions[action] for action in read.feedback.action] == ["a", "b", "a", "b"]


def test_a_table_whose_columns_are_named_is_no_markets_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.market.parquet"
    choices(200).rename({"item": "what", "reward": "stars"}).write_parquet(path)
    assert main(["ope", str(path), "--action-column", "what", "--reward-column", "stars", "--folds", "2"]) == 0
    assert "shop.market.parquet: 200 rounds, 3 actions" in capsys.readouterr().out
