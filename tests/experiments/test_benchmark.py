"""Benchmarks end to end: run, resumed, failing, refused; and what they make of what they found."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from interplay.envs.presets import find_preset, presets
from interplay.experiments.benchmark import command as benchmark
from interplay.experiments.benchmark import jobs
from interplay.experiments.benchmark.command import BenchmarkSettings, planned
from interplay.experiments.benchmark.curves import read_curves
from interplay.experiments.benchmark.plots import gathered
from interplay.experiments.benchmark.scores import Row, agents_of, measured, read_rows, scores, write_rows
from interplay.experiments.cli.main import main
from interplay.experiments.common.folders import owned
from interplay.experiments.common.saving import write_sealed
from refusals import assert_said, refused

SMALL = ["--presets", "kale", "contest", "--agents", "q-learning", "linucb", "--seeds", "2", "--scale", "0.005"]

BROKEN = '''
from interplay.agents import Agent

class Broken(Agent):
    """Fails as it starts."""

    name = "broken"
    learns = True

    def act(self, observation, explore):
        raise RuntimeError("no idea what to do")

class Deadly(Broken):
    """Takes its process along."""

    name = "deadly"

    def act(self, observation, explore):
        import os
        print("about to die", flush=True)
        os._exit(3)

class Twin(Broken):
    """Is called like somebody else."""

    name = "dqn"
'''


@pytest.fixture
def broken(tmp_path, monkeypatch):
    (tmp_path / "my_broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))


def run(folder, *arguments):
    return main(["benchmark", *arguments, "--out", str(folder), "--workers", "2"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    assert run(folder, *SMALL) == 0
    return folder


def table_of(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_it_writes_what_it_promises(finished):
    report = (finished / "report.md").read_text()
    for word in ("## kale", "## contest", "q-learning", "linucb", "random", "popularity", "greedy", "optimum",
                 "equilibrium", "Probability of improvement", "agent-steps/s"):
        assert word in report
    for picture in ("summary.png", "curves.png"):
        assert (finished / picture).read_bytes().startswith(b"\x89PNG")
    rows = table_of(finished)
    assert len([r for r in rows if r["kind"] == "learner"]) == 2 * 2 * 2
    kale = json.loads((finished / "runs" / "kale-q-learning-s1" / "results.json").read_text())
    found = next(r for r in rows if (r["market"], r["agent"], r["seed"]) == ("kale", "q-learning", "1"))
    assert float(found["score"]) == pytest.approx(kale["evaluation"]["user_return"]["mean"], rel=1e-5)
    assert float(found["normalised"]) == pytest.approx(kale["normalised_score"], rel=1e-4)
    boost = next(r for r in rows if (r["market"], r["agent"], r["seed"]) == ("contest", "linucb", "0"))
    assert (boost["measure"], boost["others"]) == ("mean_boost", "users first")
    assert boost["score"] == boost["mean_boost"]


def figures(folder):
    """All scores but what depends on the machine."""
    return [{k: v for k, v in row.items() if k not in ("agent_steps_per_second", "wall_seconds")}
            for row in table_of(folder)]


@pytest.mark.slow
def test_scores_do_not_depend_on_workers(finished, tmp_path):
    part = ["--presets", "contest", "--agents", "q-learning", *SMALL[SMALL.index("--seeds"):]]
    assert main(["benchmark", *part, "--out", str(tmp_path / "alone"), "--workers", "1"]) == 0
    alone = figures(tmp_path / "alone")
    assert [row["seed"] for row in alone if row["kind"] == "learner"] == ["0", "1"]
    whole = [row for row in figures(finished) if row["market"] == "contest" and row["agent"] != "linucb"]
    assert alone == [{name: row[name] for name in alone[0]} for row in whole]  # other markets have columns of their own


def test_what_is_finished_is_not_repeated_and_what_is_missing_is(finished, tmp_path, capsys):
    folder = copied(finished, tmp_path)
    before = figures(folder)
    (folder / "runs" / "kale-linucb-s0" / "results.json").unlink()
    kept = folder / "runs" / "kale-linucb-s1" / "results.json"
    made = kept.stat().st_mtime_ns
    assert run(folder, *SMALL) == 0
    printed = capsys.readouterr().out
    assert "8 runs, 7 of them finished before" in printed
    assert "[1/1] kale-linucb-s0: user return" in printed
    assert kept.stat().st_mtime_ns == made
    assert figures(folder) == before


def test_a_run_that_was_made_otherwise_is_not_taken_for_this_one(finished, tmp_path, capsys):
    assert run(copied(finished, tmp_path), *SMALL[:-1], "0.02") == 2
    assert_said(capsys.readouterr().err, "episodes=1", 4, fix="--out")


def test_what_a_market_recommends_to_agents_that_do_not_play_is_nothing_to_a_run(finished, tmp_path, monkeypatch):
    training_of = jobs.training_of
    settings = BenchmarkSettings(presets=("contest",), agents=("linucb",), seeds=1, scale=0.005,
                                 out=copied(finished, tmp_path)).checked()
    (job,) = planned(settings)

    def now_recommends(**options):
        monkeypatch.setattr(jobs, "training_of", lambda *given: replace(training_of(*given), options=options))

    now_recommends(pqn={"hidden": 8})
    assert jobs.finished(job)
    now_recommends(linucb={"width": 0.5})
    with refused(job.name, "options", fix="--out"):
        jobs.finished(job)


def test_a_run_that_train_made_is_not_repeated(tmp_path):
    """So that the elements of a Slurm array can be the runs of a benchmark (docs/guides/cluster.md)."""
    assert main(["train", "--preset", "contest", "--items", "linucb", "--episodes", "1", "--device", "cpu", "--log-dir",
                 str(tmp_path / "runs"), "--name", "contest-linucb-s0"]) == 0
    (job,) = planned(BenchmarkSettings(presets=("contest",), agents=("linucb",), seeds=1, scale=0.005,
                                       out=tmp_path).checked())
    assert jobs.finished(job)


@pytest.mark.usefixtures("broken")
def test_agents_that_fail_and_processes_that_die_are_reported_and_the_others_go_on(tmp_path, capsys):
    assert run(tmp_path, "--presets", "contest", "--agents", "my_broken:Broken", "my_broken:Deadly", "q-learning",
               "--seeds", "1", "--scale", "0.005") == 1
    said = capsys.readouterr().err
    failed, died = (f"contest-my_broken.{name}-s0" for name in ("Broken", "Deadly"))
    problem = f"{failed}: RuntimeError: no idea what to do"
    assert problem in said
    assert f"{died}: its process died (exit status 3)" in said
    assert "Traceback" not in said
    assert f"{problem} (see runs/{failed}/error.txt)" in (tmp_path / "report.md").read_text()
    kept, last = ((tmp_path / "runs" / name / "error.txt").read_text() for name in (failed, died))
    assert "Traceback (most recent call last)" in kept
    assert "my_broken.py" in kept
    assert "about to die" in last
    assert {row["agent"] for row in table_of(tmp_path) if row["kind"] == "learner"} == {"q-learning"}
    assert not list((tmp_path / "runs").glob("*.log"))


@pytest.mark.usefixtures("broken")
def test_agents_of_one_name_are_refused(tmp_path, capsys):
    assert run(tmp_path / "out", "--agents", "dqn", "my_broken:Twin") == 2
    assert_said(capsys.readouterr().err, "'dqn'", "my_broken:Twin")
    assert BenchmarkSettings(agents=("dqn", "linucb", "dqn")).checked().agents == ("dqn", "linucb")


def marked(mark):
    """Processes with this value in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has ended, or is another user's
            continue
        if mark.encode() in environment:
            found.append(int(process.name))
    return found


def is_longer(file, lines):
    return file.is_file() and len(file.read_text().splitlines()) > lines


def wait_until(condition):
    limit = time.monotonic() + 120.0
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)
    assert condition()


STOPPED, KILLED = (os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGKILL, -signal.SIGKILL)


@pytest.mark.parametrize("signals", [[STOPPED], pytest.param([STOPPED, KILLED], marks=pytest.mark.slow)], ids=len)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="lists processes by /proc")
def test_what_a_signal_stops_is_saved_leaves_no_process_and_the_same_command_continues_it(signals, tmp_path):
    arguments = ["--presets", "contest", "--agents", "q-learning", "--seeds", "1", "--scale", "0.1"]
    script = Path(__file__).parents[2] / "scripts" / "benchmark.py"
    command = [sys.executable, str(script), *arguments, "--out", str(tmp_path), "--workers", "1"]
    run = tmp_path / "runs" / "contest-q-learning-s0"
    curve, rows, mark = run / "curve.csv", [], f"MARK={tmp_path}"
    for send, number, status in signals:
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env={**os.environ, "MARK": str(tmp_path)})
        wait_until(partial(is_longer, curve, 1 + len(rows)))
        send(process.pid, number)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == status
        wait_until(lambda: not marked(mark))
        if status > 0:
            assert error == f"stopped; the same call or command continues the runs in {tmp_path / 'runs'}\n"
            assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.name]
        assert (run / "checkpoint.pt").is_file()
        assert not (run / "results.json").is_file()
        before, rows = rows, curve.read_text().splitlines()[1:]
        assert rows[:len(before)] == before
    assert main(["benchmark", *arguments, "--out", str(tmp_path), "--workers", "2"]) == 0
    steps = [int(row.split(",")[0]) for row in curve.read_text().splitlines()[1:]]
    assert steps == [steps[0] * (k + 1) for k in range(20)]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_runs_stops_it(number, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "planned", lambda settings: signal.raise_signal(number))
    assert run(tmp_path / "out", *SMALL) == status
    said = f"stopped; the same call or command continues the runs in {tmp_path / 'out' / 'runs'}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_stops_it(number, status):
    code = ("import os, sys, types; cli = types.ModuleType('cli')\n"
            "sys.modules['interplay.experiments.cli.main'] = cli\n"
            "from interplay.experiments.cli import entry\n"
            f"cli.__getattr__ = lambda name: os.kill(os.getpid(), {int(number)})\n"
            "entry.main(['train'])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "stopped\n")


def test_a_folder_that_another_benchmark_uses_is_refused(tmp_path, capsys):
    with owned(tmp_path):
        assert run(tmp_path, *SMALL) == 2
    assert_said(capsys.readouterr().err, tmp_path, os.getpid())


def test_there_are_as_many_workers_as_cores_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert BenchmarkSettings().checked().workers == 1


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["--agents", "genius"], ["genius"], "q-learning"), (["--presets", "cabbage"], ["cabbage"], "kale"),
    (["--seeds", "0"], ["seeds", 0], (1, 1000000)), (["--scale", "0"], ["scale", 0.0], 0),
    (["--workers", "0"], ["workers", 0], 1), (["--others", "dqn,hidden=x"], ["hidden", "x"], "integer"),
    (["--log", "nowhere.csv"], ["nowhere.csv"], "movielens-100k"), (["--market", "moood.weight=1"], ["moood"], "mood")])
def test_wrong_settings_end_in_one_line_before_anything_runs(arguments, named, fix, tmp_path, capsys):
    assert main(["benchmark", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


def test_a_folder_that_cannot_be_used_is_named_before_anything_runs(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file", *SMALL) == 2
    assert_said(capsys.readouterr().err, tmp_path / "file", fix="--out")


def test_a_run_of_a_market_that_recommends_something_else_by_now_is_not_taken_for_this_one(finished, tmp_path,
                                                                                            monkeypatch, capsys):
    folder = copied(finished, tmp_path)
    path = folder / "runs" / "kale-linucb-s1" / "results.json"
    result = json.loads(path.read_text())
    recommended = find_preset("kale").training.num_worlds
    assert result["training"]["num_worlds"] == recommended
    result["training"]["num_worlds"] = 3
    write_sealed(path, {name: value for name, value in result.items() if name not in ("format", "digest")})
    assert run(folder, *SMALL) == 2
    assert_said(capsys.readouterr().err, "num_worlds=3", recommended)


def test_a_short_version_says_so_and_quick_leaves_what_is_given(finished):
    assert "**A short version**: agents trained for 0.005 of the episodes" in (finished / "report.md").read_text()
    chosen = BenchmarkSettings(quick=True, seeds=1, agents=("linucb",)).checked()
    assert (chosen.seeds, chosen.agents, chosen.scale) == (1, ("linucb",), 0.2)
    assert chosen.presets == ("kale", "viability", "contest")


def test_a_markets_numbers_are_changed_for_all_and_checkpoints_are_kept_on_request_alone(finished, tmp_path):
    assert run(tmp_path, "--presets", "kale", "--agents", "linucb", "--seeds", "1", "--scale", "0.005", "--market",
               "mood.weight=0", "--keep-checkpoints") == 0
    optimum = next(row for row in read_rows(tmp_path / "scores.csv") if row.kind == "exact")
    assert optimum.figures["score"] == pytest.approx(31.290, abs=5e-4)  # that of kale-null
    assert not list((finished / "runs").glob("*/checkpoint.pt"))
    assert main(["evaluate", str(tmp_path / "runs" / "kale-linucb-s0"), "--eval-worlds", "2"]) == 0


def names_of(**settings):
    return [job.name for job in planned(BenchmarkSettings(**settings).checked())]


def test_each_market_says_which_agents_to_compare_and_how_often():
    names = names_of(presets=tuple(presets()))
    assert len(names) == len(set(names))
    for preset in presets().values():
        for agent in preset.benchmark_agents:
            assert sum(name.startswith(f"{preset.name}-{agent}-s") for name in names) == preset.seeds
    assert names_of(presets=("kale", "town"), agents=("linucb",), seeds=1) == ["kale-linucb-s0", "town-linucb-s0"]
    assert {job.split("-")[-1] for job in names_of(quick=True)} == {"s0", "s1", "s2"}


def test_every_learner_of_the_package_is_compared_where_no_agents_are_named(tmp_path):
    (tmp_path / "small.csv").write_text("user,item,reward\n" + "".join(f"{u},{i},{(u + i) % 2}\n" for u in range(6)
                                                                      for i in range(6)))
    names = names_of(log=tmp_path / "small.csv", seeds=1)
    assert {f"small-{agent}-s0" for agent in ("q-learning", "dqn", "pqn", "mappo", "linucb")} <= set(names)
    assert "small-random-s0" not in names


@pytest.mark.slow
def test_variants_of_one_agent_are_compared(tmp_path, capsys):
    variant = "q-learning,double=true,negative_error_scale=0.5"
    assert run(tmp_path, "--presets", "contest", "--agents", "q-learning", variant,
               "--seeds", "1", "--scale", "0.005") == 0
    rows = [row for row in read_rows(tmp_path / "scores.csv") if row.kind == "learner"]
    assert [row.agent for row in rows] == ["q-learning", variant]
    assert rows[0].figures["score"] != rows[1].figures["score"]
    made = json.loads((tmp_path / "runs" / f"contest-{rows[1].agent}-s0" / "results.json").read_text())
    assert (made["options"]["items"]["double"], made["options"]["items"]["negative_error_scale"]) == (True, 0.5)
    assert run(tmp_path, "--agents", "dqn,hiden=3") == 2
    assert_said(capsys.readouterr().err, "hiden", "dqn", fix="hidden")
    assert run(tmp_path, "--agents", "dqn,hidden") == 2
    assert_said(capsys.readouterr().err, "dqn,hidden", "'hidden'", fix="NAME=VALUE")


def test_pictures_are_drawn_again_from_several_folders(finished, tmp_path, capsys):
    assert main(["plot", str(finished), str(finished), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "summary.png").is_file()
    assert main(["plot", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, tmp_path / "scores.csv", fix="benchmark")


def test_an_agent_that_several_folders_have_is_taken_from_the_first(finished, tmp_path):
    first = copied(finished, tmp_path)
    rows = [row for row in read_rows(first / "scores.csv") if (row.market, row.agent) == ("kale", "linucb")]
    write_rows([replace(row, figures={"score": -1.0}) for row in rows], first / "scores.csv")
    found, curves = gathered([first, finished])
    assert scores(found, "kale", "linucb") == [-1.0, -1.0]
    assert len(found) == len(read_rows(finished / "scores.csv"))
    assert curves.keys() == read_curves(finished / "curves.csv").keys()


def test_curves_are_kept_for_every_run(finished):
    curves = read_curves(finished / "curves.csv")
    assert set(curves) == {(m, a) for m in ("kale", "contest") for a in ("q-learning", "linucb")}
    assert all(len(seeds) == 2 for seeds in curves.values())


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [Row("m", "a", "learner", 0, "user_return", "rest", {"score": 1.5, "normalised": 0.25}),
            Row("m", "a", "baseline", 0, "user_return", "rest", {"score": 0.5, "measure: mean recall": 0.75}),
            Row("m", "optimum", "exact", -1, "user_return", "rest", {"score": 2.0})]
    write_rows(rows, tmp_path / "scores.csv")
    assert read_rows(tmp_path / "scores.csv") == rows
    assert agents_of(rows, "m", "baseline", "learner") == ["a"]
    assert scores(rows[:1], "m", "a", "normalised") == [0.25]
    assert measured(rows) == ["measure: mean recall"]


def test_the_other_side_and_what_is_learnt_of_logs_can_be_chosen(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user,item,reward\n" + "".join(f"{u},{i},{(u * i) % 3}\n" for u in range(8) for i in range(6)))
    settings = BenchmarkSettings(log=log, agents=("dqn",), others="rest", missing="zero", targets="ips",
                                 clip_weights=9.0, seeds=2, out=tmp_path)
    jobs = planned(settings.checked())
    assert [(job.users, job.items, job.targets, job.clip_weights, job.missing) for job in jobs] == [
        ("dqn", "rest", "ips", 9.0, "zero")] * 2
    feed = planned(BenchmarkSettings(presets=("feed",), others="random", seeds=1, out=tmp_path).checked())
    assert {(job.users, job.items) for job in feed} == {("random", "rest")}
