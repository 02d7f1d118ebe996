"""Seeds that several processes train: what each is alone, and what becomes of them where one fails or all stop."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

import interplay as ip
from interplay.experiments.cli.main import main
from interplay.experiments.common.finite import DivergedError
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.workers import usable_cores
from interplay.experiments.evaluate.finishing import train_and_evaluate
from interplay.experiments.evaluate.spreading import divided, num_processes
from interplay.experiments.loop.run import CHECKPOINT, RESULTS, Run
from interplay.experiments.loop.tracking import CURVE
from refusals import assert_said, refused

WORDS = ["--preset", "kale", "--users", "pqn", "--items", "rest", "--num-worlds", "4", "--eval-worlds", "4"]

AGENTS = '''
from interplay.agents.greedy import GreedyAgent


class Faulty(GreedyAgent):
    """Does something wrong with one seed."""

    name = "faulty"

    def learn(self, transition):
        if self.setting.seed == 2:
            return self.fail(transition)

    def fail(self, transition):
        return {"loss": transition.reward.sum() / 0.0}


class Deadly(Faulty):
    """Takes its process along."""

    name = "deadly"

    def fail(self, transition):
        import os
        print("I am gone", flush=True)
        os._exit(3)
'''

LONELY = '''
from interplay.envs.stacking import is_stacked
from my_faulty import Faulty


class Lonely(Faulty):
    """Cannot learn with others."""

    name = "lonely"
    stacks = True

    def learn(self, transition):
        if is_stacked(transition.reward):
            raise RuntimeError("too many of us")
        return super().learn(transition)
'''


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """A module with agents that fail."""
    (tmp_path / "my_faulty.py").write_text(AGENTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return "my_faulty"


def test_each_seed_of_two_processes_is_what_it_is_alone(tmp_path, capfd):
    """Three train as one in one process, two one after another in the other."""
    runs = ip.train_seeds("kale", 5, users="pqn", items="rest", episodes=2, num_worlds=4, eval_worlds=4, seed=3,
                          log_dir=tmp_path / "together", name="run", workers=2)
    assert [run.folder.name for run in runs] == [f"run-s{seed}" for seed in range(3, 8)]
    assert sorted(path.name for path in (tmp_path / "together").iterdir()) == [run.folder.name for run in runs]
    assert capfd.readouterr().err == ""
    for seed in (3, 7):
        alone, report = train_and_evaluate(TrainSettings(
            preset="kale", users="pqn", items="rest", episodes=2, num_worlds=4, eval_worlds=4, seed=seed, name="run",
            log_dir=tmp_path / "alone" / str(seed)))
        run = runs[seed - 3]
        assert len(run._training.curve) == len(alone.curve) == 2
        for row, wanted in zip(run._training.curve, alone.curve, strict=True):
            del row["wall_seconds"], wanted["wall_seconds"]
            assert row == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert run.score.user_return.mean == pytest.approx(report.user_return.mean)
        assert (run.folder / CURVE).read_text(encoding="utf-8").count("\n") == 3
        assert list(run.folder.glob("events.out.tfevents.*"))


def test_the_command_line_shows_what_one_process_shows(tmp_path, capsys):
    assert main(["train", *WORDS, "--episodes", "2", "--log-dir", str(tmp_path), "--name", "few", "--seeds", "2",
                 "--workers", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("market   kale") == 1
    assert [printed.out.count(f"folder   {tmp_path / name}\n") for name in ("few-s0", "few-s1")] == [1, 1]
    assert printed.out.count("normalised score") == 2
    assert "800/800" in printed.err
    held_out = [row.get("held_out/user_return") for row in Run.load(tmp_path / "few-s1").curve]
    assert held_out[0] is not None  # glances


@pytest.mark.slow
def test_ctrl_c_saves_all_and_says_how_to_resume_them(tmp_path):
    command = [sys.executable, "-m", "interplay", "train", *WORDS, "--episodes", "400", "--log-dir", str(tmp_path),
               "--name", "run", "--seeds", "2", "--workers", "2"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    folders = [tmp_path / "run-s0", tmp_path / "run-s1"]
    limit = time.monotonic() + 240.0
    while not all(_rows(folder) > 2 for folder in folders) and time.monotonic() < limit:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1] == (f"stopped; go on with: interplay train --resume {folders[0]}, and the same for "
                                      "run-s1")
    runs = [Run.load(folder) for folder in folders]
    assert all(0 < len(run.curve) == run.episode < 400 for run in runs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-s0", "run-s1"]


def _rows(folder):
    return len((folder / CURVE).read_text(encoding="utf-8").splitlines()) if (folder / CURVE).is_file() else 0


def _train(tmp_path, agent):
    return ip.train_seeds("kale", 4, users=agent, items="rest", episodes=1, num_worlds=2, eval_worlds=2,
                          log_dir=tmp_path / "runs", name="run", workers=2)


def _finished(tmp_path):
    return [(tmp_path / "runs" / f"run-s{seed}" / RESULTS).is_file() for seed in range(4)]


def test_a_seed_that_diverges_in_a_process_is_named_and_ends_no_other(tmp_path, faulty):
    with refused("1 of 4", "(2)", kind=DivergedError):
        _train(tmp_path, f"{faulty}:Faulty")
    assert _finished(tmp_path) == [True, True, False, True]


def test_a_process_that_dies_costs_its_own_seeds_alone_and_says_where_to_look(tmp_path, faulty):
    log = tmp_path / "runs" / "run-s2.log"
    with refused("2 seeds", "exit status 3; I am gone", str(log), fix=f"--resume {tmp_path / 'runs' / 'run-s2'}"):
        _train(tmp_path, f"{faulty}:Deadly")
    assert _finished(tmp_path) == [True, True, False, False]
    assert "I am gone" in log.read_text(encoding="utf-8")
    assert (tmp_path / "runs" / "run-s3" / CHECKPOINT).is_file()


def test_by_default_each_core_has_a_process():
    settings = TrainSettings(preset="kale", seeds=1000, device="cpu")
    assert num_processes(settings) == usable_cores()
    assert num_processes(replace(settings, seeds=1)) == 1
    assert num_processes(replace(settings, workers=3)) == 3
    assert num_processes(replace(settings, seeds=2, workers=3)) == 2
    assert num_processes(replace(settings, threads=1024)) == 1
    assert num_processes(replace(settings, users="__main__:Mine")) == 1
    assert [list(part) for part in divided(5, 2)] == [[0, 1], [2, 3, 4]]


def test_callbacks_watch_in_one_process(tmp_path):
    with refused("workers=2", fix="callbacks"):
        ip.train_seeds("kale", 2, callbacks=[ip.Evaluate(every=1)], workers=2, log_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_seed_needs_no_processes(tmp_path, capsys):
    assert main(["train", *WORDS, "--workers", "2", "--log-dir", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, "--workers 2", fix="--seeds")


def test_wrong_settings_start_no_process_and_leave_no_folder(tmp_path, capsys):
    words = [*WORDS, "--user-option", "hidden=0", "--seeds", "2", "--log-dir", str(tmp_path / "runs")]
    assert main(["train", *words]) == 2
    assert_said(capsys.readouterr().err, "hidden", 0)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("agents", "workers", "wanted"), [
    (["pqn"], 2, [5, 5]), (["pqn"], 3, [3, 3, 4]), (["pqn"], 10, [1] * 10), (["pqn"], 5, [1] * 10),
    (["pqn", "linucb"], 2, [10, *[1] * 10]), (["pqn", "dqn"], 2, [10, 10]), (["pqn", "dqn"], 4, [5, 5, 5, 5])])
def test_a_benchmark_trains_seeds_as_one_where_there_are_more_runs_than_processes(agents, workers, wanted):
    from interplay.experiments.benchmark.command import BenchmarkSettings, planned
    from interplay.experiments.benchmark.jobs import grouped

    jobs = planned(BenchmarkSettings(presets=("kale",), agents=tuple(agents), seeds=10).checked())
    assert [len(group) for group in grouped(jobs, workers)] == wanted
    large = [replace(job, num_worlds=10_000) for job in jobs]
    assert {len(group) for group in grouped(large, workers)} == {1}


@pytest.mark.slow
def test_what_a_group_of_a_benchmark_does_not_finish_is_played_again_alone(tmp_path, faulty):
    (tmp_path / "my_lonely.py").write_text(LONELY, encoding="utf-8")
    table = ip.benchmark("kale", ["my_lonely:Lonely"], folder=tmp_path / "out", seeds=4, scale=0.01, workers=1)
    assert list(table.problems) == ["kale-my_lonely.Lonely-s2"]
    assert "diverged" in table.problems["kale-my_lonely.Lonely-s2"]
    rows = table.frame.filter(table.frame["agent"] == "lonely").to_dicts()
    assert sorted(row["seed"] for row in rows) == [0, 1, 3]
