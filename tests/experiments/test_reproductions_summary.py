"""All reproductions in one table: what it takes from the reports, and what counts as reached."""

from pathlib import Path

import pytest

from interplay.experiments.studies.reproductions.findings import finding, findings_table, reached
from interplay.experiments.studies.reproductions.summary import STUDIES, SummarySettings, draw, findings, study
from refusals import refused

FOLDER = Path(__file__).parents[2] / "experiments" / "results" / "reproductions"


@pytest.mark.parametrize(("found", "at_least", "verdict"), [
    (0.8, False, False), (0.95, False, True), (1.2, False, False), (0.8, True, False), (0.95, True, True),
    (1.2, True, True)])
def test_what_was_published_is_a_figure_or_a_bound(found, at_least, verdict):
    assert reached(finding("a", "b", found, 1.0, 0.1, at_least=at_least)) is verdict


def test_a_table_names_studies_and_bounds():
    row = {**finding("town", "return", [1.0, 2.0, 3.0, 4.0, 5.0], 2.5, at_least=True), "study": "Ours"}
    header, _, line = findings_table([row]).splitlines()
    assert header.split("|")[1].strip() == "study"
    assert [cell.strip() for cell in line.split("|")[1:5]] == ["Ours", "town", "return", "at least 2.5"]


def test_each_study_has_findings_with_what_was_published():
    rows = findings(FOLDER)
    assert {row["study"] for row in rows} == {each.name for each in STUDIES}
    assert all(row["published"] is not None for row in rows)
    assert not [row for row in rows if "mean vector" in row["figure"]]
    prices = {row["figure"]: row["published"] for row in rows if row["where"] == "pricing-cheapest"}
    assert prices == {"price shown": 1.55, "change of price": -0.074, "change of price shown": -0.074}


def test_all_findings_are_drawn():
    rows = findings(FOLDER)
    axis = draw(rows).axes[0]
    assert len(axis.get_yticks()) == len(rows)
    points = [line for line in axis.lines if line.get_marker() == "o"]
    assert [line.get_color() for line in points] == ["#0072b2" if reached(row) else "#d55e00" for row in rows]


def test_a_study_that_was_not_made_is_named(tmp_path):
    with refused(tmp_path, "coaching", "coat", fix="studies"):
        study(SummarySettings(tmp_path))
