"""The shell completes commands, flags and names."""

import subprocess

import pytest

from interplay.experiments.cli.commands import COMMANDS
from interplay.experiments.cli.completion import script
from interplay.experiments.cli.main import main


@pytest.mark.parametrize(("line", "wanted"), [
    (["interplay", "cr"], ["crossplay"]), (["interplay", ""], list(COMMANDS)),
    (["interplay", "train", "--num-w"], ["--num-worlds"]),
    (["interplay", "benchmark", "--presets", "kale-p"], ["kale-partial"]),
    (["interplay", "show", "pq"], ["pqn"]), (["interplay", "train", "--users", "linu"], ["linucb"]),
    (["interplay", "evaluate", "run"], ["runs"])])
def test_words_are_completed_in_bash(line, wanted, tmp_path):
    (tmp_path / "runs").mkdir()
    words = " ".join(f"'{word}'" for word in line)
    asked = f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _interplay; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script('bash')}\n{asked}"], cwd=tmp_path, check=True, capture_output=True,
                          text=True)
    assert done.stdout.split() == wanted


def test_the_command_prints_it_for_zsh_too(capsys):
    assert main(["completion", "--shell", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -U +X bashcompinit")
