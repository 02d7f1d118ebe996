"""Logs as small as they come, through the commands: each is played, or refused in one line that says why."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from interplay.experiments.cli.main import main
from refusals import assert_said

ONE_USER = {"user": [7] * 12, "item": range(12), "reward": [n % 3 for n in range(12)]}
ONE_ITEM = {"user": range(12), "item": [7] * 12, "reward": [n % 3 for n in range(12)]}
THREE_ITEMS = {"user": [n // 3 for n in range(12)], "item": [n % 3 for n in range(12)],
               "reward": [n % 2 for n in range(12)]}


@pytest.fixture(params=[ONE_USER, ONE_ITEM, THREE_ITEMS], ids=["one user", "one item", "three items"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pl.DataFrame(request.param).write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv"


@pytest.mark.parametrize("users", ["dqn", "matrix-factorisation", "shared-critic"])
def test_agents_train_on_them(users: str, log: Path, tmp_path: Path) -> None:
    """With no slate size named: where the catalogue is shorter than a slate, all of it is shown."""
    small = ["--episodes", "1", "--num-worlds", "2", "--eval-worlds", "2", "--market", "horizon=3"]
    assert main(["train", "--log", str(log), "--users", users, "--items", "q-learning", *small, "--log-dir",
                 str(tmp_path / "runs")]) == 0


def test_towers_train_on_them(log: Path, tmp_path: Path) -> None:
    where = ["--log-dir", str(tmp_path), "--name", "run"]
    assert main(["pretrain", "--log", str(log), "--epochs", "1", "--size", "4", *where]) == 0
    assert main(["recommend", "--run", str(tmp_path / "run"), "-k", "2"]) == 0


def test_fidelity_judges_them_and_says_where_noise_cannot_be_measured(
        log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fidelity", "--log", str(log), "--resamples", "20", "--out", str(tmp_path / "out")]) == 0
    users = pl.read_csv(log)["user"].n_unique()
    said = f"resampled by user: there are only {users}, so that verdicts say little" in capsys.readouterr().out
    assert said == (users < 10)


def test_one_row_leaves_nothing_to_hold_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("user,item,reward\na,b,1\n")
    assert main(["train", "--log", str(tmp_path / "log.csv"), "--log-dir", str(tmp_path / "runs")]) == 2
    assert_said(capsys.readouterr().err, "held_out", "1 rows", "held-out", fix="held_out")
    assert not (tmp_path / "runs").exists()


def test_clicks_alone_have_a_scale_if_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every pair of even sum was clicked; the others are worth 0, and users that take clicked items earn more."""
    clicks = [(u, i) for u in range(6) for i in range(6) if (u + i) % 2 == 0]
    rows = {"user": [u for u, _ in clicks], "item": [i for _, i in clicks], "reward": [1] * len(clicks)}
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    where = ["--log", str(tmp_path / "log.csv"), "--log-dir", str(tmp_path), "--name", "run"]
    small = ["--users", "random", "--items", "rest", "--episodes", "1", "--eval-worlds", "2"]
    assert main(["train", *where, *small]) == 2
    assert_said(capsys.readouterr().err, "reward", 1, fix="--reward-range 0 1")
    assert main(["train", *where, *small, "--missing", "zero", "--reward-range", "0", "1"]) == 0
    said = capsys.readouterr().out
    assert "rewards  0 to 1" in said
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "| greedy" in capsys.readouterr().out
    assert main(["train", *where, "--reward-range", "2", "3"]) == 2
    assert_said(capsys.readouterr().err, "reward 1", "reward_range", (2, 3))
    assert main(["train", *where, "--reward-range", "1", "1"]) == 2
    assert_said(capsys.readouterr().err, "reward_range", (1, 1), fix="0 1")
    assert main(["train", "--reward-range", "0", "1"]) == 2
    assert_said(capsys.readouterr().err, "--reward-range 0.0 1.0", fix="--log")


def test_the_logs_own_split_is_taken_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, where = tmp_path / "log.csv", ["--log-dir", str(tmp_path / "runs"), "--name", "run"]
    own = pl.DataFrame(THREE_ITEMS).with_columns(part=pl.Series(["train", "train", "test"] * 4))
    own.write_csv(path)
    arguments = ["pretrain", "--log", str(path), "--epochs", "1", "--size", "4", *where, "--split-column", "part"]
    assert main([*arguments, "--split", "own"]) == 0
    assert "training part: 8 rows, held-out part: 4 rows" in capsys.readouterr().out
    assert main(["recommend", "--run", str(tmp_path / "runs" / "run"), "-k", "1"]) == 0
    capsys.readouterr()
    assert main(arguments) == 2
    assert_said(capsys.readouterr().err, "--split-column part", fix="--split own")
    own.with_columns(part=pl.lit("valid")).write_csv(path)
    assert main([*arguments, "--split", "own"]) == 2
    assert_said(capsys.readouterr().err, "log.csv", "part", "valid", "row 1", fix=("train", "test"))
