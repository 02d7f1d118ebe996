"""Code that a run's folder names is imported only by permission, and no file of the current folder is a library."""

import multiprocessing
import os
import shutil
import sys
from dataclasses import replace

import pytest

from interplay.experiments.benchmark.command import Found
from interplay.experiments.benchmark.jobs import finished
from interplay.experiments.cli import benchmark
from interplay.experiments.cli import main as cli
from interplay.experiments.cli.main import main
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run
from refusals import assert_said

AGENT = """from pathlib import Path
from interplay.agents.greedy import GreedyAgent

Path(__file__).with_name("imported").touch()


class Mine(GreedyAgent):
    name = "mine"
"""
MODULE = "an_agent_of_a_stranger"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A run with an agent that a file of the current folder defines."""
    (tmp_path / f"{MODULE}.py").write_text(AGENT)
    (tmp_path / "log.csv").write_text("user,item,reward\n" + "".join(
        f"u{u},i{i},{(u * i) % 2}\n" for u in range(8) for i in range(12)))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--log", "log.csv", "--users", f"{MODULE}:Mine", "--items", "rest", "--episodes", "1",
                 "--eval-worlds", "1", "--market", "horizon=6", "--name", "run"]) == 0
    assert "interplay evaluate runs/run --allow-code" in capsys.readouterr().out  # what can be done next
    forget(tmp_path)
    return tmp_path / "runs" / "run"


def forget(folder):
    """As in a new process."""
    sys.modules.pop(MODULE, None)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    (folder / "imported").unlink()


@pytest.mark.parametrize("command", [["evaluate", "runs/run"], ["train", "--resume", "runs/run"],
                                     ["recommend", "--run", "runs/run"]])
def test_code_of_a_runs_folder_needs_permission(command, run, tmp_path, capsys):
    capsys.readouterr()
    assert main(command) == 2
    assert_said(capsys.readouterr().err, f"{MODULE}:Mine", fix=("--allow-code", MODULE))
    assert not (tmp_path / "imported").exists()
    main([*command, "--allow-code"])
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize(("side", "name"), [("users", "a_stranger:X"), ("items", "a_stranger:X"),
                                            ("platform", "a_stranger:X"), ("users", "a_stranger:X,hidden=3"),
                                            ("preset", "a_stranger:X"), ("users", "a_package.inside:X")])
def test_no_name_in_a_config_runs_code(side, name, tmp_path, monkeypatch, capsys):
    (tmp_path / "a_package").mkdir()
    for file in (tmp_path / "a_stranger.py", tmp_path / "a_package" / "__init__.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(TrainSettings(**{"preset": "kale", side: name}).to_json())
    assert main(["train", "--resume", "run"]) == 2
    assert_said(capsys.readouterr().err, name.partition(",")[0], fix="--allow-code")
    assert not (tmp_path / "ran").exists()


def test_changed_code_is_reported(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "--allow-code"]) == 0
    assert "note: code has changed" not in capsys.readouterr().err
    forget(tmp_path)
    (tmp_path / f"{MODULE}.py").write_text(AGENT + "\n# another file\n")
    assert main(["evaluate", str(run)]) == 2
    capsys.readouterr()
    assert main(["evaluate", str(run), "--allow-code"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert f"code has changed since '{run}' was made: {MODULE}:Mine" in line
    assert len(line) <= 300


def test_a_benchmark_takes_up_runs_with_the_code_that_it_names(run):
    with cli.current_folder_last():
        made = Run.load(run, allow_code=True).settings
    assert made.code
    (run / "results.json").unlink()
    assert not finished(replace(made, code=()))


def test_permission_without_a_folder_is_refused(capsys):
    assert main(["train", "--preset", "kale", "--allow-code"]) == 2
    assert_said(capsys.readouterr().err, "--allow-code")


def test_what_fails_while_it_is_imported_is_reported_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "a_broken_agent.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--preset", "kale", "--users", "a_broken_agent:X"]) == 2
    assert_said(capsys.readouterr().err, "a_broken_agent:X", "ZeroDivisionError", fix=("a_broken_agent.py:1", "1 / 0"))


def test_the_current_folder_comes_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    with cli.current_folder_last():
        assert sys.path[-1] == str(tmp_path)
        assert not {"", str(tmp_path)} & set(sys.path[:-1])


def test_processes_of_a_benchmark_take_no_library_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "signal.py").write_text("raise ImportError('of the current folder')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)

    def spawned(settings, tell):
        process = multiprocessing.get_context("spawn").Process(target=os.getcwd)
        process.start()
        process.join()
        return Found("", {"process": "died"} if process.exitcode else {})

    monkeypatch.setattr(benchmark, "benchmark", spawned)
    assert benchmark.command(None) == 0
    assert "PYTHONSAFEPATH" not in os.environ  # else scripts of peers would not find their neighbours
