"""The command, and the bandit of known truth that it judges estimators by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interplay.envs.types import InterplayError
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.offpolicy import ESTIMATORS
from interplay.experiments.offpolicy.command import ask
from interplay.experiments.offpolicy.synthetic import SyntheticBandit, judge


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """Two items, of which item 1 is clicked in the older half and item 0 in the newer."""
    folder = tmp_path / "random" / "men"
    folder.mkdir(parents=True)
    count = 400
    item = np.arange(count) % 2
    click = np.where(np.arange(count) < 200, item, 1 - item)
    pl.DataFrame({
        "timestamp": [f"2019-11-24 00:{k // 60:02}:{k % 60:02}+00:00" for k in range(count)], "item_id": item,
        "position": np.arange(count) % 3 + 1, "click": click, "propensity_score": np.full(count, 0.5),
        **{f"user_feature_{k}": ["a"] * count for k in range(4)},
        **{f"user-item_affinity_{k}": np.zeros(count) for k in range(2)}}).write_csv(folder / "men.csv")
    pl.DataFrame({"item_id": [0, 1], "item_feature_0": [0.1, 0.2]}).write_csv(folder / "item_context.csv")
    return folder


def test_prints_and_writes_one_row_for_each_estimator(campaign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = campaign / "out.csv"
    assert main(["ope", str(campaign), "--csv", str(file)]) == 0
    assert "400 rounds, 2 items, click rate 0.50000; target: every item as likely" in capsys.readouterr().out
    found = pl.read_csv(file)
    assert found["estimator"].to_list() == list(ESTIMATORS)
    assert found.filter(estimator="IPS")["value"].item() == 0.5


@pytest.mark.parametrize("arguments", [["."], ["--synthetic", "--repeats", "2", "--rounds", "200"]])
def test_a_report_follows_from_its_rows(arguments: list[str], campaign: Path, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(campaign) if word == "." else word for word in arguments]
    assert main(["ope", *arguments, "--out", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert rendered(tmp_path / "out") == report
    assert "\n".join(report.splitlines()[2:]) in capsys.readouterr().out


def test_the_most_clicked_item_is_not_judged_by_what_chose_it(campaign: Path) -> None:
    question = ask(campaign, "most-clicked")
    assert len(question.feedback) == 200
    assert question.policy[:, 1].tolist() == [1.0] * 200
    assert question.feedback.reward[question.feedback.action == 1].sum() == 0.0


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "path=None, synthetic=False and preset=None: give either"),
    (["x", "--synthetic"], "path='x', synthetic=True and preset=None: give either"),
    (["--preset", "town", "--synthetic"], "synthetic=True and preset='town': give either"),
    (["--preset", "village"], "village"), (["--preset", "town", "--steps", "101"], "steps=101: give at least 1"),
    (["--preset", "town", "--temperature", "0"], "temperature=0.0"),
    (["--preset", "town", "--rounds", "0"], "rounds=0"), (["--preset", "town", "--repeats", "0"], "repeats=0"),
    (["no-such"], "no-such: there is no such file or folder: check the path"), (["."], "is no campaign of Open Bandit"),
    ([".", "--action-column", "it"], "--action-column it has no effect"),
    (["--synthetic", "--repeats", "0"], "repeats=0"),
    (["--synthetic", "--temperature", "0"], "temperature=0.0"),
    (["--synthetic", "--repeats", "1", "--rounds", "2"], "folds=3 for 2 rounds"),
])
def test_wrong_input_ends_in_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ope", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_market_is_asked_what_it_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kale has one user and a fixed order, and so no slates to ask about."""
    file = tmp_path / "out.csv"
    assert main(["ope", "--preset", "kale", "--steps", "2", "--repeats", "2", "--rounds", "300", "--csv",
                 str(file)]) == 0
    out = capsys.readouterr().out
    assert "2 logs of 300 worlds with 1 users and 2 steps" in out
    assert "slate: not asked" in out
    found = pl.read_csv(file)
    assert found["question"].to_list() == ["step"] * len(ESTIMATORS) + ["episode"] * 4
    assert found["repeats"].unique().to_list() == [2]


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
        # 1/p times the action's indicator has mean 1 for each action, whatever the context.
        assert np.bincount(log.action, 1.0 / log.propensity) / len(log) == pytest.approx(1.0, abs=0.06)
        assert (log.action != self.BANDIT.log(100_000, 1).action).any()

    def test_the_logger_is_another_policy_and_a_worse_one(self) -> None:
        assert self.BANDIT.truth(self.BANDIT.logger) < self.BANDIT.truth() - 0.01

    def test_without_noise_the_logger_is_the_target(self) -> None:
        bandit = SyntheticBandit(noise=0.0)
        context = np.random.default_rng(0).normal(size=(5, 5))
        assert (bandit.logger(context) == bandit.target(context)).all()

    def test_on_the_plain_bandit_the_model_errs_most_and_weights_alone_next(self) -> None:
        """Ten logs do for what differs by much; the order of SNIPS and DR needs the report's hundred."""
        found = {a.name: a for a in judge(SyntheticBandit(), repeats=10)}
        assert found["DM"].relative_error > found["IPS"].relative_error > found["DR"].relative_error
        assert found["DM"].covered is None
        assert min(found[name].covered for name in ("IPS", "SNIPS", "DR", "SNDR", "DRos")) >= 8

    @pytest.mark.parametrize("change", [{"num_actions": 1}, {"noise": -1.0}, {"temperature": 0.0}])
    def test_refusals(self, change: dict[str, float]) -> None:
        with pytest.raises(InterplayError, match="give at least 2 actions"):
            SyntheticBandit(**change)  # type: ignore[arg-type]
