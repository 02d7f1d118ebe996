"""The command ``interplay ope``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.offpolicy import ESTIMATORS
from interplay.experiments.offpolicy.command import ask
from refusals import assert_said


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


def test_a_report_follows_from_its_rows(campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ope", str(campaign), "--out", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert rendered(tmp_path / "out") == report
    assert "\n".join(report.splitlines()[2:]) in capsys.readouterr().out


def test_the_most_clicked_item_is_not_judged_by_what_chose_it(campaign: Path) -> None:
    question = ask(campaign, "most-clicked")
    assert len(question.feedback) == 200
    assert question.policy[:, 1].tolist() == [1.0] * 200
    assert question.feedback.reward[question.feedback.action == 1].sum() == 0.0


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["no-such"], "no-such", "path"), (["."], "campaign", "bts/men"),
    ([".", "--action-column", "it"], "--action-column it", ())])
def test_wrong_input_ends_in_one_line(arguments: list[str], named: str, fix: Any,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ope", *arguments]) == 2
    assert_said(capsys.readouterr().err, named, fix=fix)
