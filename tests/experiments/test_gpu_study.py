"""The study of a GPU runs through without one, and its report follows from its rows."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from interplay.agents import find_agent
from interplay.agents.testing.contract_harness import META, AgentHarness
from interplay.agents.testing.synthetic_transitions import ONE_SIDE
from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.reports import rendered
from interplay.experiments.studies.gpu import bits, child, jobs, score
from interplay.experiments.studies.gpu.bench import Bench, Case
from interplay.experiments.studies.gpu.goals import goals
from interplay.experiments.studies.gpu.jobs import Job, Runner
from interplay.experiments.studies.gpu.parity import Difference
from interplay.experiments.studies.gpu.playing import CAPTURED, EAGER, loop_of
from interplay.experiments.studies.gpu.rows import ROWS, read_rows, write_row
from interplay.experiments.studies.gpu.sections import SECTIONS, Section
from interplay.experiments.studies.gpu.tabulated import Found
from refusals import assert_said

ROOT = Path(__file__).parents[2]
GPU = "interplay.experiments.studies.gpu.command:gpu"


def test_rows_do_not_say_where_files_are(tmp_path: Path) -> None:
    place = "/home/me/else.where/src/interplay/envs/market.py"
    write_row(tmp_path, {"section": "core", "case": 0, "trace": [f'File "{place}", line 3', "1 / 2 and a/b.py"]})
    (row,) = read_rows(tmp_path)
    assert row["trace"] == ['File "interplay/envs/market.py", line 3', "1 / 2 and a/b.py"]


@pytest.mark.slow
def test_the_script_measures_without_a_gpu_and_reports_what_it_measured(tmp_path: Path) -> None:
    sections = ("graphs", "machine", "core", "training")
    command = ["bash", str(ROOT / "scripts" / "gpu.sh"), "--device", "cpu", "--quick", "--out", str(tmp_path / "gpu")]
    done = subprocess.run([*command, "--only", *sections], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"})
    rows = read_rows(tmp_path / "gpu")
    assert (done.returncode, [row["error"] for row in rows if "error" in row]) == (0, [])
    assert [row["section"] for row in rows] == ["graphs"] * 2 + ["machine"] * 2 + ["core"] * 4 + ["training"] * 4
    assert all(row["equal"] and row["graphs"] > 0 for row in rows[:2])
    assert [row["mode"] for row in rows[4:8]] == ["captured", "eager"] * 2
    assert all(row["agent_steps_per_s"] > 0.0 for row in rows[4:])
    assert all(row["learns"] for row in rows[8:])
    text = (tmp_path / "gpu" / "report.md").read_text(encoding="utf-8")
    assert text == rendered(tmp_path / "gpu")
    assert all(title in text for title in ("## Right", "## Core", "## Training"))
    assert str(tmp_path) not in text
    assert done.stdout.count("\n[core] ") == 4  # progress
    assert {file.name for file in (tmp_path / "gpu").iterdir()} == {ROWS, "report.md", "report.json"}


def a_section(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, until: float = 60.0) -> int:
    """A process of three cases, the second of which fails, within this one."""
    def cases(bench: Bench) -> Iterator[Case]:
        yield Case({"name": "one"}, lambda: {"figure": 1.5, "wrong": float("nan")})
        yield Case({"name": "two"}, lambda: {"figure": 1 / 0})
        yield Case({"name": "three"}, lambda: {"figure": bench.sized(1, 3)})

    monkeypatch.setitem(SECTIONS, "core", Section(cases, 60, "device"))
    monkeypatch.setattr(child.faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["child", "core", "--device", "cpu", "--quick", "--seconds", "0.01", "--until",
                                      str(time.time() + until), "--out", str(folder), *arguments])
    return child.main()


@pytest.mark.slow
def test_a_case_that_fails_is_a_row_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert a_section(monkeypatch, tmp_path) == 0
    one, two, three = read_rows(tmp_path)
    assert (one["figure"], one["wrong"], three["figure"]) == (1.5, None, 3)
    assert two["error"] == "ZeroDivisionError: division by zero"
    assert "1 / 0" in "".join(two["trace"])
    assert Found([one, two, three]).lost() == [two]


def test_cases_whose_time_is_over_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_section(monkeypatch, tmp_path, until=-1.0)
    assert [row["skipped"] for row in read_rows(tmp_path)] == ["the time of its section is over"] * 3


@pytest.mark.slow
def test_parts_share_the_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (1, 0):
        a_section(monkeypatch, tmp_path, "--parts", "2", "--part", str(part))
    assert [row["case"] for row in read_rows(tmp_path)] == [1, 0, 2]


def test_a_process_that_dies_costs_the_case_that_it_died_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        started.append(command[command.index("--first") + 1])
        if started == ["0"]:
            write_row(tmp_path, {"section": "core", "case": 0, "figure": 1})
            return SimpleNamespace(returncode=-11, stderr="before\nSegmentation fault\n")
        return SimpleNamespace(returncode=child.LOST if len(started) == 2 else 0, stderr="")

    monkeypatch.setattr(jobs.subprocess, "run", run)
    Runner.starting("cpu", True, 0.01, tmp_path)._job(Job("core"))
    assert started == ["0", "2", "2"]  # case 1 died; the device was lost after a case that has its row
    died = read_rows(tmp_path)[1]
    assert (died["case"], died["error"], died["trace"][-1]) == (1, "its process ended with status -11",
                                                                "Segmentation fault")


def test_a_report_follows_from_the_rows_of_a_run_that_was_killed(tmp_path: Path) -> None:
    row = {"section": "contract", "case": 0, "agent": "pqn", "kept": False, "fault": "it drew"}
    (tmp_path / ROWS).write_text(json.dumps(row) + '\n{"section": "con', encoding="utf-8")
    assert main(["--report", "--out", str(tmp_path)], GPU) == 0
    assert "0 of 1 agents keep their contract on the device.\n- pqn: it drew" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("flags", "named", "fix"), [
    (["--only", "corn"], ["section", "corn"], "core"), (["--report"], ["rows.jsonl"], "--report"),
    (["--seconds", "0", "--device", "cpu"], ["seconds", 0.0], 0)])
def test_wrong_settings_are_one_line(flags: list[str], named: list[Any], fix: Any, tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--out", str(tmp_path / "new")], GPU) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


def test_differences_of_bits_and_of_discrete_values_are_found() -> None:
    found = Difference()
    one = {"x": torch.tensor([1.0, 2.0]), "n": torch.tensor([1, 2]), "none": torch.empty(0)}
    found.add(0, one, one)
    assert found.row()["equal"]
    found.add(1, one, {**one, "x": torch.tensor([1.0, 2.0000002])})
    found.add(2, one, {**one, "n": torch.tensor([1, 3])})
    row = found.row()
    assert (row["equal"], row["first_step"], row["discrete"], row["where"]) == (False, 1, 1, "x")
    assert 1e-8 < row["largest"] < 1e-6


@torch.no_grad()
def test_graphs_of_a_step_and_a_reset_play_the_same_worlds() -> None:
    market = find_preset("town").market(num_users=6, num_items=5)
    with kernels.switched_off():
        captured, eager = (loop_of(mode, market, 2) for mode in (CAPTURED, EAGER))
        for _ in range(2):  # to record a reset on a CPU is to do it, and before that it is done once
            eager.reset()
        for _ in range(2):
            for _ in range(3):
                one, other = captured.replay(), eager.replay()
                assert all(torch.equal(a, b) for a, b in zip(one.step.tensors(), other.step.tensors(), strict=True))
            captured.reset()
            eager.reset()


def test_runs_are_compared_by_name_and_numbers_with_tensors() -> None:
    one = {"a": [torch.tensor([1.0, 2.0]), 3], "b": {"lr": 0.1}, "name": "x"}
    leaves = dict(bits._leaves("", one))
    assert set(leaves) == {"a.0", "a.1", "b.lr"}
    assert bits._gap(leaves["b.lr"], torch.tensor(0.1)) == 0.0
    assert bits._gap(leaves["a.0"], torch.tensor([1.0, 2.5])) == 0.5
    assert bits._gap(torch.tensor([float("nan"), 1.0]), torch.tensor([2.0, 1.0])) > 0.0
    assert bits._gap(leaves["a.0"], torch.tensor([1.0])) == float("inf")


def test_goals_compare_the_worst_ratio_and_the_best_rate() -> None:
    def row(section: str, **columns: object) -> dict[str, object]:
        return {"section": section, "case": 0, "preset": "kale", "agent": "pqn", "mode": "captured", **columns}

    rows = [row("core", worlds=4, agent_steps_per_s=4e9), row("core", worlds=2, agent_steps_per_s=1e9),
            row("core", worlds=8, agent_steps_per_s=9e9, mode="eager"), row("vmas", worlds=4, agent_steps_per_s=1e9),
            row("vmas", worlds=2, agent_steps_per_s=0.5e9),
            row("training", worlds="own", transitions_per_s=80.0, agent_steps_per_s=8.0),
            row("training-cpu", worlds="own", transitions_per_s=10.0), row("score", held=2.5), row("score", held=None)]
    lines = [[cell.strip() for cell in line.split("|")[2:5]] for line in goals(Found(rows)).splitlines()[2:]]
    assert [line[0] for line in lines] == ["4e+09", "2", "8", "8", "2.5"]
    assert [line[2] for line in lines] == ["yes", "NO", "NO", "yes", "yes"]


@pytest.mark.parametrize(("scores", "over", "held"), [
    ([1.0, 3.0, 3.0, 3.0], False, 2.0), ([3.0, 1.0, 3.0], False, None), ([1.0, 1.0, 3.0], True, 3.0)])
def test_a_score_is_held_from_the_first_of_three(scores: list[float], over: bool, held: float | None) -> None:
    assert score._held([(1.0 + n, value) for n, value in enumerate(scores)], 2.0, over) == held


def test_what_a_checked_agent_sees_lies_on_the_device() -> None:
    specs = ONE_SIDE["users with a history"]
    harness = AgentHarness(find_agent("random"), None, "users", specs, 10, META)
    seen = [harness.observation(specs["users"], 2, 0), harness.trajectory(2)[1]["users"]]
    assert {tensor.device.type for record in seen for tensor in record.tensors()} == {"meta"}
