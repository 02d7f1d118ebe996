"""Runs with several seeds, trained as one: the same as each alone, up to rounding."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import interplay as ip
from interplay.agents.parts.seeds import Seeds
from interplay.experiments.cli.main import main
from interplay.experiments.common import stopping
from interplay.experiments.common.finite import DivergedError
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Stopped
from interplay.experiments.evaluate import finishing
from interplay.experiments.evaluate.during import Evaluate
from interplay.experiments.evaluate.finishing import train_and_evaluate, train_and_evaluate_all
from interplay.experiments.loop import together
from interplay.experiments.loop.run import BEST, CHECKPOINT, RESULTS, Run
from interplay.experiments.loop.together import Together, groups
from interplay.experiments.loop.tracking import episode_figures
from refusals import assert_said, refused

TOLERANCE = 1e-4
"""Relative, of every figure of a run. A longer one differs by more once rounding has changed what somebody does."""

MARKETS = {
    "kale": dict(preset="kale", items="rest", episodes=4, num_worlds=8, eval_worlds=8, eval_every=2,
                 market=("horizon=20",)),
    "town": dict(preset="town", items="q-learning", episodes=3, num_worlds=2, eval_worlds=2, eval_every=2,
                 market=("num_users=5", "num_items=6", "horizon=12"), item_option=("fit_steps=5", "num_clusters=4"))}
AGENTS = {"dqn": ("warm_up=60", "batch_size=16"), "pqn": ("rollout_length=5",)}


def settings(folder, market="kale", agent="dqn", **changes):
    base = {"users": agent, "user_option": AGENTS[agent], "log_dir": folder, **MARKETS[market]}
    return TrainSettings(**(base | changes))


def train_all(settings, *callbacks):
    several = settings.of_seeds()
    return train_and_evaluate_all(several, [callbacks] * len(several))


@pytest.fixture(autouse=True)
def few_are_stacked(monkeypatch):
    """Two runs are enough, also on a CPU; and none needs its pictures."""
    monkeypatch.setattr(together, "FEWEST_ON_CPU", 2)
    monkeypatch.setattr(finishing, "log_final", lambda *given: None)


@pytest.fixture
def stacks(monkeypatch):
    """How many players were stacked each time."""
    counts, make = [], Seeds.__init__

    def counting(self, players):
        counts.append(len(players))
        make(self, players)

    monkeypatch.setattr(Seeds, "__init__", counting)
    return counts


def assert_alike(one, other):
    """Two runs without what time they took."""
    assert replace(one.settings, log_dir=Path(), name="") == replace(other.settings, log_dir=Path(), name="")
    assert [set(row) for row in one.curve] == [set(row) for row in other.curve]
    for row, wanted in zip(one.curve, other.curve, strict=True):
        for name in row.keys() - {"wall_seconds"}:
            assert row[name] == pytest.approx(wanted[name], rel=TOLERANCE, abs=TOLERANCE), name
    found, wanted = (json.loads((run.folder / RESULTS).read_text()) for run in (one, other))
    assert found["evaluation"].keys() == wanted["evaluation"].keys()
    assert found["env_steps"] == wanted["env_steps"]
    assert found["evaluation"]["user_return"]["mean"] == pytest.approx(wanted["evaluation"]["user_return"]["mean"],
                                                                       rel=TOLERANCE)


@pytest.mark.parametrize(("market", "agent"), [("kale", "dqn"), *(
    pytest.param(*case, marks=pytest.mark.slow) for case in (("kale", "pqn"), ("town", "dqn"), ("town", "pqn")))])
def test_each_seed_is_what_it_is_alone(tmp_path, stacks, market, agent):
    runs = train_all(settings(tmp_path / "together", market, agent, seed=4, seeds=3))
    assert stacks == [3, 3]
    for number, (run, _) in enumerate(runs):
        alone, _ = train_and_evaluate(settings(tmp_path / "alone", market, agent, seed=4 + number))
        assert run.settings.seed == alone.settings.seed == 4 + number
        assert_alike(run, alone)
        loaded = Run.load(run.folder)
        assert loaded.finished
        assert loaded.curve == run.curve
        assert (run.folder / "curve.csv").read_text().count("\n") == 1 + MARKETS[market]["episodes"]


class StopAt(Callback):
    """Presses Ctrl-C after so many steps of the first run."""

    def __init__(self, steps):
        self.steps = steps

    def stepped(self, run):
        self.steps -= run.settings.seed == 0
        if self.steps == 0:
            self.steps = -1
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("agent", [pytest.param("dqn", marks=pytest.mark.slow), "pqn"])
def test_stopped_seeds_go_on_together_and_alone(tmp_path, agent, stacks):
    wanted = train_all(settings(tmp_path / "whole", "town", agent, seeds=2))
    with pytest.raises(Stopped, match=r"--resume .*-s0, and the same for run-s1"):
        train_all(settings(tmp_path, "town", agent, seeds=2, name="run"), StopAt(17))
    folders = [tmp_path / "run-s0", tmp_path / "run-s1"]
    assert [(run.episode, run.time) for run in map(Run.load, folders)] == [(1, 5), (1, 5)]
    alone = tmp_path / "alone-s1"
    alone.mkdir()
    for path in folders[1].glob("*"):
        (alone / path.name).write_bytes(path.read_bytes()) if path.is_file() else None
    del stacks[:]
    resumed = [TrainSettings(resume=folder) for folder in folders]
    for (run, _), (whole, _) in zip(train_and_evaluate_all(resumed, [[], []]), wanted, strict=True):
        assert_alike(run, whole)
    assert stacks == [2, 2]
    assert_alike(train_and_evaluate(TrainSettings(resume=alone))[0], wanted[1][0])


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_is_not_learnt_at_each_step_has_a_point_in_each_episode_also_after_a_resume(tmp_path, seeds):
    """The last update of an episode comes two steps before its end; the items learn until then."""
    rare = dict(user_option=(*AGENTS["dqn"], "update_every=5"), eval_every=0, seeds=seeds)
    wanted = [run for run, _ in train_all(settings(tmp_path / "whole", "town", **rare))]
    assert all("users/loss" in row and "items/loss" in row for run in wanted for row in run.curve)
    with pytest.raises(Stopped):
        train_all(settings(tmp_path, "town", name="run", **rare), StopAt(23))
    folders = [tmp_path / "run"] if seeds == 1 else [tmp_path / "run-s0", tmp_path / "run-s1"]
    resumed = train_and_evaluate_all([TrainSettings(resume=folder) for folder in folders], [[]] * seeds)
    for (run, _), whole in zip(resumed, wanted, strict=True):
        assert_alike(run, whole)


@pytest.mark.slow
def test_seeds_that_end_early_keep_what_they_are(tmp_path):
    def early(run):
        return Evaluate(every=1, best=True, patience=1 if run.seed == 0 else None)

    several = settings(tmp_path, "kale", "pqn", seeds=2, eval_every=0, episodes=6).of_seeds()
    (first, _), (second, _) = train_and_evaluate_all(several, [[early(run)] for run in several])
    alone, _ = train_and_evaluate(replace(several[0], log_dir=tmp_path / "alone"), [early(several[0])])
    assert first.episode == first.episodes == alone.episode < 6
    assert second.episode == 6
    assert_alike(first, alone)
    sizes = [(run.folder / BEST).stat().st_size for run in (first, alone)]
    assert sizes[0] < 1.2 * sizes[1]


def test_checkpoints_hold_one_seed_alone(tmp_path):
    (run, _), _, _ = train_all(settings(tmp_path / "together", seeds=3))
    alone, _ = train_and_evaluate(settings(tmp_path / "alone"))
    sizes = [(each.folder / CHECKPOINT).stat().st_size for each in (run, alone)]
    assert sizes[0] < 1.1 * sizes[1]


def test_agents_that_cannot_be_stacked_train_one_after_another(tmp_path, stacks):
    changes = dict(preset="kale-partial", episodes=1, num_worlds=2, eval_every=0, user_option=("rollout_length=10",))
    runs = train_all(settings(tmp_path, seeds=2, **(changes | dict(users="ippo"))))
    assert stacks == []
    assert [run.settings.seed for run, _ in runs] == [0, 1]
    assert all((run.folder / RESULTS).is_file() for run, _ in runs)


def test_few_seeds_train_one_after_another_on_a_cpu(tmp_path, monkeypatch):
    runs = [Run.start(each, tmp_path) for each in settings(tmp_path, seeds=2).of_seeds()]
    assert len(groups(runs)) == 1
    monkeypatch.setattr(together, "FEWEST_ON_CPU", 3)
    assert len(groups(runs)) == 2


def test_runs_at_different_steps_are_not_played_as_one(tmp_path):
    runs = [Run.start(each, tmp_path) for each in settings(tmp_path, seeds=2).of_seeds()]
    assert len(groups(runs)) == 1
    runs[1].step()
    assert len(groups(runs)) == 2


@pytest.mark.slow
def test_recorded_iterations_of_several_seeds_are_those_without(tmp_path):
    runs = {capture: [Run.start(each, tmp_path) for each in settings(tmp_path, seeds=2, capture=capture).of_seeds()]
            for capture in ("off", "on")}
    for group in (Together(runs["off"]), Together(runs["on"])):
        for _ in range(110):
            group.step()
            if group.episode_ended:
                group.next_episode()
        for run in group.runs:
            run.refresh()
        captured = group._whole.captured
        assert captured is None or (not captured.note and captured.num_graphs > 2)
    for one, other in zip(runs["off"], runs["on"], strict=True):
        for table, wanted in zip(one.now.state.tensors(), other.now.state.tensors(), strict=True):
            assert table.equal(wanted)


def test_the_library_trains_several_seeds_and_calls_back_for_each(tmp_path):
    seen = []

    class Note(Callback):
        def finished(self, run):
            seen.append(run.settings.seed)

    runs = ip.train_seeds("kale", 2, users="pqn", items="rest", episodes=1, num_worlds=2, eval_worlds=4, seed=5,
                          log_dir=tmp_path, callbacks=[Note()])
    assert seen == [5, 6]
    assert [len(run.curve) for run in runs] == [1, 1]
    assert ip.load(runs[1].folder).score.score == runs[1].score.score
    with refused("seeds", 0, fix=1):
        ip.train_seeds("kale", 0)


@pytest.mark.slow
def test_the_command_line_trains_several_seeds(tmp_path, capsys):
    line = ["train", "--preset", "kale", "--users", "pqn", "--items", "rest", "--episodes", "1", "--num-worlds", "2",
            "--eval-worlds", "4", "--log-dir", str(tmp_path), "--name", "few", "--seed", "3", "--seeds", "2"]
    assert main(line) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few-s3", "few-s4"]
    printed = capsys.readouterr().out
    assert printed.count("normalised score") == 2
    assert main(["train", "--resume", str(tmp_path / "few-s3"), "--seeds", "2"]) != 0
    assert_said(capsys.readouterr().err, "--resume", "seeds=1", 2)


class Spoil(Callback):
    """Makes what one seed has learnt infinite after its first episode, as a diverging learner does."""

    def __init__(self, seed=5):
        self.seed = seed

    def begin(self, run):
        self.save, self.own = run.save, run.settings.seed == self.seed

    def episode_ended(self, run, figures):
        if self.own and run.episode == 1:
            run.save = self._diverging

    def _diverging(self, *names):
        raise DivergedError("training diverged: weights are infinite")


@pytest.mark.parametrize("fewest", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_seed_that_diverges_is_named_and_ends_no_other(tmp_path, monkeypatch, fewest):
    monkeypatch.setattr(together, "FEWEST_ON_CPU", fewest)
    monkeypatch.setattr(stopping, "FIRST", 0.0)
    monkeypatch.setattr(stopping, "EVERY", 0.0)
    several = settings(tmp_path / "together", seed=4, seeds=3, name="run").of_seeds()
    with refused("1 of 3", "(5)", kind=DivergedError):
        train_and_evaluate_all(several, [[Spoil()] for _ in several])
    assert [(tmp_path / "together" / f"run-s{seed}" / RESULTS).exists() for seed in (4, 5, 6)] == [True, False, True]
    alone, _ = train_and_evaluate(settings(tmp_path / "alone", seed=6))
    assert_alike(Run.load(tmp_path / "together" / "run-s6"), alone)


@pytest.mark.parametrize("place", ["figures", "weights"])
def test_a_seed_that_ended_early_is_evaluated_though_the_last_other_diverges(place, tmp_path, monkeypatch):
    class EndFirst(Callback):
        def episode_ended(self, run, figures):
            if run.settings.seed == 0:
                run.episodes = 1

    def spoilt(run):
        if place == "figures" and (run.settings.seed, run.episode) == (1, 1):
            raise DivergedError("training diverged: loss is nan")
        return episode_figures(run)

    monkeypatch.setattr(together, "episode_figures", spoilt)
    several = settings(tmp_path, seed=0, seeds=2, name="run").of_seeds()
    spoil = Spoil(seed=1 if place == "weights" else None)
    with refused("1 of 2", "(1)", kind=DivergedError):
        train_and_evaluate_all(several, [[EndFirst()], [spoil]])
    assert [(tmp_path / f"run-s{seed}" / RESULTS).exists() for seed in (0, 1)] == [True, False]
    assert Run.load(tmp_path / "run-s0").episode == 1
