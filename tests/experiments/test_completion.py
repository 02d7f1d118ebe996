"""The shell completes commands, flags and names."""

import os
import pty
import select
import subprocess
import time
from shutil import which

import pytest

from interplay.experiments.cli.commands import COMMANDS
from interplay.experiments.cli.completion import script
from interplay.experiments.cli.main import main

CASES = pytest.mark.parametrize(("line", "wanted"), [
    (["interplay", "cr"], ["crossplay"]), (["interplay", ""], list(COMMANDS)),
    (["interplay", "train", "--num-w"], ["--num-worlds"]),
    (["interplay", "benchmark", "--presets", "kale-p"], ["kale-partial"]),
    (["interplay", "show", "pq"], ["pqn"]), (["interplay", "train", "--users", "linu"], ["linucb"]),
    (["interplay", "evaluate", "run"], ["runs"])])


@CASES
def test_words_are_completed_in_bash(line, wanted, tmp_path):
    (tmp_path / "runs").mkdir()
    words = " ".join(f"'{word}'" for word in line)
    asked = f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _interplay; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script('bash')}\n{asked}"], cwd=tmp_path, check=True, capture_output=True,
                          text=True)
    assert done.stdout.split() == wanted


@CASES
@pytest.mark.skipif(which("zsh") is None, reason="no zsh")
def test_words_are_completed_in_zsh(line, wanted, tmp_path):
    """In a terminal, since zsh completes nowhere else, and without a start-up file that may have set completion up."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "script").write_text(script("zsh"))
    terminal, end = pty.openpty()
    with subprocess.Popen(["zsh", "-f", "-i"], cwd=tmp_path, env={**os.environ, "TERM": "dumb", "COLUMNS": "1000"},
                          stdin=end, stdout=end, stderr=end, start_new_session=True) as shell:
        os.close(end)
        os.write(terminal, b"source script; echo re''ady\n")
        read_until(terminal, ["ready"])
        os.write(terminal, " ".join(line).encode() + b"\t")
        read_until(terminal, wanted)
        shell.kill()
    os.close(terminal)


def read_until(terminal, words):
    """Read what a terminal shows until it has shown all words."""
    shown, ending = "", time.monotonic() + 60.0
    while not all(word in shown for word in words):
        assert select.select([terminal], [], [], max(0.0, ending - time.monotonic()))[0], shown
        shown += os.read(terminal, 1 << 16).decode()


def test_the_command_prints_it_for_zsh_too(capsys):
    assert main(["completion", "--shell", "zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out
