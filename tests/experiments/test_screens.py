"""The screens of the command line, as committed in ``screens``: numbers that vary are masked.

``WRITE_SCREENS=1 python -m pytest -n 0 tests/experiments/test_screens.py`` writes them again, to be read in the diff.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.agents import agents
from interplay.envs.data import data_sets
from interplay.envs.presets import presets
from interplay.experiments.cli.commands import COMMANDS, module_of
from interplay.experiments.cli.flag_texts import texts_of
from interplay.experiments.cli.main import main

SCREENS = Path(__file__).parent / "screens"
ROOT = Path(__file__).resolve().parents[2]
SMALL = "train --preset {} --episodes 2 --num-worlds 2 --eval-worlds 6 --name run --market horizon=10 "


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def screen(capsys: pytest.CaptureFixture[str], *lines: str, status: int = 0) -> str:
    """What a terminal shows of these commands."""
    shown = ""
    for line in lines:
        assert main(shlex.split(line)) == status, line
        printed = capsys.readouterr()
        errors = [line for line in printed.err.splitlines() if line.startswith(("error:", "note:"))]
        shown += "\n".join([f"$ interplay {line}", printed.out + "".join(f"{error}\n" for error in errors)])
    return shown


def masked(text: str) -> str:
    """The text with # for decimal numbers, but for exact ones, and for times."""
    lines = [line if "(exact)" in line else re.sub(r"( ?) *-?\d+\.\d+", r"\1#", line) for line in text.splitlines()]
    text = re.sub(r"trained for \d+ s", "trained for # s", "\n".join(lines)) + "\n"
    return re.sub(r"choose from .*", "choose from ...", text)


def compare(name: str, text: str) -> None:
    file = SCREENS / name
    if os.environ.get("WRITE_SCREENS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    text = screen(capsys, "--help", "train --help", "evaluate --help")
    compare("help.txt", text)
    assert len(text.split("$ interplay train")[0].splitlines()) <= 40  # one screen
    assert max(map(len, text.splitlines())) <= 80


def test_wrong_names(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["trian", "train --presett kale", "train --preset kael", "train --preset kale --users dqm",
             "train --preset kale --users dqn,hiden=3", "train --preset kale --market horizn=3",
             "train --device gpu", "train --episodes many", "train --mechanism x", "show kael", "new agnt mine",
             "evaluate", "train --seed", "check kale", "train --log movielens1m"]
    compare("wrong_names.txt", masked(screen(capsys, *lines, status=2)))


@pytest.mark.parametrize("preset", ["kale", "contest", "feed", "pigou"])
def test_start_and_end_of_a_training(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    compare(f"train_{preset}.txt", masked(screen(capsys, SMALL.format(preset))))


@pytest.mark.parametrize("width", [40, 60, 100])
def test_nothing_but_paths_is_wider_than_the_terminal(width: int, capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = screen(capsys, SMALL.format("contest"), "agents", "presets", "datasets", "show dqn", "show market",
                  "train --help-all")
    shown = [line for line in text.splitlines() if not line.startswith("$ ") and "runs" not in line
             and " source " not in f" {line} "]
    assert [line for line in shown if len(line) > width] == []
    assert [line for line in shown if line != line.rstrip()] == []


def test_all_that_is_there_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for command, names in (("agents", agents()), ("presets", presets()),
                           ("datasets", [name for kind in data_sets().values() for name in kind.downloads])):
        words = set(re.split(r"[\s,]+", screen(capsys, command)))
        assert set(names) <= words


@pytest.mark.parametrize("name", ["dqn", "kale", "feed", "movielens-1m", "gru", "market"])
def test_show_explains(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = screen(capsys, f"show {name}")
    assert text.splitlines()[1].startswith(f"{name}: ")
    assert "source " in text


def test_show_gives_defaults_and_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    text = screen(capsys, "show dqn")
    assert re.search(r"^hidden +64 +Width of the network\.$", text, re.MULTILINE)
    assert re.search(r"^epsilon_end +0\.05 +Share of random actions", text, re.MULTILINE)  # of the base class


def test_what_new_writes_passes_its_tests_at_once(here: Path, capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("agent", "preset", "mechanism", "dataset")
    text = screen(capsys, *(f"new {kind} my-{kind}" for kind in kinds))
    compare("new.txt", re.sub(r"cp my_dataset.py .*", "cp my_dataset.py ...", text))
    monkeypatch.syspath_prepend(str(here))
    tests = [test for file in here.glob("test_*.py") for name, test in runpy.run_path(str(file)).items()
             if name.startswith("test_")]
    assert len(tests) == len(kinds)
    for test in tests:
        test(*[here] * len(inspect.signature(test).parameters))  # whose only fixture is tmp_path
    for kind in kinds:
        assert "exists: choose another name" in screen(capsys, f"new {kind} my-{kind}", status=2)


def test_a_mechanism_trains_as_new_says(here: Path, capsys: pytest.CaptureFixture[str],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(here))
    (said,) = re.findall(r"interplay (train .*)", screen(capsys, "new mechanism my-mechanism"))
    text = screen(capsys, f"{said} --episodes 1 --num-worlds 2 --eval-worlds 2 --market horizon=5")
    assert "normalised score" in text


@pytest.mark.parametrize("name", ["random", "3x", "class", "a/b", ""])
def test_new_refuses_names_that_no_file_can_have(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "error: " in screen(capsys, f"new agent {shlex.quote(name)}", status=2)
    assert not list(here.iterdir())


def test_check_says_whether_the_contract_is_kept(here: Path, capsys: pytest.CaptureFixture[str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(here))
    assert "first keeps the contract of an agent." in screen(capsys, "check first")
    screen(capsys, "new agent my-broken")
    file = here / "my_broken.py"
    file.write_text(file.read_text(encoding="utf-8").replace(" * step.valid[..., None]", ""), encoding="utf-8")
    text = screen(capsys, "check my_broken:MyBroken", status=1)
    assert "my_broken:MyBroken breaks the contract of an agent" in text
    assert "after they had gone" in text


@pytest.mark.parametrize("command", [*map(module_of, COMMANDS), "interplay.experiments.studies.speed.command:bench"])
def test_every_flag_has_a_text(command: str) -> None:
    texts = texts_of(command)
    assert texts.summary
    assert [flag.name for flag in texts.flags if not flag.text] == []


def test_help_of_a_command_needs_no_torch() -> None:
    code = ("import sys; from interplay.experiments.cli.entry import main; status = main(['train', '--help-all']); "
            "assert not {'torch', 'polars', 'tyro', 'rich'} & set(sys.modules); sys.exit(status)")
    assert "--more-episodes" in subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                                               text=True).stdout


def test_the_flags_of_help_are_those_of_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    import tyro

    from interplay.experiments.common.settings import TrainSettings

    with pytest.raises(SystemExit):
        tyro.cli(TrainSettings, args=["--help"], config=(tyro.conf.OmitArgPrefixes,))
    parsed = set(re.findall(r"--[a-z][\w-]+", capsys.readouterr().out))
    flags = {flag.typed for flag in texts_of(module_of("train")).flags}
    assert flags <= parsed


SPEAKING = re.compile(r"experiments/(cli|studies)/|experiments/\w+/command\.py|envs/market_v0\.py")
"""What may print: commands, and the market where render_mode="human" asks for it."""


def test_library_code_is_silent() -> None:
    """Where a file or standard error is named, as for a lock or a note, something else is meant."""
    found = [f"{file.relative_to(ROOT)}:{call.lineno}" for folder in ("envs", "agents", "experiments")
             for file in sorted((ROOT / folder).rglob("*.py"))
             if not SPEAKING.match(file.relative_to(ROOT).as_posix())
             for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
             if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print"
             and not any(word.arg == "file" for word in call.keywords)]
    assert found == []
