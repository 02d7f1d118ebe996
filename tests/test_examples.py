"""The examples run as they stand, but for sizes and what they would write into the current folder."""

import functools
import re
import runpy
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import interplay as ip

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder outside the package, in which the examples are importable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return tmp_path


def smaller(function, **sizes):
    """The function with these arguments in place of those that it is given."""
    return functools.wraps(function)(lambda *args, **named: function(*args, **{**named, **sizes}))


def run_smaller(name, **sizes):
    """Run an example whose line of constants is followed by these; gives what it defines."""
    others = "".join(f"\n{constant} = {value}" for constant, value in sizes.items())
    code, found = re.subn(r"^[A-Z_, ]+ = .*$", lambda line: line[0] + others, (EXAMPLES / name).read_text(), count=1,
                          flags=re.MULTILINE)
    assert found
    names = {"__name__": "example"}
    exec(compile(code, name, "exec"), names)
    return names


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG")


def code_lines(name):
    lines = (EXAMPLES / name).read_text().split('"""')[2].splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_the_tour(outside, monkeypatch, capsys):
    rows = [f"{user},film {k},{(len(user) * k) % 5 + 1}" for user in ("ann", "bob", "eve", "joe") for k in range(9)
            if (len(user) + k) % 3]
    (outside / "ratings.csv").write_text("\n".join(["who,what,stars", *rows]) + "\n")
    sizes = dict(episodes=2, num_worlds=2, eval_worlds=4)
    monkeypatch.setattr(ip, "train", smaller(ip.train, **sizes))
    monkeypatch.setattr(ip.Run, "resume", smaller(ip.Run.resume, episodes=1))
    monkeypatch.setattr(ip.Run, "evaluate", smaller(ip.Run.evaluate, worlds=8))
    benchmark = smaller(ip.benchmark, seeds=1, scale=0.01)
    monkeypatch.setattr(ip, "benchmark", lambda markets, **named: benchmark(markets[:1], **named))
    found = runpy.run_path(str(EXAMPLES / "tour.py"), run_name="__main__")
    shown = capsys.readouterr().out
    for word in ("optimum 39.221 (greedy 11.99, random 13.687)", "env_steps", "users greedy", "## kale", "slot-means",
                 "film "):
        assert word in shown
    for picture in ("learning.png", "benchmark.png"):
        assert (outside / picture).read_bytes().startswith(b"\x89PNG")
    assert (outside / "benchmark.csv").read_text().startswith("market,agent,kind,seed")
    assert not found["table"].problems
    assert found["market"].config.built_in.satiation.gain == 2.0
    assert len(code_lines("tour.py")) <= 20


def test_three_doors(outside, monkeypatch, capsys):
    small = dict(num_users=4, num_items=6, horizon=5)
    monkeypatch.setattr(ip, "market", smaller(ip.market, **small))
    monkeypatch.setattr(ip, "pettingzoo", smaller(ip.pettingzoo, **small))
    monkeypatch.setattr(gymnasium, "make", smaller(gymnasium.make, **small))
    found = runpy.run_path(str(EXAMPLES / "raw.py"), run_name="__main__")
    assert found["step"].chosen.shape == (1024, 4)
    assert np.isfinite(found["reward"])
    assert "torch.Size([1024, 4])" in capsys.readouterr().out


def test_stable_baselines_on_all_worlds_at_once(outside, monkeypatch, capsys):
    sb3 = pytest.importorskip("stable_baselines3")
    monkeypatch.setattr(sb3.PPO, "learn", smaller(sb3.PPO.learn, total_timesteps=3200))
    found = runpy.run_path(str(EXAMPLES / "stable_baselines.py"), run_name="__main__")
    assert "mean return" in capsys.readouterr().out
    lines = [line.strip() for line in (EXAMPLES / "stable_baselines.py").read_text().splitlines()]
    assert sum(line != "" and not line.startswith('"""') for line in lines) <= 30
    worlds = found["worlds"]
    worlds.seed(3)
    worlds.reset()
    one = gymnasium.make("interplay/Recommend-v0", preset="kale")
    one.reset(seed=3)
    for _ in range(50):
        last, *_ = one.step(1)
        _, _, done, infos = worlds.step(np.ones(64, np.int64))
    assert done.all()
    assert infos[0]["TimeLimit.truncated"]
    assert (infos[0]["terminal_observation"] == last).all()
    assert np.stack(worlds.env_method("action_masks")).shape == (64, 5)


def test_a_market_of_ones_own(outside):
    import my_market

    assert len(code_lines("my_market.py")) <= 11
    run = ip.train(my_market.DINER, users="q-learning", items="rest", episodes=40, eval_worlds=256)
    levels = run.score.levels()
    assert levels["optimum"] > levels["greedy"] + 1.0  # planning pays
    assert run.score.user_return.mean > levels["greedy"]
    assert ip.load(run.folder, allow_code=True).score == run.score


def test_a_loop_over_pettingzoo(outside, capsys):
    found = run_smaller("pettingzoo_loop.py", EPISODES=3, WORLDS=2)
    assert len(found["curve"]) == 3
    assert any(values.any() for values in found["tables"]["user_0"].values())
    assert "optimum 39.22" in capsys.readouterr().out
    assert is_picture(outside / "pettingzoo_loop.png")


def test_a_policy_from_a_log_and_its_estimated_value(outside):
    found = run_smaller("off_policy.py", ROUNDS=4000)
    low, high = {each.name: each.estimate for each in found["found"]}["DR"].ci95
    assert found["logged"] + 0.05 < low < found["truth"] < high
    assert is_picture(outside / "off_policy.png")


def test_a_log_of_ones_own(outside, monkeypatch, capsys):
    monkeypatch.setattr(ip, "train", smaller(ip.train, episodes=2, num_worlds=2, eval_worlds=2))
    found = run_smaller("own_log.py", ITEMS=12, RATINGS=200)
    assert "200 read" in found["log"].summary
    assert "film " in capsys.readouterr().out
    assert is_picture(outside / "own_log.png")


def test_dqn_of_torchrl(outside, capsys):
    pytest.importorskip("torchrl")
    found = run_smaller("torchrl_dqn.py", EPISODES=3, UPDATES=2, BATCH=16)
    assert len(found["memory"]) == 150
    assert "mean return" in capsys.readouterr().out
    assert is_picture(outside / "torchrl_dqn.png")


def test_every_example_is_run():
    """By a test above, or, for the mechanisms, by those of mechanisms."""
    here = Path(__file__).read_text(encoding="utf-8") + Path(__file__).with_name("test_contributing.py").read_text()
    others = "".join(path.read_text() for path in (Path(__file__).parent / "envs").glob("test_mech*.py"))
    assert not [path.stem for path in EXAMPLES.glob("*.py") if path.stem not in here + others]
