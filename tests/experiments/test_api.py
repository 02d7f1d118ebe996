"""The library: what a Python program does with ``import interplay``."""

import functools
import json
import multiprocessing
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch

import interplay as ip
from interplay.agents import agents
from interplay.agents.dqn import DQNAgent, DQNOptions
from interplay.envs.mechanisms import Mechanism
from interplay.envs.presets import find_preset
from interplay.experiments.api.names import agent_name, pairs
from interplay.experiments.cli.main import main
from interplay.experiments.common.checkout import git_hash
from interplay.experiments.common.command_lines import command_line
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.options import parse_pairs, split_agent
from interplay.experiments.common.pictures import Picture
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.resolved import RunConfig
from refusals import refused

SMALL = dict(items="rest", episodes=2, num_worlds=2, eval_worlds=4)
DQN = ip.agents.DQN(warm_up=16, batch_size=8, hidden=8)
KALE = ip.market("kale", horizon=10)


class Mine(DQNAgent):
    """An agent of one's own, which a module defines."""

    name = "mine"


@dataclass(frozen=True)
class Charm(Mechanism):
    """Shifts every response."""

    name = "charm"
    size: float = 1.0

    def shift(self, state, items):
        return torch.full(items.shape, self.size)


TWIN = replace(find_preset("kale"), name="twin")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ip.train(KALE, users=DQN, callbacks=[ip.Evaluate(every=1)], log_dir=tmp_path_factory.mktemp("runs"), **SMALL)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    rows = [f"u{user},i{item},{(user * item) % 5}" for user in range(6) for item in range(12) if (user + item) % 4]
    (folder / "log.csv").write_text("\n".join(["who,what,stars", *rows]) + "\n")
    log = ip.log(folder / "log.csv", user="who", item="what", reward="stars")
    return ip.train(log, users="dqn", user_options={"hidden": 8}, log_dir=folder, episodes=1, eval_worlds=1)


def python(code, folder):
    """What a Python process says."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_is_light(tmp_path):
    heavy = "{'torch', 'polars', 'scipy', 'sklearn', 'tyro', 'matplotlib'}"
    assert python(f"import sys, interplay; print({heavy} & set(sys.modules))", tmp_path) == "set()\n"


def test_every_name_is_there():
    assert all(getattr(ip, name) is not None for name in ip.__all__)
    assert set(ip.__all__) == {name for name in dir(ip) if not name.startswith("_")}
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = ip.trian


def test_options_are_found_under_the_names_of_their_agents():
    assert ip.agents.DQN is DQNOptions
    for kind in agents().values():
        if "Options" in vars(kind):
            name = kind.__name__.removesuffix("Agent")
            assert getattr(ip.agents, name) is kind.Options
            assert name in dir(ip.agents)
            with pytest.raises(TypeError):  # a number without a name would be the first option of all
                kind.Options(0.5)
    with pytest.raises(AttributeError):
        _ = ip.agents.Greedy  # which has none


@pytest.mark.parametrize(("given", "name"), [
    ("dqn,hidden=3", "dqn,hidden=3"), (DQNAgent, "dqn"), (DQNOptions, "dqn"), (DQNOptions(), "dqn"),
    (DQNOptions(hidden=32, double=False), "dqn,hidden=32,double=False"), (Mine, f"{__name__}:Mine"),
    (ip.agents.SharedCritic(encoder="transformer"), "shared-critic,encoder=transformer")])
def test_agents_are_given_as_objects_or_names(given, name):
    assert agent_name(given) == name


def test_values_survive_as_text():
    values = {"rate": 1e-3, "levels": (2.0, 4.0), "double": False, "encoder": "gru", "many": 3, "none": None}
    assert parse_pairs(pairs(values), "--x") == values
    name, options = split_agent(",".join(["dqn", *pairs(values)]))
    assert (name, parse_pairs(options, "--x")) == ("dqn", values)
    assert pairs({"satiation": {"gain": 2.0}}) == ("satiation.gain=2.0",)


def test_what_cannot_be_found_again_is_refused(tmp_path):
    class Local(Mine):
        name = "local"

    nameless = replace(TWIN, name="nameless")
    for given, named, fix in ((dict(users=Local), "local", "module"), (dict(market=nameless), "nameless", "module"),
                              (dict(users=3), "agent 3", "'dqn'"), (dict(market=3), "market 3", "Preset")):
        with refused(named, fix=fix):
            ip.train(**{"market": "kale", **given}, **SMALL, log_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("wrong", "named", "fix"), [
    (dict(episods=3), ["episods"], "episodes"), (dict(episodes="3"), ["episodes", "3"], ()),
    (dict(user_options={"hiden": 3}), ["hiden", "dqn"], "hidden"), (dict(seed=-1), ["seed", -1], 0),
    (dict(users="genius"), ["agent", "genius"], "module:name")])
def test_wrong_arguments_are_named(wrong, named, fix, tmp_path):
    with refused(*named, fix=fix):
        ip.train("kale", log_dir=tmp_path, **{**SMALL, "users": "dqn", **wrong})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [dict(mechanisms=[Charm(size=0.5)]), dict(mechanisms=[Charm], charm={"size": 0.5}),
                                   {"mechanisms": [f"{__name__}:Charm"], "charm.size": 0.5}])
def test_a_market_takes_mechanisms_and_trains_with_them(given, tmp_path):
    market = ip.market("town", num_users=3, num_items=5, horizon=4, satiation={"gain": 2.0}, **given)
    assert market.config.further == (Charm(size=0.5),)
    assert market.config.built_in.satiation.gain == 2.0
    run = ip.train(market, users="first", items="rest", num_worlds=1, episodes=1, eval_worlds=1, log_dir=tmp_path)
    assert run._training.task.market.config == market.config
    assert ip.load(run.folder, allow_code=True).score == run.score


def test_a_market_rejects_unknown_numbers():
    with refused("satiation_gian", fix="satiation"):
        ip.market("kale", satiation_gian=2.0)


def test_a_market_shows_its_name_and_size():
    assert repr(ip.market("town", num_users=5)) == "PresetMarket('town', users=5, items=32)"


def test_library_and_command_line_train_alike(run, tmp_path, capsys):
    given = ["--users", "dqn,batch_size=8,warm_up=16,hidden=8", "--items", "rest", "--episodes", "2",
             "--num-worlds", "2", "--eval-worlds", "4"]
    assert main(["train", "--preset", "kale", "--market", "horizon=10", *given, "--log-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    one, other = (read_sealed(path / "results.json") for path in (run.folder, folder))
    assert one["evaluation"] == other["evaluation"]
    assert str(run.score.score.user_return) in capsys.readouterr().out


def test_nothing_is_printed_and_threads_stay(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["elsewhere", "--preset", "cabbage"])
    before = torch.get_num_threads()
    found = ip.train(KALE, users="random", log_dir=str(tmp_path), threads=before + 1, **SMALL)
    found.resume(episodes=1)
    assert ip.load(str(found.folder)).score == found.score
    assert tuple(capfd.readouterr()) == ("", "")
    assert torch.get_num_threads() == before


def test_a_score_says_what_others_get(run):
    text = str(run.score)
    assert text == repr(run.score)
    levels = run.score.levels()
    assert list(levels) == ["optimum", "greedy", "random"]
    assert text.startswith(f"user return {run.score.user_return}; ")  # of four worlds, which are too few for one
    assert ", 95 % interval; optimum" in str(replace(run.score, score=run.evaluate(worlds=6)))
    assert f"optimum {levels['optimum']:.5g} (greedy {levels['greedy']:.5g}, random {levels['random']:.5g})" in text


def test_a_run_is_evaluated_with_others_in_its_place(run):
    own = run.evaluate(worlds=6)
    assert own.user_return.n == 6
    greedy = run.evaluate(worlds=4, users="greedy")
    assert greedy.user_return == next(b.user_return for b in run.score.baselines if b.users == "greedy")
    assert run.evaluate().user_return == run.score.user_return  # and again: nothing has changed by it
    for wrong, fix in ((dict(users="dqn"), ("greedy", "random")), (dict(items="conditional-logit"), "items"),
                       (dict(worlds=0), 1), (dict(users="genius"), "module:name")):
        ((name, value),) = wrong.items()
        with refused("agent" if value == "genius" else name, value, fix=fix):
            run.evaluate(**wrong)


def test_evaluations_do_not_depend_on_what_was_evaluated_before(tmp_path):
    run = ip.train("kale", users="random", items="rest", episodes=1, num_worlds=2, eval_worlds=3, log_dir=tmp_path)
    first = run.evaluate(5)
    assert run.score.user_return == ip.load(run.folder).score.user_return
    assert run.evaluate(5) == first == ip.load(run.folder).evaluate(5)


def test_a_curve_is_a_frame(run):
    assert isinstance(run.curve, pl.DataFrame)
    assert run.curve["env_steps"].to_list() == [20, 40]
    assert run.curve["held_out/user_return"].null_count() == 0
    assert run.curve["held_out/user_return"][-1] == pytest.approx(run.score.user_return.mean)


def test_lines_that_coincide_have_one_label(tmp_path):
    """Where nothing carries over, greedy users are optimal."""
    run = ip.train(ip.market("kale", horizon=5, mood=False, satiation=False), users="random", items="rest", episodes=1,
                   num_worlds=2, eval_worlds=2, log_dir=tmp_path)
    assert len(set(run.score.levels().values())) < len(run.score.levels())
    heights = [text.xy[1] for text in run.plot().axes[0].texts]
    assert len(heights) == len(set(heights)) == len(set(run.score.levels().values()))


def test_a_learning_curve_is_drawn_without_pyplot(run, tmp_path):
    figure = run.plot(tmp_path / "learning.png")
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(figure, Picture)
    assert figure._repr_png_().startswith(b"\x89PNG")
    (axis,) = figure.axes
    levels = [line.get_ydata()[0] for line in axis.get_lines() if line.get_linestyle() == "--"]
    assert levels == pytest.approx(list(run.score.levels().values()))
    held_out = next(line for line in axis.get_lines() if "held-out" in str(line.get_label()))
    assert list(held_out.get_ydata()) == pytest.approx(run.curve["held_out/user_return"].to_list())
    with refused(tmp_path / "nowhere" / "learning.png", fix="picture.png"):
        run.plot(tmp_path / "nowhere" / "learning.png")


def test_a_learning_curve_on_a_log_has_no_line_of_its_training_part(run, logged):
    """Levels and held-out returns are of another part of the log, so that the lines cannot be compared."""
    assert "training, exploring" in _labels(run.plot())
    assert _labels(logged.plot()) == {"held-out worlds, not exploring"}


def _labels(figure):
    return {text.get_text() for text in figure.axes[0].get_legend().get_texts()}


def test_a_loaded_run_goes_on(run, tmp_path):
    one = ip.train(KALE, users=DQN, log_dir=tmp_path, **SMALL)
    with pytest.warns(ip.experiments.common.notes.InterplayWarning, match="without the agents' replay"):
        other = ip.load(one.folder).resume(episodes=1)
    assert other.score != one.score or other.curve.height != one.curve.height
    assert other.curve["episode"].to_list() == [1, 2, 3]
    with pytest.warns(ip.experiments.common.notes.InterplayWarning):
        one.resume(episodes=1)
    assert one.curve["episode"].to_list() == [1, 2, 3, 4]  # the folder had gone on meanwhile


def test_the_best_checkpoint_is_loaded(tmp_path):
    best = ip.Evaluate(every=1, best=True)
    found = ip.train(KALE, users=DQN, log_dir=tmp_path, callbacks=[best], **{**SMALL, "episodes": 4})
    highest = max(found.curve["held_out/user_return"])
    assert ip.load(found.folder, best=True).evaluate(worlds=4).user_return.mean == pytest.approx(highest)


def test_a_preset_of_a_module_trains_and_code_is_loaded_on_request(tmp_path):
    found = ip.train(TWIN, users=Mine, log_dir=tmp_path, **{**SMALL, "episodes": 1})
    assert json.loads((found.folder / "config.json").read_text())["preset"] == f"{__name__}:TWIN"
    with refused(f"{__name__}:TWIN", fix="allow_code=True"):
        ip.load(found.folder)
    assert ip.load(found.folder, allow_code=True).score == found.score


def test_a_runs_folder_has_every_number_and_the_versions(run, monkeypatch):
    found = read_sealed(run.folder / "config.json")["resolved"]
    assert found["training"]["discount"] == find_preset("kale").training.discount
    assert found["market"]["satiation"]["gain"] == find_preset("kale").config.built_in.satiation.gain
    assert (found["options"]["users"]["hidden"], found["options"]["users"]["target_rate"]) == (8, 0.01)
    assert found["versions"]["torch"] == torch.__version__
    assert found["git_hash"] == git_hash()
    assert run.config.values() == ip.load(run.folder).config.values() == found
    assert (run.config.market.horizon, run.config.agents["users"].hidden) == (10, 8)
    monkeypatch.setattr(RunConfig, "values", lambda config: {**found, "versions": {"torch": "9.9"}, "git_hash": "0",
                                                             "training": {**found["training"], "discount": 0.5}})
    with pytest.warns(InterplayWarning, match=r"training.discount was 0.97, is 0.5; versions.torch was .* is '9.9'$"):
        ip.load(run.folder)


def test_a_runs_command_is_what_a_shell_takes(run):
    assert run.command.startswith("interplay train --preset kale --users dqn --items rest --platform plackett-luce ")
    assert "--market horizon=10 --user-option " in run.command
    for option in ("hidden=8", "learning_rate=0.001"):  # of which kale recommends another
        assert f"--user-option {option} " in run.command


def test_a_log_is_trained_on_and_recommended_from(logged):
    lists = logged.recommend(users=["u1", "u3"], k=3)
    assert lists.columns == ["user", "rank", "item", "score", "title", "source"]
    assert lists["user"].to_list() == ["u1"] * 3 + ["u3"] * 3
    assert set(lists["source"]) == {"agent"}
    assert ip.recommend(logged.folder, users=["u1", "u3"], k=3).equals(lists)
    assert ip.recommend(logged, k=1).height == 6


def test_a_log_says_what_was_read(logged, tmp_path):
    log = ip.log(str(logged._training.settings.log), user="who", item="what", reward="stars", held_out=0.5)
    assert "54 read" in log.summary
    with refused("hold_out", fix="held_out"):
        ip.log("x.csv", hold_out=0.1)
    with refused("split", "first"):
        ip.log("x.csv", split="first")


def test_lists_need_a_log(run):
    with refused(run.folder, "kale", fix="train --log"):
        run.recommend()


def test_random_actions_are_allowed_and_the_same_again():
    market = ip.market("town", num_users=5, num_items=8)
    state = market.reset(range(3))
    first, again = market.random_actions(state), market.random_actions(state)
    for side, action, same in zip(("users", "items"), first, again, strict=True):
        assert market.observe(state, side).mask.gather(2, action.unsqueeze(2)).all()
        assert torch.equal(action, same)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_training_works_in_other_processes(method, tmp_path):
    work = functools.partial(ip.train, "contest", users="first", items="linucb", log_dir=tmp_path, name="run",
                             episodes=1, num_worlds=1, eval_worlds=1)
    process = multiprocessing.get_context(method).Process(target=work)
    process.start()
    process.join(300)
    assert process.exitcode == 0
    assert (tmp_path / "run" / "results.json").is_file()


SCRIPT = """
import interplay as ip

print("begins", flush=True)
table = ip.benchmark(["contest"], agents=["linucb"], seeds=1, scale=0.005, workers=1, folder="out")
print(table, table.problems)
"""


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (lines[0], len(lines), done.stderr) == ("begins", 2, "")
    assert lines[1].endswith("{}")


def test_a_benchmark_is_a_table(tmp_path, capfd):
    market = ip.market("contest", horizon=10)
    table = ip.benchmark([market], agents=[ip.agents.LinUCB(), "linucb,alpha=0.5"], seeds=1, scale=0.005,
                         eval_every=1, workers=1, folder=tmp_path / "out")
    assert tuple(capfd.readouterr()) == ("", "")
    assert table.problems == {}
    learners = table.frame.filter(pl.col("kind") == "learner")
    assert learners["agent"].unique().sort().to_list() == ["linucb", "linucb,alpha=0.5"]
    assert learners.height == 2
    assert table.markdown() == (tmp_path / "out" / "report.md").read_text()
    assert "Made by `interplay benchmark --presets contest --agents linucb linucb,alpha=0.5" in table.markdown()
    scores = table.plot(tmp_path / "scores.png")
    curves = table.plot(tmp_path / "curves.png", learning=True)
    assert (len(scores.axes), len(curves.axes)) == (1, 1)
    assert curves.axes[0].get_ylabel() == "mean boost, held-out worlds"
    assert (tmp_path / "scores.png").is_file()
    assert "Table(" in repr(table)


def test_benchmarks_of_markets_that_differ_are_refused(logged, tmp_path):
    log = ip.log(logged._training.settings.log, user="who", item="what", reward="stars")
    for markets, named in (([ip.market("kale", horizon=3), "contest"], "markets"), (["kale", log], "one log"),
                           ("cabbage", "cabbage"), ([], "markets")):
        with refused(named):
            ip.benchmark(markets, agents=["linucb"], folder=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_benchmark_of_what_a_notebook_defines_says_where_to_put_it(tmp_path):
    code = ("import interplay as ip\nfrom interplay.agents.dqn import DQNAgent\n"
            "class Mine(DQNAgent):\n    name = 'mine'\n"
            "try:\n    ip.benchmark('kale', agents=[Mine])\nexcept ip.InterplayError as error:\n    print(error)\n")
    assert "'__main__:Mine' is defined in a notebook" in python(code, tmp_path)


def test_a_command_line_gives_its_settings_again():
    import tyro

    settings = TrainSettings(preset="kale", users="dqn", seed=3, market=("horizon=3", "num_users=2"), discount=0.5)
    words = command_line("train", settings).split()
    assert words[:2] == ["interplay", "train"]
    assert tyro.cli(TrainSettings, args=words[2:], config=(tyro.conf.OmitArgPrefixes,)) == settings


def test_the_door_to_pettingzoo():
    for env in (ip.pettingzoo("town", num_users=2, num_items=4, horizon=3), ip.pettingzoo(KALE)):
        seen, _ = env.reset(seed=0)
        assert set(seen) == set(env.possible_agents)
        assert all(np.isfinite(row).all() for row in seen.values())


def test_options_as_an_object_say_every_option():
    viability, kale = find_preset("viability").training, find_preset("kale").training
    own = ip.agents.SharedCritic(mixing="none", hidden=16)
    assert agent_name(own, [kale]) == "shared-critic,hidden=16"
    assert "mixing=none" in agent_name(own, [viability]).split(",")
    assert "mixing=none" in agent_name(own, [kale, viability]).split(",")


def test_numbers_of_numpy_are_numbers(tmp_path):
    market = ip.market("kale", satiation={"gain": np.float64(2.0)}, horizon=np.int64(5))
    agent = ip.agents.DQN(learning_rate=np.float64(0.002), hidden=8)
    run = ip.train(market, users=agent, seed=np.int64(1), log_dir=tmp_path, **SMALL)
    assert run._training.players["users"].options.learning_rate == 0.002


class Figures(ip.Callback):
    def episode_ended(self, run, figures):
        figures["held_out/mine"] = np.mean([1.0, 2.0])


def test_figures_of_a_callback_survive(tmp_path):
    run = ip.train(KALE, users="random", callbacks=[Figures()], log_dir=tmp_path, **SMALL)
    assert ip.load(run.folder).curve["held_out/mine"].to_list() == [1.5, 1.5]


@pytest.mark.parametrize(("call", "named", "fix"), [
    (lambda run: run.resume(1.5), ["episodes", 1.5], "integer"),
    (lambda run: run.resume(-1), ["episodes", -1], 0),
    (lambda run: run.resume(callbacks=[ip.Evaluate]), ["callbacks"], "list"),
    (lambda run: run.resume(callbacks=ip.Evaluate()), ["callbacks"], "list"),
    (lambda run: run.recommend(users="ann"), ["users", "ann"], "list"),
    (lambda run: run.recommend(users=5), ["users", 5], "list"), (lambda run: run.recommend(k=0), ["k", 0], 1),
    (lambda run: run.recommend(k=1.5), ["k", 1.5], "integer"), (lambda run: ip.load(5), ["folder", 5], "path"),
    (lambda run: ip.benchmark("kale", agents="dqn"), ["agents", "dqn"], "list"),
    (lambda run: ip.train(KALE, threads=0), ["threads", 0], 1), (lambda run: ip.train(KALE, name=5), ["name", 5], ())])
def test_wrong_arguments_of_a_run_are_named(run, call, named, fix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused(*named, fix=fix):
        call(run)
    assert not list(tmp_path.iterdir())


def test_the_best_checkpoint_is_not_trained_on(tmp_path):
    run = ip.train(KALE, users=DQN, callbacks=[ip.Evaluate(every=1, best=True)], log_dir=tmp_path, **SMALL)
    with refused(run.folder, fix="best=True"):
        ip.load(run.folder, best=True).resume(1)
