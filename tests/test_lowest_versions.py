"""What a user does first, from a log to a picture. ``scripts/lowest.sh`` runs it with the lowest declared versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interplay.envs.data import read_log
from interplay.experiments.cli.main import main

pytestmark = pytest.mark.slow

def train(folder: Path, *arguments: str) -> Path:
    """A short run."""
    given = ["--episodes", "2", "--num-worlds", "2", "--eval-worlds", "2", "--items", "rest", "--log-dir", str(folder)]
    assert main(["train", *given, "--name", "run", *arguments]) == 0
    return folder / "run"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """40 users and 12 items, every other pair."""
    rng, path = np.random.default_rng(0), tmp_path / "log.csv"
    rows = [(f"u{u}", f"i{i}", int(rng.integers(1, 6)), 10 * u + i) for u in range(40) for i in range(u % 2, 12, 2)]
    pl.DataFrame(rows, schema=["user", "item", "reward", "time"], orient="row").write_csv(path)
    return path


def test_kale_is_trained_logged_and_resumed(tmp_path: Path) -> None:
    run = train(tmp_path, "--preset", "kale", "--users", "q-learning")
    events = EventAccumulator(str(run)).Reload()
    assert len(events.Scalars("returns/users")) == 2
    assert main(["train", "--resume", str(run)]) == 0


def test_clusters_are_fitted_in_town(tmp_path: Path) -> None:
    """Users who have no exact states are clustered after 50 steps."""
    small = ("num_users=8", "num_items=6", "horizon=60")
    run = train(tmp_path, "--preset", "town", "--users", "q-learning", *(x for s in small for x in ("--market", s)))
    assert (run / "results.json").exists()


def test_a_log_is_read_played_and_exported(tmp_path: Path, log: Path) -> None:
    assert len(read_log(log)) == 240
    run = train(tmp_path, "--log", str(log), "--users", "dqn")
    export = tmp_path / "steps.market.parquet"
    assert main(["evaluate", str(run), "--export", str(export)]) == 0
    steps, read = pl.read_parquet(export), read_log(export)
    assert len(read) == steps["item"].count() == steps.height - read.dropped["in which a user took nothing"]


def test_regressions_and_metrics_of_a_log(tmp_path: Path, log: Path) -> None:
    towers = ["--task", "responses", "--size", "4", "--epochs", "1", "--log-dir", str(tmp_path)]
    assert main(["pretrain", "--log", str(log), *towers]) == 0
    rounds = pl.read_csv(log).with_columns(propensity=pl.lit(1 / 12), clicked=pl.col("reward") // 4)
    rounds.write_csv(tmp_path / "rounds.csv")
    for reward in ("reward", "clicked"):  # a ridge and a logistic regression
        assert main(["ope", str(tmp_path / "rounds.csv"), "--reward-column", reward]) == 0
    flags = ["--resamples", "20", "--most-worlds", "20", "--out", str(tmp_path / "fidelity")]
    assert main(["fidelity", "--log", str(log), *flags]) == 0


def test_a_benchmark_draws_its_report(tmp_path: Path) -> None:
    flags = ["--presets", "viability", "--agents", "q-learning", "--seeds", "1", "--scale", "0.01", "--workers", "1"]
    assert main(["benchmark", *flags, "--out", str(tmp_path)]) == 0
    assert "q-learning" in (tmp_path / "report.md").read_text()
    assert main(["plot", str(tmp_path), "--out", str(tmp_path / "drawn")]) == 0
    pictures = list(tmp_path.rglob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
