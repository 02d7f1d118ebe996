"""Targets from the command line to the reports, and agents that learn from a selected log."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from interplay.envs.types import SIDES
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.make_players import make_players
from interplay.experiments.loop.task import make_task, with_agents
from interplay.experiments.studies import main
from interplay.experiments.studies.unbiased.agents import World, returns
from refusals import assert_said

SMALL = ["--users", "matrix-factorisation", "--items", "rest", "--episodes", "2", "--eval-worlds", "2", "--market",
         "slate_size=2", "--market", "embedding_size=3", "--market", "horizon=4"]


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(8 * 10)[:60]
    frame = {"user": pairs // 10, "item": pairs % 10, "reward": rng.integers(1, 6, 60), "chance": rng.random(60) + 1e-3}
    pl.DataFrame(frame).with_columns(pl.col("chance").clip(0.0, 1.0)).write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv"


@pytest.mark.parametrize(("targets", "said"), [
    (["--targets", "ips", "--clip-weights", "5", "--propensity-column", "chance"],
     "missing pairs: mask; targets of learning: ips, with propensities of the log, weights of "),
    (["--targets", "doubly-robust", "--missing", "impute"],
     "missing pairs: impute; targets of learning: doubly-robust, with propensities by popularity, weights of "),
    ([], "missing pairs: mask; targets of learning: actual")])
def test_a_run_says_what_was_learnt_from(targets, said, log, tmp_path, capsys):
    assert main(["train", "--log", str(log), *targets, *SMALL, "--log-dir", str(tmp_path), "--name", "run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(said) == 1
    assert json.loads((tmp_path / "run" / "results.json").read_text())["rewards"].startswith(said)
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert said in capsys.readouterr().out


def test_weights_are_of_the_training_part(log, tmp_path):
    """The log's propensities times the 80 % that is trained on, so that the least weight is 1 / 0.8 or more."""
    arguments = ["--targets", "ips", "--propensity-column", "chance", "--log-dir", str(tmp_path), "--name", "run"]
    assert main(["train", "--log", str(log), *arguments, *SMALL]) == 0
    words = json.loads((tmp_path / "run" / "results.json").read_text())["rewards"].split("weights of ")[1].split()
    assert float(words[0]) >= 1.25


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, (0.0, 0.9)),
    ({"discount": 0.5}, (0.5, 0.5)),
    ({"market": ("mood.weight=1.0",)}, (0.9, 0.9))])
def test_users_of_a_log_look_ahead_only_where_something_carries_over(changes, expected, log):
    settings = with_agents(TrainSettings(log=log, users="dqn", items="dqn", **changes))
    players = make_players(settings, make_task(settings, torch.device("cpu")))
    assert tuple(players[side].setting.discount for side in SIDES) == expected


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["--preset", "kale", "--targets", "ips"], ["--targets", "ips"], "--log"),
    (["--log", "LOG", "--clip-weights", "9"], ["--clip-weights", 9.0], "--targets"),
    (["--log", "LOG", "--targets", "ips", "--clip-weights", "0"], ["clip", 0.0], 1),
    (["--log", "LOG", "--targets", "replay"], ["targets", "replay", "missing", "mask"], ())])
def test_wrong_settings_are_named(arguments, named, fix, log, tmp_path, capsys):
    arguments = [str(log) if word == "LOG" else word for word in arguments]
    assert main(["train", *arguments, "--log-dir", str(tmp_path / "runs")]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)
    assert not (tmp_path / "runs").exists()


def test_the_made_world_selects_as_it_says():
    world = World(num_users=400, num_items=20)
    log, truth = world.draw(3)
    chance = truth.reward.reshape(400, 20)
    assert len(truth) == 8000
    assert set(np.round(log.propensity, 6)) == {0.1, 0.3, 0.6}
    assert (log.reward[log.propensity == 0.6] == 1.0).all()
    assert (log.reward[log.propensity == 0.1] == 0.0).all()
    assert np.sum(1.0 / log.propensity) == pytest.approx(8000, rel=0.05)
    weighted = np.average(log.reward, weights=1.0 / log.propensity)
    assert weighted == pytest.approx(chance.mean(), abs=0.03)
    assert log.reward.mean() > chance.mean() + 0.1


@pytest.mark.slow
def test_inverse_propensities_teach_more_than_the_naive_log():
    world = World(num_users=120, num_items=20)
    found = [returns("matrix-factorisation", world, seed, episodes=6) for seed in range(3)]
    for name in ("IPS", "doubly robust"):
        assert sum(one[name] - one["naive"] for one in found) > 0.0
    assert all(one["random"] < one["IPS"] < one["greedy"] for one in found)


def test_the_command_trains_agents_and_writes(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["unbiased", "--agents", "matrix-factorisation,size=2", "--seeds", "2", "--episodes", "1"]
    assert main([*arguments, "--out", str(out)]) == 0
    report = (out / "report.md").read_text()
    assert "## matrix-factorisation,size=2" in report
    assert all(f"| {name} " in report for name in ("naive", "IPS", "doubly robust", "random", "popularity", "greedy"))
    capsys.readouterr()
    assert main([*arguments, "--log", "my.csv"]) == 2
    assert_said(capsys.readouterr().err, "agents", fix="--log")
    assert main(["unbiased", "--agents", "matrix-factorisation,sizes=2"]) == 2
    assert_said(capsys.readouterr().err, "sizes", fix="size")
