"""The study of many seeds: its processes, and its report."""

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered

STUDY = "interplay.experiments.studies.speed.seeds:study"


@pytest.mark.slow
def test_a_short_version_times_seeds_in_one_process_and_in_several(tmp_path):
    words = ["--presets", "kale", "--agents", "q-learning", "pqn", "--seeds", "3", "--workers", "2", "--steps", "2",
             "--rounds", "2", "--out", str(tmp_path)]
    assert main(words, STUDY) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rendered(tmp_path).splitlines()[4:]]
    assert [row[:2] for row in rows] == [["kale", "q-learning"], ["kale", "pqn"]]
    for row in rows:
        assert all(float(cell) > 0.0 for cell in row[2:])
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == rendered(tmp_path)
