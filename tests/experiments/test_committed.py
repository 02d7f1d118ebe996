"""Each committed report is what its command writes from the rows that are committed beside it."""

from pathlib import Path

import pytest

from interplay.envs.types import InterplayError
from interplay.experiments.reports import REPORT, SOURCE, made_by, made_line, publish, rendered

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.rglob(REPORT))


def listed(folder, source):
    """A renderer as a study has it."""
    return made_line(source["made"]) + "\n\n" + ", ".join(source["data"]["rows"]) + "\n"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(RESULTS)))
def test_a_committed_report_follows_from_its_rows(folder):
    assert (folder / SOURCE).is_file(), "a report without rows cannot be checked"
    assert rendered(folder) == (folder / REPORT).read_text(encoding="utf-8")


def test_evidence_is_found():
    assert len(FOLDERS) > 5


def test_only_functions_of_the_package_are_called(tmp_path):
    with pytest.raises(InterplayError, match="only functions of"):
        publish(tmp_path, listed, made_by("python scripts/x.py"), {"rows": ["one"]})


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InterplayError, match="cannot be written"):
        publish(tmp_path / "file", listed, made_by("python scripts/x.py"), {"rows": []})
