"""Several processes that train one run: the same worlds, the same weights, one writer, and what a lost one leaves."""

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interplay.agents.parts import ranks as parts
from interplay.agents.parts.ranks import Ranks
from interplay.experiments.cli.main import main
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import worked
from interplay.experiments.loop.run import CHECKPOINT, Run
from interplay.experiments.loop.training import train_all
from refusals import refused

ROOT = Path(__file__).resolve().parents[2]
KALE = TrainSettings(preset="kale", users="pqn", items="rest", num_worlds=4, episodes=2, eval_worlds=2, device="cpu")

LOST = '''
import os, signal
from interplay.agents.pqn import PQNAgent


class Lost(PQNAgent):
    """Its second process is killed, as by a system that is out of memory."""

    name = "lost"

    def learn(self, transition):
        if self.learned == 25 and self.ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().learn(transition)
'''


def torchrun(folder, *words):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
               "interplay", "train", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600)


LAUNCHED = """
import os, sys
os.environ.update({environment})
from interplay.experiments.cli.main import main
if main(["train", *{words}]):
    raise SystemExit(1)
"""


def launched(folder, *words):
    """The same without torchrun, in two forks of a process that has imported torch: nobody watches them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    told = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}
    jobs = [LAUNCHED.format(environment=told | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, words=words)
            for rank in range(2)]
    ended = list(worked(exec, jobs, 2, lambda job: folder / f"{jobs.index(job)}.txt"))
    said = "".join(each.output.read_text() for each in ended)
    return subprocess.CompletedProcess(words, max(abs(each.status) for each in ended), said, said)


def words_of(settings, **more):
    given = {name: getattr(settings, name) for name in ("preset", "users", "items", "num_worlds", "episodes",
                                                        "eval_worlds", "device")} | more
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("agent", ["pqn", "dqn", "ippo"])
def test_worlds_are_those_of_one_process(agent, tmp_path, monkeypatch):
    """State and exploration of each world, until the first gradients are averaged."""
    monkeypatch.setattr(Ranks, "average", lambda self, gradients: None)
    whole, *halves = (Run.start(replace(KALE, users=agent), tmp_path, ranks) for ranks in
                      (Ranks(), Ranks(0, 2), Ranks(1, 2)))
    for _ in range(5):
        for run in (whole, *halves):
            run.step()
    for name, table in whole.now.state.state_dict().items():
        if isinstance(table, torch.Tensor) and table.dim() and len(table) == 4:
            assert torch.equal(table, torch.cat([half.now.state.state_dict()[name] for half in halves])), name
    whole.time = halves[1].time = 50
    for run in (whole, halves[1]):
        run.next_episode()
    assert torch.equal(whole.now.state.key[2:], halves[1].now.state.key)


@pytest.mark.parametrize("start", [launched, pytest.param(torchrun, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns(start, tmp_path):
    """With one batch for a whole rollout. Sums in another order differ by rounding: within 1e-4 after 20 updates."""
    options = ["--user-option", "num_minibatches=1", "--name"]
    assert main(["train", *words_of(KALE, log_dir=tmp_path), *options, "one"]) == 0
    found = start(tmp_path, *words_of(KALE, log_dir=tmp_path), *options, "two")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("folder   ") == 1
    assert {path.name for path in (tmp_path / "two").iterdir()} >= {CHECKPOINT, "curve.csv", "results.json"}
    one, two = (Run.load(tmp_path / name, "cpu") for name in ("one", "two"))
    assert (two.processes, two.env_steps, one.env_steps) == (2, 400, 400)
    for mine, other in zip(one.players["users"].network.parameters(), two.players["users"].network.parameters(),
                           strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    assert not all(torch.equal(mine, first) for mine, first in zip(
        one.players["users"].network.parameters(), Run.start(one.settings, tmp_path).players["users"].network
        .parameters(), strict=True))


@pytest.mark.slow
def test_a_lost_process_leaves_a_checkpoint_and_one_line(tmp_path):
    (tmp_path / "my_lost.py").write_text(LOST)
    found = torchrun(tmp_path, *words_of(replace(KALE, users="my_lost:Lost"), log_dir=tmp_path), "--name", "run")
    assert found.returncode != 0
    (line,) = [line for line in found.stderr.splitlines() if line.startswith(("error:", "stopped"))]
    assert "another of the 2 processes has ended" in line or line.startswith("stopped; go on with")
    assert f"torchrun --nproc-per-node 2 -m interplay train --resume {tmp_path / 'run'}" in line
    assert len(line) < 300
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    assert not (tmp_path / "run" / "lock").exists()
    (tmp_path / "my_lost.py").write_text(LOST.replace("== 25", "== -1"))
    assert main(["train", "--resume", str(tmp_path / "run"), "--allow-code"]) == 2
    again = torchrun(tmp_path, "--resume", str(tmp_path / "run"), "--allow-code")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "results.json").is_file()


def test_a_resumed_process_begins_the_episode_again_in_its_own_worlds(tmp_path, monkeypatch):
    monkeypatch.setattr(Ranks, "average", lambda self, gradients: None)
    run = Run.start(KALE, tmp_path, Ranks(0, 2))
    run.write_config()
    first = run.now.state.key
    for _ in range(3):
        run.step()
    run.save()
    resumed = [Run.resumed(tmp_path, "cpu", ranks=Ranks(rank, 2)) for rank in range(2)]
    assert [each.time for each in resumed] == [0, 0]
    assert torch.equal(resumed[0].now.state.key, first)
    assert not torch.equal(resumed[1].now.state.key, first)
    assert resumed[1].players["users"].learned == 3


def test_only_the_first_process_writes(tmp_path):
    run = Run.start(KALE, tmp_path / "none", Ranks(1, 2))
    run.save()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("settings", "named", "fix"), [
    (replace(KALE, num_worlds=5), ["num_worlds", 5, "2 processes"], "--num-worlds"),
    (replace(KALE, users="q-learning"), ["q-learning", "2 processes"], "interplay.agents.Optimiser"),
    (replace(KALE, users="linucb"), ["linucb", "2 processes"], "interplay.agents.Optimiser")])
def test_what_cannot_be_divided_is_refused(settings, named, fix, tmp_path):
    with refused(*named, fix=fix):
        Run.start(settings, tmp_path, Ranks(0, 2))


def test_several_seeds_are_refused_in_several_processes():
    with refused("2 seeds", "2 processes"):
        train_all([KALE, replace(KALE, seed=1)], [[], []], Ranks(0, 2))


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # as other launchers set it for what they start
    with parts.joined() as ranks:
        assert ranks == parts.ALONE
