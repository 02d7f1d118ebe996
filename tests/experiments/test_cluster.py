"""Benchmarks on a Ray cluster of two nodes on this machine; skipped where Ray is not installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.experiments.benchmark.cluster import played_on
from interplay.experiments.cli.main import main
from refusals import assert_said

ROOT = Path(__file__).resolve().parents[2]
HAS_RAY = importlib.util.find_spec("ray") is not None

DEADLY = '''
from interplay.agents.linucb import LinUCBAgent


class Deadly(LinUCBAgent):
    """Takes its process along."""

    name = "deadly"

    def learn(self, transition):
        import os
        os._exit(3)
'''

SCRIPT = '''
import os
import sys

os.environ["RAY_worker_niceness"] = "0"  # else workers get what others leave: on a busy machine, next to nothing

from ray.cluster_utils import Cluster
from interplay.experiments.cli.main import main

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    status = main(["benchmark", "--presets", "contest", "--agents", "my_deadly:Deadly", "linucb", "--seeds", "1",
                   "--scale", "0.005", "--out", "out", "--cluster", cluster.address])
    cluster.shutdown()
    sys.exit(status)
'''


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
def test_a_dead_worker_costs_only_its_own_run(tmp_path):
    (tmp_path / "my_deadly.py").write_text(DEADLY)
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1, found.stderr
    assert "contest-my_deadly.Deadly-s0: its task failed (WorkerCrashedError)" in found.stderr
    assert (tmp_path / "out" / "runs" / "contest-my_deadly.Deadly-s0" / "error.txt").is_file()
    assert (tmp_path / "out" / "runs" / "contest-linucb-s0" / "results.json").is_file()
    assert "| linucb" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_one_line_says_what_to_install(tmp_path, capsys):
    words = ["--presets", "contest", "--agents", "linucb", "--seeds", "1", "--out", str(tmp_path)]
    assert main(["benchmark", *words, "--cluster", "auto"]) == 2
    assert_said(capsys.readouterr().err, "--cluster", "Ray", fix="pip install 'interplay[cluster]'")


def test_no_jobs_need_no_cluster():
    assert list(played_on("nowhere:1", [], keep=False)) == []


def test_a_cluster_decides_how_much_runs_at_a_time(tmp_path, capsys):
    assert main(["benchmark", "--cluster", "auto", "--workers", "2", "--out", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, "--workers 2", "cluster")
