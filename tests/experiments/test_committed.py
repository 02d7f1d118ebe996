"""Each committed report is what its command writes from the rows that are committed beside it."""

from pathlib import Path

import pytest

from interplay.experiments.benchmark.readme import PAGES, replaced, results_table
from interplay.experiments.benchmark.scores import Row, write_rows
from interplay.experiments.common.reports import REPORT, SOURCE, made_by, made_line, publish, rendered
from refusals import refused

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.rglob(REPORT))


def listed(folder, source):
    """A renderer as a study has it."""
    return made_line(source["made"]) + "\n\n" + ", ".join(source["data"]["rows"]) + "\n"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(RESULTS)))
def test_a_committed_report_follows_from_its_rows(folder):
    assert (folder / SOURCE).is_file(), "a report without rows cannot be checked"
    assert rendered(folder) == (folder / REPORT).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_the_committed_scores(page):
    text = (RESULTS.parents[1] / page).read_text(encoding="utf-8")
    assert replaced(text, RESULTS, PAGES[page]) == text


def test_a_page_shows_the_markets_that_it_names_in_their_order():
    lines = results_table(RESULTS, ("viability", "kale")).splitlines()[2:]
    assert [line.split()[1] for line in lines] == ["viability", "kale"]


def test_only_functions_of_the_package_are_called(tmp_path):
    with refused(tmp_path, __name__, "interplay.experiments"):
        publish(tmp_path, listed, made_by("python scripts/x.py"), {"rows": ["one"]})


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with refused(tmp_path / "file", fix="--out"):
        publish(tmp_path / "file", listed, made_by("python scripts/x.py"), {"rows": []})


def test_games_that_differ_in_the_other_side_have_lines_of_their_own(tmp_path):
    for others, score in (("items rest", 1.0), ("items q-learning", 3.0)):
        (tmp_path / others).mkdir()
        rows = [Row("kale", "dqn", "learner", seed, "user_return", others, {"score": score}) for seed in range(2)]
        write_rows(rows, tmp_path / others / "scores.csv")
    lines = results_table(tmp_path).splitlines()[2:]
    assert [line.split(" | ")[1].strip() for line in lines] == ["items q-learning", "items rest"]
    assert ["dqn 3.0" in lines[0], "dqn 1.0" in lines[1]] == [True, True]
