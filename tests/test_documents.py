"""Every block of code in README, CONTRIBUTING and docs/ runs; links lead somewhere; the site builds without a warning.

A block that needs more than a moment names what it needs in its fence, as ```` ```bash {needs=data} ````.
"""

import importlib.util
import os
import re
import runpy
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import pytest

import interplay as ip
from interplay.experiments.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(["README.md", "CONTRIBUTING.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))])
FENCE = re.compile(r"^```(\w+)(?: \{needs=(\w+)\})?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = {"install": 2, "server": 1, "minutes": 5, "data": 5, "gpu": 1}
"""How many blocks need what; README's two commands, whose fences GitHub shows as they are, count as none of them."""
SET_UP = ("python3 -m venv .venv", "bash scripts/test.sh")


class Block(NamedTuple):
    language: str
    needs: str
    code: str


def blocks(page):
    """The blocks of a page that are code."""
    found = [Block(*match) for match in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))]
    return [block for block in found if block.language in ("python", "bash") and not block.code.startswith(SET_UP)]


def test_every_fence_is_understood():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text)), page
        assert set(re.findall(r"^```(\w+)", text, re.MULTILINE)) <= {"python", "bash", "text", "math"}, page


def test_blocks_that_do_not_run_are_counted():
    assert Counter(block.needs for page in PAGES for block in blocks(page) if block.needs) == NOT_RUN


SMALL = {
    "train": {"--episodes": "2", "--num-worlds": "2", "--eval-worlds": "2"},
    "benchmark": {"--seeds": "1", "--scale": "0.01", "--workers": "2"},
    "pretrain": {"--epochs": "1"},
    "fidelity": {"--resamples": "4", "--most-worlds": "2"}}
"""Sizes of commands, in place of those of the page."""


def smaller(words):
    """A command as the page has it, but for its sizes."""
    command, *rest = words
    sizes = {} if "--resume" in words else SMALL.get(command, {})
    for flag, value in sizes.items():
        rest = rest[:rest.index(flag)] + rest[rest.index(flag) + 2:] if flag in rest else rest
        rest = [*rest, flag, value]
    return [command, *rest]


def answer(folder, stop):
    """Run what the shell passes on, command after command, until it stops."""
    while not stop.is_set():
        words = (folder / "ask").read_text(encoding="utf-8").split("\0")[:-1]
        (folder / "status").write_text(f"{main(smaller(words)) if words else 0}\n", encoding="utf-8")


SHELL = """set -euo pipefail
interplay() { printf '%s\\0' "$@" > "$PIPES/ask"; local status; read -r status < "$PIPES/status"; return "$status"; }
python() { case "$1" in scripts/*.py) interplay "$(basename "$1" .py)" "${@:2}";; *) command python "$@";; esac; }
"""


def run_bash(code, pipes):
    """Run a block in a shell whose ``interplay`` is this process, so that torch is imported once."""
    for name in ("ask", "status"):
        if not (pipes / name).exists():
            os.mkfifo(pipes / name)
    shell = subprocess.Popen(["bash", "-c", SHELL + code], env={**os.environ, "PIPES": str(pipes)},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    stop = threading.Event()

    def finish():
        shell.wait()
        stop.set()
        (pipes / "ask").write_text("", encoding="utf-8")  # wakes up the reader

    waiting = threading.Thread(target=finish)
    waiting.start()
    answer(pipes, stop)
    waiting.join()
    assert shell.returncode == 0, shell.stdout.read()
