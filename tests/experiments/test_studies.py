"""Studies run, and what they committed follows from their rows (see test_committed)."""

import json
from pathlib import Path

import pytest

from interplay.experiments.studies.interval_coverage import SIZES, CoverageSettings, study

COMMITTED = Path(__file__).parents[2] / "experiments" / "results" / "intervals"


def test_a_short_version_of_the_coverage_study_writes_its_report_and_rows(tmp_path):
    said = study(CoverageSettings(tmp_path, repeats=40))
    assert (tmp_path / "report.md").read_text() == said
    assert said.startswith("Made by `python -m interplay.experiments.studies.interval_coverage")
    rows = json.loads((tmp_path / "report.json").read_text())["data"]["rows"]
    assert {row["n"] for row in rows} == set(SIZES)
    assert all(0.0 <= row["used"] <= 1.0 for row in rows)


@pytest.mark.parametrize("figure", ["mean", "IQM", "IQM over three tasks"])
def test_committed_intervals_of_normal_values_cover_where_the_bootstraps_do_not(figure):
    rows = json.loads((COMMITTED / "report.json").read_text())["data"]["rows"]
    found = {row["n"]: row for row in rows if (row["figure"], row["values"]) == (figure, "normal")}
    assert set(found) == set(SIZES)
    assert all(0.92 <= found[n]["used"] <= 0.985 for n in (5, 10, 20))
    assert found[5]["bootstrap"] < 0.92
