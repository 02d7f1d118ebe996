"""Peers of the speed benchmark: how they are measured, and those that are installed.

Peers have Pythons of their own: `INTERPLAY_PEERS` names more to look in than the one that runs the tests, divided as
`PATH` is.
"""

import ast
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[2] / "experiments" / "studies" / "speed" / "peers"
SCRIPTS = sorted(PEERS.glob("*.py"))
NAMES = [script.stem for script in SCRIPTS if script.stem != "protocol"]
PYTHONS = [sys.executable, *filter(None, os.environ.get("INTERPLAY_PEERS", "").split(os.pathsep))]
UNITS = {"agent-steps/s", "user-interactions/s"}

FAKE = """
import os, sys
from protocol import Game, main

def set_up(threads):
    import fake  # a peer is imported, not the script of the same name
    threads_were = [os.environ[name] for name in ("OMP_NUM_THREADS", "NPROC")]
    return Game(f"{fake.WHO} {threads} {threads_were}", "agent-steps/s", lambda: 7)

if __name__ == "__main__":
    main("fake", "DISTRIBUTION", set_up)
"""


@pytest.fixture
def protocol():
    spec = importlib.util.spec_from_file_location("peer_protocol", PEERS / "protocol.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(tmp_path):
    """The script of a peer called `fake` and, elsewhere, the simulator of that name."""
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "protocol.py").write_text((PEERS / "protocol.py").read_text())
    (tmp_path / "fake.py").write_text("import os\nos.write(1, b'Welcome!')\nprint('!')\nWHO = 'the simulator'\n")

    def play(*arguments, distribution="numpy"):
        script = tmp_path / "peers" / "fake.py"
        script.write_text(FAKE.replace("DISTRIBUTION", distribution))
        return play_with(sys.executable, script, *arguments, path=str(tmp_path))

    return play


def play_with(python, script, *arguments, path=""):
    return subprocess.run([python, str(script), *arguments], capture_output=True, text=True, timeout=280,
                          env=os.environ | {"PYTHONPATH": path})


def line_of(finished):
    assert finished.returncode == 0, finished.stderr
    (line,) = finished.stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("name", NAMES)
def test_a_peer_keeps_the_protocol(name):
    tried = [play_with(python, PEERS / f"{name}.py", "--threads", "1", "--seconds", "0.1") for python in PYTHONS]
    there = [finished for finished in tried if finished.returncode != 3]
    if not there:
        pytest.skip(tried[0].stderr.strip())
    found = line_of(there[0])
    assert set(found) == {"peer", "version", "what", "unit", "rate", "rates", "peak_bytes"}
    assert (found["peer"], found["unit"] in UNITS) == (name, True)
    assert found["version"][0].isdigit()
    assert len(found["rates"]) == 5
    assert found["rate"] == statistics.median(found["rates"])
    assert min(found["rates"]) > 1
    assert found["peak_bytes"] > 10e6


def test_a_script_finds_its_simulator_and_sets_threads_first(fake):
    found = line_of(fake("--threads", "2", "--seconds", "0.05"))
    assert found["what"] == "the simulator 2 ['2', '2']"  # and its greeting is not in that line


def test_a_missing_peer_is_said_in_one_line(fake):
    finished = fake(distribution="no-such-peer")
    assert (finished.returncode, finished.stdout) == (3, "")
    assert finished.stderr.splitlines() == [f"fake: no no-such-peer in {sys.executable}: pip install no-such-peer"]


@pytest.mark.parametrize(("option", "value"), [("--threads", "0"), ("--threads", "two"), ("--seconds", "nan"),
                                               ("--seconds", "-1"), ("--seconds", "inf")])
def test_wrong_options_are_refused(fake, option, value):
    finished = fake(option, value)
    assert finished.returncode == 2
    assert value in finished.stderr.splitlines()[-1]


def test_rates_are_units_by_the_clock_without_the_warm_up(protocol):
    """A piece of 10 units takes 1 s, but 100 s at first: five repeats of 2 s make 10 units/s each."""
    now, pieces = [0.0], []

    def play():
        now[0] += 1.0 if pieces else 100.0
        pieces.append(now[0])
        return 10

    assert protocol.measured(play, 10.0, lambda: now[0]) == [10.0] * 5
    assert len(pieces) == 1 + 2 * 6


def test_memory_is_in_bytes(protocol):
    assert 10e6 < protocol.peak_bytes() < 1e12


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_run_without_interplay(script):
    tree = ast.parse(script.read_text(), feature_version=(3, 8))
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "interplay" not in {name.split(".")[0] for name in names}
    # What isn't Python's own is imported once threads are set.
    top = [name for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)
           for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])]
    assert {name.split(".")[0] for name in top} <= sys.stdlib_module_names | {"protocol"}
