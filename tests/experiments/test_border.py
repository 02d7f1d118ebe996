"""The library's border: bad arguments end in one line, which names arguments and not flags."""

import math
import re
import resource
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import interplay as ip
from interplay.experiments.api.border import in_python
from interplay.experiments.benchmark.command import BenchmarkSettings, planned
from refusals import refused

SMALL = {"episodes": 1, "num_worlds": 1, "eval_worlds": 2}
ROWS = "".join(f"u{u},i{i},{(u * i) % 3},{u * 100 + i}\n" for u in range(8) for i in range(6))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("user,item,reward,time\n" + ROWS)
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ip.train("kale", users="q-learning", items="rest", log_dir=tmp_path_factory.mktemp("runs"), **SMALL)


@pytest.mark.parametrize(("said", "wanted"), [
    ("give --reward-range 0 5", "give reward_range=(0, 5)"),
    ("--clip-weights 3.0 has no effect: --targets ips or x", "clip_weights=3.0 has no effect: targets='ips' or x"),
    ("--allow-code True has no effect", "allow_code=True has no effect"),
    ("give --time-format ms, us or ns if all", "give time_format='ms', us or ns if all"),
    ("add --no-header, or --drop-bad-rows", "add header=False, or drop_bad_rows=True"),
    ("say --reward-map view=1 buy=2 for it", "say reward_map=('view=1', 'buy=2') for it"),
    ("words that --reward-map lacks: add", "words that reward_map= lacks: add"),
    ("--columns user item has no effect", "columns=('user', 'item') has no effect"),
    ("take --comment '' or --comment '#'", "take comment='' or comment='#'"),
    ("--item-option 'hidden=3': give --user-option", "item_options={'hidden': 3}: give user_options="),
    ("name them with --user-column and --action-column", "name them with user= and action="),
    ("take --resume runs/kale-dqn,hidden=3-s0", "take interplay.load('runs/kale-dqn,hidden=3-s0').resume()"),
    ("which takes --market history_length=5 at most", "which takes interplay.market(..., history_length=5) at most"),
    ("go on with: interplay train --resume runs/a", "go on with: interplay train --resume runs/a"),
    ("pretrain with --encoder gru", "pretrain with --encoder gru"), ("use --no-such-flag x", "use --no-such-flag x"),
    ("choose another with --log-dir", "choose another with log_dir="), ("a - b -- c", "a - b -- c")])
def test_flags_become_arguments(said, wanted):
    assert in_python(said) == wanted
    assert in_python(wanted) == wanted


def calls(run):
    """Calls that cannot work, with what their error names and its fix."""
    log, table = ip.log("log.csv"), {"item": [1, 2], "reward": [0.0, 1.0], "propensity": [0.5, 0.5]}
    yield lambda: ip.benchmark("kale", None), ("agents=None",), "agents=['dqn', 'my_agent:MyAgent']"
    yield lambda: ip.benchmark("kale", ip.agents.DQN), (), "agents=['dqn', 'my_agent:MyAgent']"
    yield lambda: ip.benchmark("kale", ["first"], folder=None), ("folder=None",), "path"
    yield lambda: ip.benchmark("kale", ["first"], folder=""), ("folder=''",), "folder"
    yield lambda: ip.benchmark("kale", ["first"], folder="log.csv"), ("log.csv",), "folder="
    yield lambda: ip.benchmark("kale", ["first"], progress="no"), ("progress='no'",), "True"
    for bad in (None, [1], pl.DataFrame({"user": [1]}), run):
        yield lambda bad=bad: ip.fit(bad), (), "path"
        yield lambda bad=bad: ip.log(bad), (), "path"
    yield lambda: ip.log(""), ("log=''",), "file"
    yield lambda: ip.fit(log, out=None), ("out=None",), "path"
    yield lambda: ip.fit(log, out="log.csv"), ("log.csv",), "out="
    yield lambda: ip.log("log.csv", user="user", user_column="item"), ("user", "user_column"), "leave"
    yield lambda: ip.log("log.csv", user="who").summary, ("who",), "guess_columns=True"
    yield lambda: ip.log("log.csv", clip_weights=3.0), ("clip_weights=3.0",), "targets='ips'"
    yield lambda: ip.recommend(None), ("run=None",), "path"
    for users in ([math.nan], [["u1"]], [None], "u1", np.array(["u1"])):
        yield lambda users=users: ip.recommend(run, users), (), "users=['ann', 'bob']"
    yield lambda: ip.recommend(run, k=0), ("k=0",), 1
    yield lambda: ip.ope.evaluate(None), ("log=None",), "file"
    yield lambda: ip.ope.evaluate(table, "most-clicked", target_column="t"), ("target='most-clicked'",), "leave"
    for options in ("hidden=3", [("hidden", 3)], None):
        yield lambda options=options: ip.train("kale", user_options=options), (), "user_options={'hidden': 32}"
    yield lambda: ip.train("kale", name="x" * 300, **SMALL), ("name", 300), "name="
    yield lambda: ip.train("kale", log_dir="log.csv", **SMALL), ("log_dir='log.csv'",), "log_dir="
    yield lambda: ip.train("log.csv"), ("'log.csv'",), "interplay.log"
    yield lambda: ip.train(Path("log.csv")), ("'log.csv'",), "interplay.log"
    yield lambda: ip.load(run.folder, device="gpu"), ("device='gpu'",), "cuda"
    yield lambda: ip.load(run.folder, allow_code="no"), ("allow_code='no'",), "True"
    yield lambda: ip.load(run.folder, best="yes"), ("best='yes'",), "True"
    for mechanisms in (None, "drift", 3):
        yield lambda mechanisms=mechanisms: ip.market("kale", mechanisms=mechanisms), (), "mechanisms=['drift']"
    yield lambda: ip.load(3), ("folder=3",), "path"
    yield lambda: run.evaluate(users=3), ("users=3",), "text"
    yield lambda: run.plot(3), ("path=3",), "path"
    yield lambda: run.watch(None), ("path=None",), "path"


def test_bad_calls_are_refused_in_python_words(run):
    before = sorted(Path().iterdir())
    for call, things, fix in calls(run):
        with refused(*things, fix=fix) as found:
            call()
        assert not re.search("--[a-z]", str(found.value)), found.value
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("most", [0, 6000])
def test_a_full_disk_is_an_error_of_the_library(most, run):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with refused("File too large", fix="space"):
            ip.train("kale", users="q-learning", items="rest", **SMALL)
        with refused("File too large", fix="space"):
            run.watch("film.gif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not Path("runs").exists()


def test_a_log_takes_lists_where_files_have_several_columns():
    table = {"item": [1, 2, 1, 2], "reward": [0.0, 1.0, 0.0, 1.0], "propensity": [0.5] * 4, "x": [1, 2, 3, 4]}
    given = [ip.ope.evaluate(table, context=context).frame for context in (["x"], ("x",))]
    assert given[0].equals(given[1])


def test_fit_prints_nothing(capsys):
    ip.fit("log.csv", out="fitted")
    assert capsys.readouterr().out == ""


def test_agents_with_many_options_have_folders_of_their_own():
    """Names of folders have 255 bytes at most."""
    long = "dqn,hidden=48,warm_up=500,learning_rate=" + "0" * 250 + ".1"
    agents = (long, long.replace(".1", ".2"), "dqn")
    names = [job.name for job in planned(BenchmarkSettings(presets=("kale",), agents=agents, seeds=2).checked())]
    assert len({*names}) == 6
    assert all(len(name) < 245 for name in names)
    assert names[-2:] == ["kale-dqn-s0", "kale-dqn-s1"]
