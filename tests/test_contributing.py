"""CONTRIBUTING's examples run as they stand."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

import interplay.envs.data
from interplay.agents.testing import AgentError
from interplay.envs.data import data_sets, read_log
from interplay.envs.testing import MechanismError
from interplay.experiments.cli.main import main
from refusals import refused

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()
FILES = {name: body for name, body in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL)}


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder outside the package that holds the examples."""
    for name, body in FILES.items():
        (tmp_path / name).write_text(body)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def train(folder, *arguments):
    assert main(["train", *arguments, "--log-dir", str(folder / "runs")]) == 0
    (results,) = (folder / "runs").glob("*/results.json")
    return json.loads(results.read_text())


def test_all_examples_are_here():
    assert set(FILES) == {"my_agent.py", "test_my_agent.py", "my_behaviour.py", "my_preset.py", "my_data.py",
                          "students.py", "test_students.py"}


def test_the_agent_and_the_mechanism_pass_the_tests_that_come_with_them(outside):
    assert FILES["students.py"] == (Path(__file__).resolve().parents[1] / "examples" / "students.py").read_text()
    tests = [function for name in FILES if name.startswith("test_")
             for called, function in runpy.run_path(name).items() if called.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.parametrize(("name", "right", "wrong", "kind", "named", "fix"), [
    ("my_agent", " * step.valid[..., None]", "", AgentError, ["my-agent as users"], "transition.valid"),
    ("students", 'return state["known"]', 'return 100 * state["known"]', MechanismError, ["knowledge", "see_users"],
     "[-4, 4]")])
def test_the_test_finds_what_is_wrong(name, right, wrong, kind, named, fix, outside):
    body = FILES[f"{name}.py"]
    assert body.count(right) == 1
    (outside / f"{name}.py").write_text(body.replace(right, wrong))
    (test,) = (function for called, function in runpy.run_path(f"test_{name}.py").items() if called.startswith("test_"))
    with refused(*named, fix=fix, kind=kind):
        test()


def test_the_mechanism_trains(outside):
    command = re.search(r"`python scripts/train.py (.*--mechanism .*?)`", TEXT)[1].split()
    small = ["--market", "horizon=10", "--episodes", "2", "--eval-worlds", "2"]
    found = train(outside, *command, *small)
    assert 0.0 < found["evaluation"]["user_return"]["mean"] < 64 * 4  # no user can learn more than all of four topics


@pytest.mark.parametrize("side", ["--users", "--items"])
def test_the_agent_trains_on_either_side(side, outside):
    found = train(outside, "--preset", "kale", side, "my_agent:MyAgent", "--episodes", "4", "--eval-worlds", "8")
    assert found["evaluation"][side.removeprefix("--")] == "my-agent"


def test_the_agent_fills_slates_too(outside):
    found = train(outside, "--preset", "feed", "--platform", "my_agent:MyAgent", "--episodes", "2",
                  "--eval-worlds", "2", "--market", "num_users=6", "--market", "num_items=8", "--market", "horizon=20")
    assert found["evaluation"]["platform"] == "my-agent"


def test_the_agent_appears_in_a_benchmark_beside_others(outside):
    command = re.search(r"`python scripts/benchmark.py (--agents .*?)`", TEXT)[1].split()
    assert "my_agent:MyAgent" in command
    small = ["--presets", "kale", "--seeds", "1", "--scale", "0.005", "--workers", "2"]
    assert main(["benchmark", *command, *small, "--out", str(outside / "out")]) == 0
    report = (outside / "out" / "report.md").read_text()
    assert "| my-agent " in report
    assert "| dqn " in report
    rows = (outside / "out" / "scores.csv").read_text().splitlines()
    assert sum(row.startswith("kale,my-agent,learner") for row in rows) == 1


@pytest.mark.slow
def test_the_preset_with_the_behaviour_trains_and_learns(outside):
    found = train(outside, "--preset", "my_preset:RANKS", "--users", "dqn", "--items", "rest", "--episodes", "40")
    assert found["preset"] == "ranks"
    assert found["normalised_score"] > 0.8  # the best item of a slate is plain to see


def test_the_data_set_is_found_once_its_file_is_there(outside, monkeypatch):
    (outside / "my.diary").write_text("ann likes jazz\nbob hates opera\nann hates opera\nbob likes jazz\n")
    folder = outside / "as_if_in_the_package"
    folder.mkdir()
    (folder / "my_data.py").write_text(FILES["my_data.py"])
    monkeypatch.setattr(interplay.envs.data, "__path__", [*interplay.envs.data.__path__, str(folder)])
    data_sets.cache_clear()
    try:
        assert "diary" in data_sets()
        log = read_log(outside / "my.diary")
    finally:
        data_sets.cache_clear()
        sys.modules.pop("interplay.envs.data.my_data", None)
    assert (log.num_users, log.num_items) == (2, 2)
    assert log.reward.tolist() == [1.0, 0.0, 0.0, 1.0]
