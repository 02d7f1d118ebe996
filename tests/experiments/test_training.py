import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch

from interplay.experiments.cli.main import main
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Stopped
from interplay.experiments.evaluate.finishing import train_and_evaluate
from interplay.experiments.evaluate.tables import report_table
from interplay.experiments.loop.run import CHECKPOINT, Run
from refusals import assert_said

SMALL = ["--preset", "kale", "--episodes", "4", "--num-worlds", "8", "--eval-worlds", "16"]
DQN = ["--users", "dqn", "--items", "rest", "--user-option", "warm_up=64", "--user-option", "batch_size=32"]


def settings(folder, **changes):
    base = dict(preset="town", users="dqn", items="q-learning", episodes=2, num_worlds=2, eval_worlds=2,
                log_dir=folder, market=("num_users=5", "num_items=6", "horizon=12"),
                user_option=("warm_up=40", "batch_size=16"), item_option=("fit_steps=5", "num_clusters=4"))
    return TrainSettings(**(base | changes))


def train(settings):
    """The folder of a run that was trained and evaluated."""
    return train_and_evaluate(settings)[0].folder


def agents_of(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)["agents"]


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


FEED = dict(preset="feed", users=None, items=None, platform="slateq", item_option=(), user_option=(),
            platform_option=("warm_up=20", "batch_size=16"))


def test_a_platform_is_trained_compared_and_resumed_bit_for_bit(tmp_path):
    run, report = train_and_evaluate(settings(tmp_path, **FEED, name="whole"))
    whole, printed = run.folder, report_table(run, report)
    for word in ("platform", "plackett-luce", "slateq", "popularity", "conditional-logit", "1 = plackett-luce"):
        assert word in printed
    found = json.loads((whole / "results.json").read_text())
    assert (found["users"], found["items"], found["platform"]) == ("conditional-logit", "rest", "slateq")
    assert [b["platform"] for b in found["baselines"]] == ["plackett-luce", "random", "popularity", "greedy"]
    assert found["oracle"]["name"] == "plackett-luce"
    assert found["options"]["platform"]["batch_size"] == 16
    cut = Run.start(settings(tmp_path, **FEED, name="cut"), tmp_path / "cut")
    (tmp_path / "cut").mkdir()
    cut.write_config()
    for _ in range(7):
        cut.step()
    cut.save()
    train(TrainSettings(resume=tmp_path / "cut", device="cpu"))
    assert_same(agents_of(whole), agents_of(tmp_path / "cut"))


def test_platforms_play_beside_learners_of_both_sides(tmp_path):
    folder = train(settings(tmp_path, platform="dqn", platform_option=("warm_up=40", "batch_size=16"), name="three"))
    found = json.loads((folder / "results.json").read_text())
    assert (found["users"], found["items"], found["platform"]) == ("dqn", "q-learning", "dqn")
    assert {b["platform"] for b in found["baselines"]} == {"plackett-luce", "random", "popularity", "greedy", "dqn"}
    assert set(agents_of(folder)) == {"users", "items", "platform"}
    both = train(settings(tmp_path, users="shared-critic", items="shared-critic", item_option=(), platform="random",
                          name="joint"))
    assert set(agents_of(both)) == {"both", "platform"}


@pytest.mark.parametrize(("arguments", "named", "fix"), [
    (["--users", "slateq"], ["users", "slateq", "platform"], "users"),
    (["--platform", "ippo"], ["platform", "ippo", "users or items"], "platform"),
    (["--items", "conditional-logit"], ["items", "conditional-logit", "users"], "items"),
    (["--platform-option", "hidden=3"], ["--platform-option", "hidden=3"], "--platform"),
    (["--platform", "slateq,hiden=3"], ["hiden", "slateq"], "hidden")])
def test_an_agent_that_cannot_play_there_is_named(arguments, named, fix, tmp_path, capsys):
    assert main(["train", *SMALL, *arguments, "--log-dir", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)
    assert not list(tmp_path.iterdir())


def test_a_run_writes_what_it_promises(tmp_path, capsys):
    assert main(["train", *SMALL, *DQN, "--log-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    found = json.loads((folder / "results.json").read_text())
    assert found["preset"] == "kale"
    assert (found["users"], found["items"], found["seed"], found["device"]) == ("dqn", "rest", 0, "cpu")
    assert found["env_steps"] == 4 * 50 * 8
    assert found["agent_steps"] == found["env_steps"] * 5
    assert found["wall_seconds"] > 0
    for name in ("user_return", "item_return", "welfare"):
        low, high = found["evaluation"][name]["ci95"]
        assert low <= found["evaluation"][name]["mean"] <= high
    assert found["oracle"]["user_return"] == pytest.approx(39.221, abs=5e-4)
    random = found["oracle"]["random"]
    expected = (found["evaluation"]["user_return"]["mean"] - random) / (found["oracle"]["user_return"] - random)
    assert found["normalised_score"] == pytest.approx(expected)
    printed = capsys.readouterr().out
    for row in ("  random ", "  popularity ", "  greedy (myopic) ", "▸ dqn ", "  optimum (exact) "):
        assert f"\n{row}" in printed


def test_tensorboard_holds_scalars_histograms_and_the_config(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(settings(tmp_path))
    events = EventAccumulator(str(folder)).Reload()
    scalars = events.Tags()["scalars"]
    for name in ("returns/users", "returns/items", "market/click_through", "users/loss", "users/epsilon",
                 "items/epsilon", "market/exposure_gini", "market/live_items", "speed/agent_steps_per_second"):
        assert name in scalars
    assert len(events.Scalars("returns/users")) == 2
    assert "histograms/mood" in events.Tags()["histograms"]
    assert {"config/text_summary", "market/text_summary"} <= set(events.Tags()["tensors"])


def test_ctrl_c_then_resume_is_bit_for_bit_the_uninterrupted_run(tmp_path, monkeypatch, capsys):
    whole = train(settings(tmp_path / "whole"))
    step = Run.step

    def interrupted(run):
        if (run.episode, run.time) == (1, 5):  # in mid-episode
            os.kill(os.getpid(), signal.SIGINT)
        return step(run)

    monkeypatch.setattr(Run, "step", interrupted)
    with pytest.raises(Stopped, match="stopped; go on with: interplay train --resume") as stopped:
        train(settings(tmp_path / "part"))
    assert stopped.value.status == 130
    (part,) = (tmp_path / "part").iterdir()
    assert not (part / "results.json").exists()
    monkeypatch.undo()
    assert train(TrainSettings(resume=part)) == part
    assert_same(agents_of(whole), agents_of(part))
    one, other = (json.loads((f / "results.json").read_text()) for f in (whole, part))
    assert one["evaluation"] == other["evaluation"]
    assert one["env_steps"] == other["env_steps"]


def test_evaluate_repeats_the_runs_own_evaluation(tmp_path, capsys):
    assert main(["train", *SMALL, *DQN, "--log-dir", str(tmp_path)]) == 0
    (trained,) = re.findall(r"▸ dqn +(\S+ \[\S+ \S+\])", capsys.readouterr().out)
    (folder,) = tmp_path.iterdir()
    assert main(["evaluate", str(folder)]) == 0
    assert f"| dqn        | rest  | {trained} |" in capsys.readouterr().out


def test_a_resumed_run_refuses_other_settings(tmp_path, capsys):
    folder = train(settings(tmp_path))
    assert main(["train", "--resume", str(folder), "--preset", "kale"]) == 2
    assert_said(capsys.readouterr().err, "--resume", "preset='town'", "kale")


def test_q_learning_learns_to_plan_on_kale(tmp_path):
    """A short training; the full figures are in experiments/results."""
    folder = train(TrainSettings(preset="kale", users="q-learning", items="rest", episodes=40, eval_worlds=256,
                                 log_dir=tmp_path))
    found = json.loads((folder / "results.json").read_text())
    assert found["evaluation"]["user_return"]["mean"] > 34.0  # greedy earns 11.990, the optimum is 39.221


def log_of(folder, rows, name="log.csv", header="user,item,reward"):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


ROWS = [f"u{u},i{i},{(u * i) % 2}" for u in range(8) for i in range(12)]


def test_a_click_log_of_ones_own_trains(tmp_path, capsys):
    log = log_of(tmp_path, [*ROWS, *ROWS[:9]])  # pairs may occur again
    arguments = ["train", "--log", str(log), "--episodes", "2", "--eval-worlds", "2", *DQN,
                 "--log-dir", str(tmp_path / "runs")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "105 read" in printed
    assert "repeats  9 " in printed
    assert "popularity" in printed


def test_features_of_users_and_items_reach_the_run_and_its_evaluation(tmp_path, capsys, monkeypatch):
    log_of(tmp_path, ROWS, header="who,what,reward")
    log_of(tmp_path, [f"u{u},{20 + u},{'ab'[u % 2]}" for u in range(1, 9)], "people.csv", "who,age,job")
    log_of(tmp_path, [f"i{i},{i * i}" for i in range(12)], "films.csv", "what,price")
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--log", "log.csv", "--user-column", "who", "--item-column", "what", *DQN, "--episodes", "2",
                 "--eval-worlds", "2", "--user-features", "people.csv", "--item-features", "films.csv"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "features 3 of users (1 users without any are given the mean); 1 of items" in printed
    assert "people.csv: 3 features from age, job (2 categories); ignored 1 rows of ids that the log lacks" in printed
    assert "films.csv: 1 features from price" in printed
    (folder,) = (tmp_path / "runs").iterdir()
    monkeypatch.chdir(folder)  # the tables are found from anywhere
    assert main(["evaluate", str(folder)]) == 0
    found = Run.load(folder)
    assert found.settings.user_features == tmp_path / "people.csv"
    assert found.task.market.specs["users"].own_features[-3:] == ("feature_0", "feature_1", "feature_2")
    log_of(tmp_path, [f"i{i},{-i}" for i in range(12)], "films.csv", "what,price")
    assert main(["evaluate", str(folder)]) == 2
    assert_said(capsys.readouterr().err, folder / "checkpoint.pt", "market")


BAD = {
    "preset": (["--preset", "cabbage"], ["preset", "cabbage"], "kale"),
    "agent": (["--users", "genius"], ["agent", "genius"], "q-learning"),
    "agent module": (["--users", "no_such_module:Agent"], ["no_such_module:Agent"], "PYTHONPATH"),
    "market number": (["--market", "lambda=3"], ["lambda"], "num_users"),
    "negative rate": (["--market", "satiation.gain=-1"], ["satiation.gain", -1], 0),
    "rate above one": (["--market", "mood.return_rate=1.5"], ["mood.return_rate", 1.5], (0, 1)),
    "slate": (["--market", "slate_size=99"], ["slate_size", 99, "num_items"], "slate_size"),
    "pair": (["--market", "horizon"], ["--market", "horizon"], "NAME=VALUE"),
    "option": (["--users", "dqn", "--user-option", "layers=3"], ["layers", "dqn"], "hidden"),
    "option type": (["--users", "dqn", "--user-option", "hidden=wide"], ["hidden", "wide"], "integer"),
    "cuda": (["--device", "cuda"], ["device", "cuda"], "--device cpu"),
    "seed": (["--seed", "-1"], ["seed", -1], 0),
    "resume": (["--resume", "nowhere"], ["nowhere", "config.json"], "train"),
    "missing log": (["--log", "nowhere.csv"], ["nowhere.csv"], "movielens-100k"),
    "features": (["--item-features", "films.csv"], ["--item-features films.csv"], "--log"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_clear_line(name, tmp_path, capsys, monkeypatch):
    arguments, named, fix = BAD[name]
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    monkeypatch.chdir(tmp_path)
    preset = [] if name in ("resume", "preset", "missing log") else ["--preset", "town"]
    assert main(["train", *preset, *arguments]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)
    assert list(tmp_path.iterdir()) == []  # and nothing is left behind


BAD_LOGS = {
    "column": (ROWS, "user,item,rating", [], ["log.csv", "reward"], ()),
    "empty": ([], "user,item,reward", [], ["log.csv", 0], ()),
    "nan": ([*ROWS, "u1,i1,nan"], "user,item,reward", [], ["reward", "nan", 97], ()),
    "time": ([f"{row},noon" for row in ROWS], "user,item,reward,when", ["--time-column", "when"], ["when", "noon"],
             "ISO-8601"),
    "slate": (["a,x,1", "a,y,0", "b,x,1", "b,y,0"], "user,item,reward", ["--market", "slate_size=3"],
              ["slate_size=3", "num_items=2"], "slate_size"),
    "features": (ROWS, "user,item,reward", ["--user-features", "none.csv"], ["none.csv"], "path"),
    "held-out": (ROWS, "user,item,reward", ["--held-out", "1.5"], ["held_out", 1.5], (0, 1)),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_bad_log_ends_in_one_clear_line(name, tmp_path, capsys):
    rows, header, flags, named, fix = BAD_LOGS[name]
    log = log_of(tmp_path, rows, header=header)
    assert main(["train", "--log", str(log), *flags, "--log-dir", str(tmp_path / "runs")]) == 2
    assert_said(capsys.readouterr().err, *named, fix=fix)


@pytest.mark.parametrize("words", [
    ["train", "--help"], pytest.param(["presets"], marks=pytest.mark.slow)], ids=["at once", "by a command"])
def test_a_reader_that_stops_early_is_no_error(words):
    """As of ``interplay presets | head``; here it reads nothing at all."""
    command = [sys.executable, "-m", "interplay", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_log_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["train", *SMALL, "--log-dir", str(blocked)]) == 2
    assert_said(capsys.readouterr().err, "log_dir", blocked, fix="--log-dir")


def test_movielens_trains(ml_100k, tmp_path):
    folder = train(TrainSettings(log=ml_100k, episodes=2, eval_worlds=1, log_dir=tmp_path))
    found = json.loads((folder / "results.json").read_text())
    assert found["agent_steps"] == found["env_steps"] * (943 + 1682)
    scores = {b["users"]: b["user_return"]["mean"] for b in found["baselines"] if b["items"] == "q-learning"}
    assert scores["random"] < found["evaluation"]["user_return"]["mean"] < scores["greedy"]
