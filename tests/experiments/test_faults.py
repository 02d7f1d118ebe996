"""The harness of faults: it reports what went wrong, and a small part of it finds nothing."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from interplay.experiments.common.reports import rendered
from interplay.experiments.studies.faults.kills import ending_problems
from interplay.experiments.studies.faults.processes import Ended
from interplay.experiments.studies.faults.report import write_report
from interplay.experiments.studies.faults.rows import Row, judged, read_rows, refusal_problems
from interplay.experiments.studies.faults.same import differences

ROOT = Path(__file__).parents[2]
TRACEBACK = "Traceback (most recent call last):\n  File ...\nKeyError: 'x'\n"
BOX = "╭─ Missing argument ─╮\n│ Missing value for argument '--seed'. │\n╰─────╯\n"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_a_small_part_finds_no_fault(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "faults.py"), "--quick", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rows = read_rows(tmp_path / "out" / "rows.csv")
    assert {row.part for row in rows} == {"kills", "files", "commands", "calls"}


@pytest.mark.parametrize(("status", "error", "problem"), [
    (2, "error: seed=-1 must not be negative\n", None), (2, BOX, None), (0, "", "accepted"),
    (None, "", "accepted: still running"), (1, TRACEBACK, "traceback: KeyError: 'x'"), (1, "error: no\n", "status 1"),
    (2, "error: one\ntwo\n", "2 lines instead of one"), (2, "error: " + "x" * 300, "a line of 307 characters"),
    (2, "", "0 lines instead of one")])
def test_a_refusal_is_one_short_line_with_status_2(status, error, problem):
    problems = refusal_problems(status, error)
    assert len(problems) == (problem is not None)
    assert all(found.startswith(problem) for found in problems)


@pytest.mark.parametrize(("number", "end", "problem"), [
    (signal.SIGTERM, Ended(143, "stopped\n", 0), None), (signal.SIGINT, Ended(130, "stopped\n", 0), None),
    (signal.SIGKILL, Ended(-9, "", 0), None), (signal.SIGTERM, Ended(0, "", 0), "status 0, not 143"),
    (signal.SIGINT, Ended(130, TRACEBACK, 0), "traceback"), (signal.SIGKILL, Ended(-9, "", 2), "2 processes left")])
def test_a_signal_ends_a_command_with_its_status_and_leaves_nothing(number, end, problem):
    problems = ending_problems(number, end)
    assert len(problems) == (problem is not None)
    assert all(found.startswith(problem) for found in problems)


def write(folder, weight=1.0, seconds=2.0, rows=2):
    folder.mkdir(exist_ok=True)
    torch.save({"agents": [{"weight": torch.tensor([0.5, weight])}], "wall_seconds": seconds}, folder / "checkpoint.pt")
    (folder / "results.json").write_text(json.dumps({"score": weight, "seconds": seconds}))
    with (folder / "curve.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["env_steps", "wall_seconds"], *([number, seconds] for number in range(rows))])


@pytest.mark.parametrize(("change", "found"), [
    ({"seconds": 3.0}, []),
    ({"weight": 1.0 + 2e-7}, ["checkpoint.pt: .agents[0].weight differs", "results.json: .score differs"]),
    ({"rows": 3}, ["curve.csv: : 2 values and 3"])])
def test_runs_are_compared_to_the_bit_but_for_the_clock(change, found, tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "other", **change)
    assert differences(tmp_path / "one", tmp_path / "other", "checkpoint.pt", "results.json", "curve.csv") == found


def test_a_file_that_is_missing_or_damaged_differs(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "other")
    (tmp_path / "other" / "curve.csv").unlink()
    (tmp_path / "other" / "results.json").write_text("{")
    assert differences(tmp_path / "one", tmp_path / "other", "curve.csv", "results.json") == [
        "curve.csv: missing", "results.json: unreadable (JSONDecodeError)"]


def test_the_report_counts_and_lists_what_failed(tmp_path):
    rows = [judged("kills", "one", []), judged("kills", "two", ["status 0,\nnot 143", "left"]),
            Row("disks", "three", "skipped: no right to mount")]
    text = write_report(rows, "python scripts/faults.py", tmp_path)
    assert (tmp_path / "report.md").read_text() == text == rendered(tmp_path)
    assert "| kills of train, pretrain and benchmark, each resumed | 2" in text
    assert "- kills, `two`: status 0, not 143; left" in text
    assert "- disks, `three`: skipped: no right to mount" in text
