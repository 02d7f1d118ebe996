"""The study of estimators, and the bandit of known truth on which it judges them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay.experiments.common.reports import rendered
from interplay.experiments.offpolicy import ESTIMATORS
from interplay.experiments.studies import main
from interplay.experiments.studies.estimators.synthetic import SyntheticBandit, judge
from refusals import assert_said, refused


def judged(*arguments: str) -> int:
    """The exit status of the command for two logs."""
    return main(["estimators", "--repeats", "2", *arguments])


def test_a_market_is_asked_what_it_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kale has one user and a fixed order, and so no slates to ask about."""
    assert judged("--preset", "kale", "--steps", "2", "--rounds", "300", "--out", str(tmp_path)) == 0
    report = (tmp_path / "report.md").read_text()
    assert report == rendered(tmp_path)
    assert report in capsys.readouterr().out
    assert "2 logs of 300 worlds with 1 users and 2 steps" in report
    assert "slate: not asked" in report
    _, step, episode, _ = json.loads((tmp_path / "report.json").read_text())["data"]["sections"]
    assert [row["name"] for row in step["accuracies"]] == list(ESTIMATORS)
    assert [row["repeats"] for row in episode["accuracies"]] == [2] * 4


def test_the_bandit_is_judged_unless_a_market_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged("--rounds", "200") == 0
    assert "2 logs of 200 rounds by a policy that earns" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "named"), [
    (["--preset", "village"], ["village"]), (["--preset", "town", "--steps", "101"], ["steps", 101]),
    (["--temperature", "0"], ["temperature", 0.0]), (["--rounds", "0"], ["rounds", 0]),
    (["--repeats", "0"], ["repeats", 0]), (["--rounds", "2"], ["folds", 3, "2 rounds"])])
def test_wrong_input_ends_in_one_line(arguments: list[str], named: list[Any],
                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(*arguments) == 2
    assert_said(capsys.readouterr().err, *named)


class TestSynthetic:
    BANDIT = SyntheticBandit(num_actions=6, num_features=2, seed=3)

    def test_the_truth_is_what_the_target_earns_when_it_plays(self) -> None:
        rng = np.random.default_rng(0)
        context = rng.normal(size=(200_000, 2))
        policy = self.BANDIT.target(context)
        action = (policy.cumsum(1)[:, :-1] < rng.random((len(context), 1))).sum(1)
        earned = rng.random(len(context)) < self.BANDIT.rates(context)[np.arange(len(context)), action]
        assert self.BANDIT.truth() == pytest.approx(earned.mean(), abs=0.005)

    def test_logs_are_drawn_from_the_logging_policy(self) -> None:
        log = self.BANDIT.log(100_000, 0)
        policy = self.BANDIT.logger(log.context)
        assert np.bincount(log.action) / len(log) == pytest.approx(policy.mean(0), abs=0.005)
        assert (log.propensity == policy[np.arange(len(log)), log.action]).all()
        # 1/p times the action's indicator has mean 1 for each action, in any context.
        assert np.bincount(log.action, 1.0 / log.propensity) / len(log) == pytest.approx(1.0, abs=0.06)
        assert (log.action != self.BANDIT.log(100_000, 1).action).any()

    def test_the_logger_is_another_policy_and_a_worse_one(self) -> None:
        assert self.BANDIT.truth(self.BANDIT.logger) < self.BANDIT.truth() - 0.01

    def test_without_noise_the_logger_is_the_target(self) -> None:
        bandit = SyntheticBandit(noise=0.0)
        context = np.random.default_rng(0).normal(size=(5, 5))
        assert (bandit.logger(context) == bandit.target(context)).all()

    @pytest.mark.slow
    def test_on_the_plain_bandit_the_model_errs_most_and_weights_alone_next(self) -> None:
        """Ten logs do for what differs by much; the order of SNIPS and DR needs the report's hundred."""
        found = {a.name: a for a in judge(SyntheticBandit(), repeats=10)}
        assert found["DM"].relative_error > found["IPS"].relative_error > found["DR"].relative_error
        assert found["DM"].covered is None
        assert min(found[name].covered for name in ("IPS", "SNIPS", "DR", "SNDR", "DRos")) >= 8

    @pytest.mark.parametrize(("name", "value"), [("num_actions", 1), ("noise", -1.0), ("temperature", 0.0)])
    def test_refusals(self, name: str, value: float) -> None:
        with refused(f"{name}={value}", fix="2 actions"):
            SyntheticBandit(**{name: value})  # type: ignore[arg-type]
