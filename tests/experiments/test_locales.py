"""Ids beyond the locale's encoding: files are UTF-8, and what the terminal lacks is escaped there."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.experiments.cli.main import main
from interplay.experiments.common.terminal import print_anything

USERS, ITEMS = [f"客{n}" for n in range(6)], [f"映画{n}" for n in range(8)]
PAIRS = [(u, i) for u in range(6) for i in range(8) if (u + i) % 2 == 0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = "".join(f"{USERS[u]},{ITEMS[i]},{(u + i) % 5 + 1}\n" for u, i in PAIRS)
    (tmp_path / "log.csv").write_text("user,item,reward\n" + rows, encoding="utf-8")
    return tmp_path / "log.csv"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_terminals_that_lack_characters_get_escapes(encoding: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    where = ["--log", str(log), "--log-dir", str(log.parent)]
    small = ["--users", "random", "--items", "rest", "--episodes", "1", "--eval-worlds", "1", "--market", "horizon=2"]
    assert main(["train", *where, *small]) == 0
    out.flush()
    assert rb"users '\u5ba20' to '\u5ba25'" in out.buffer.getvalue()
    assert main(["train", *where, *small, "--users", "映画"]) == 2
    err.flush()
    assert rb"unknown agent '\u6620\u753b'" in err.buffer.getvalue()


@pytest.mark.slow
def test_files_are_utf_8_under_any_locale(log: Path, tmp_path: Path) -> None:
    """One process, since only a new one has another locale: it trains and writes lists."""
    code = """
import sys
from interplay.experiments.cli.main import main
towers = ["pretrain", "--log", "log.csv", "--epochs", "1", "--size", "4", "--log-dir", ".", "--name", "run"]
lists = ["recommend", "--run", "run", "-k", "2", "--format", "csv", "--out", "lists.csv"]
sys.exit(main(towers) or main(lists))
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | plain, capture_output=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "lists.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user"] for row in rows] == [user for user in USERS for _ in range(2)]
    assert {row["item"] for row in rows} <= set(ITEMS)


def test_output_of_workers_is_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    print_anything("utf-8")
    print(USERS[0], flush=True)
    assert out.buffer.getvalue().decode("utf-8") == f"{USERS[0]}\n"
