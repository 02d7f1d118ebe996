"""Runs in markets with mechanisms from outside the package: they train, resume bit for bit, and need permission."""

import json
import sys
from pathlib import Path

import pytest
import torch

from interplay.envs.mechanisms import Mechanism
from interplay.envs.presets import find_preset
from interplay.experiments.cli.main import main
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.exact.oracles import greedy_is_optimal, solve
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import episode_figures
from refusals import assert_said, refused

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = ("num_users=8", "num_items=6", "horizon=8")
LEARNERS = {"users": "dqn,warm_up=16,batch_size=8", "items": "q-learning,fit_steps=4"}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The examples, as in the folder where a command is typed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def settings(*mechanisms, **changes):
    return TrainSettings(**{"preset": "town", "mechanism": mechanisms, "market": SMALL, "episodes": 6, "num_worlds": 2,
                            "eval_worlds": 2, "device": "cpu", **LEARNERS, **changes})


def steps(run, count):
    for _ in range(count):
        run.step()
        if run.episode_ended:
            run.next_episode()
    return [*run.now.state.tensors(), *run.stats.tensors()], run.players.state_dict()


def flat(values):
    if isinstance(values, dict):
        return [leaf for value in values.values() for leaf in flat(value)]
    return [leaf for value in values for leaf in flat(value)] if isinstance(values, list | tuple) else [values]


def same(one, other):
    pairs = list(zip(flat(one), flat(other), strict=True))
    return all(bool((a == b).all()) if hasattr(a, "shape") else a == b for a, b in pairs)


@pytest.mark.parametrize("mechanisms", [("price:Price",), ("students:Knowledge",),
                                        ("price:Price", "students:Knowledge")])
def test_both_sides_learn_and_a_run_resumes_bit_for_bit(mechanisms, tmp_path):
    run = Run.start(settings(*mechanisms), tmp_path)
    steps(run, 19)  # dqn learns in every fourth step
    assert {"users/loss", "items/loss"} <= run.step().keys()
    run.write_config()
    run.save()
    resumed = Run.load(tmp_path, allow_code=True)
    assert resumed.task.market.config.mechanisms == run.task.market.config.mechanisms
    assert same(steps(run, 15), steps(resumed, 15))


def test_items_that_may_set_prices_try_them(tmp_path):
    run = Run.start(settings("price:Price"), tmp_path)
    steps(run, 7)
    assert len(run.now.state["price"].unique()) == 3


class Endless(Mechanism):
    """Rewards that no sum holds."""

    def user_reward(self, before, after, outcome):
        return torch.full_like(outcome.response, torch.inf)


class Blank(Mechanism):
    """Agents see a number that is none."""

    def user_columns(self, sizes):
        return ["luck"]

    def see_users(self, state):
        return torch.full_like(state["mood"], torch.nan).unsqueeze(2)


@pytest.mark.parametrize(("kind", "named"), [(Endless, ["returns/users", "inf"]), (Blank, ["users", "luck"])])
def test_an_episode_names_mechanisms_that_give_what_is_not_finite(kind, named, tmp_path):
    run = Run.start(settings(f"{__name__}:{kind.__name__}", items="rest", users="random"), tmp_path)
    for _ in range(run.task.market.config.horizon):
        run.step()
    with refused(*named, fix=(kind.name, "interplay check")):
        episode_figures(run)


def test_clusters_of_features_that_are_not_finite_are_refused(tmp_path):
    run = Run.start(settings(f"{__name__}:Blank", items="rest", users="q-learning,fit_steps=2"), tmp_path)
    with refused("features", "not finite", fix="interplay check"):
        steps(run, 2)


def test_a_runs_folder_may_not_import_a_mechanism_without_permission(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(settings("a_stranger:X").to_json())
    (tmp_path / "a_stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(["train", "--resume", str(folder)]) == 2
    finally:
        sys.path.remove(str(tmp_path))
    assert_said(capsys.readouterr().err, "mechanism", "a_stranger:X", fix="--allow-code")
    assert not (tmp_path / "ran").exists()


def test_the_command_line_adds_mechanisms_and_sets_their_parameters(tmp_path):
    numbers = (*SMALL, "price.sensitivity=0.5", "satiation.gain=0.7")
    words = [word for number in numbers for word in ("--market", number)]
    assert main(["train", "--preset", "town", "--mechanism", "price:Price", *words, "--episodes", "1", "--num-worlds",
                 "2", "--eval-worlds", "2", "--log-dir", str(tmp_path), "--name", "run"]) == 0
    run = Run.load(tmp_path / "run", allow_code=True)
    assert run.task.market.config.further[0].sensitivity == 0.5
    assert run.task.market.config.built_in.satiation.gain == 0.7
    assert "price:Price" in run.settings.code[0]
    assert json.loads((tmp_path / "run" / "results.json").read_text())["evaluation"]["items"] == "q-learning"


def test_an_unknown_parameter_is_one_line(capsys):
    assert main(["train", "--preset", "town", "--mechanism", "price:Price", "--market", "price.sensitivty=1"]) == 2
    assert_said(capsys.readouterr().err, "price()", "sensitivty", fix="sensitivity")


@pytest.mark.parametrize("preset", ["kale", "viability", "contest"])
def test_nothing_is_exact_where_a_mechanism_is_added(preset):
    from students import Knowledge  # importable in tests alone

    plain, added = find_preset(preset).market(), find_preset(preset).market(mechanisms=(Knowledge(),))
    assert solve(plain) is not None
    assert solve(added) is None
    assert not greedy_is_optimal(added)


def test_greedy_is_optimal_where_mechanisms_say_that_nothing_carries_over():
    from interplay.envs.mechanisms import Mechanism

    class Nothing(Mechanism):
        carries_over = False

    class Carries(Mechanism):
        pass

    still = find_preset("contest")
    assert greedy_is_optimal(still.market(mechanisms=(Nothing(),)))
    assert not greedy_is_optimal(still.market(mechanisms=(Carries(),)))


def test_a_log_takes_mechanisms_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user,item,reward\n" + "".join(
        f"u{u},i{i},{(u * i) % 2}\n" for u in range(8) for i in range(12)))
    words = ["--log", "log.csv", "--users", "dqn", "--items", "rest", "--episodes", "1", "--eval-worlds", "1",
             "--market", "horizon=6", "--mechanism", "students:Knowledge"]
    assert main(["train", *words]) == 0


def test_targets_of_a_log_do_not_meet_other_rewards(tmp_path):
    (tmp_path / "log.csv").write_text("user,item,reward\nann,jazz,1\nbob,opera,0\nann,opera,0\nbob,jazz,1\n")
    with refused("logged", "mechanism", fix="targets='actual'"):
        Run.start(settings("students:Knowledge", log=tmp_path / "log.csv", market=(), preset="town", missing="impute",
                           targets="replay"), tmp_path)
