"""What watches a training: evaluation without exploration, the best checkpoint, early stopping, more episodes."""

import csv
import os
import signal

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interplay.agents import agents
from interplay.experiments.cli.main import main
from interplay.experiments.common.looping import Callback
from interplay.experiments.common.notes import InterplayWarning
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.common.stopping import Stopped
from interplay.experiments.evaluate.during import Evaluate
from interplay.experiments.evaluate.evaluation import evaluate
from interplay.experiments.loop.run import BEST, CHECKPOINT, Run
from interplay.experiments.loop.training import train
from refusals import assert_said, refused

SMALL = dict(preset="kale", items="rest", episodes=4, num_worlds=2, eval_worlds=4, market=("horizon=10",))
DQN = "dqn,warm_up=16,batch_size=8,hidden=8"


def settings(folder, **changes):
    return TrainSettings(**{**SMALL, "users": DQN, "log_dir": folder, **changes})


def as_bytes(value):
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy().tobytes()
    if isinstance(value, dict):
        return {name: as_bytes(part) for name, part in value.items()}
    return [as_bytes(part) for part in value] if isinstance(value, list | tuple) else value


def learnt(run):
    """All that a run has learnt and drawn, and where its worlds are."""
    return as_bytes([run.players.state_dict(), run.now.state.state_dict(), run.stats.state_dict()])


def network(run):
    """What the users' network has learnt. Checkpoints of finished runs and best ones hold no replay."""
    return as_bytes(run.players["users"].online.state_dict())


def rows(folder):
    with (folder / "curve.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "wall_seconds"} for row in csv.DictReader(file)]


SLOW = ("linucb", "linear-thompson")  # a regression a step
LEARNERS = [name for name, kind in agents().items() if kind.learns and "users" in kind.plays and name not in SLOW]


@pytest.mark.parametrize("agent", LEARNERS)
def test_training_has_the_same_bits_with_and_without_evaluation(agent, tmp_path):
    plain = train(settings(tmp_path, users=agent, items="random", episodes=2))
    watched = train(settings(tmp_path, users=agent, items="random", episodes=2), [Evaluate(every=1, worlds=3)])
    assert learnt(plain) == learnt(watched)


def test_evaluations_are_in_the_curve_and_in_tensorboard(tmp_path):
    run = train(settings(tmp_path, eval_every=2), [Evaluate(every=None)])
    held_out = [row["held_out/user_return"] for row in rows(run.folder)]
    assert [bool(cell) for cell in held_out] == [False, True, False, True]
    final = evaluate(run.task.held_out, run.players, 4)
    assert float(held_out[-1]) == pytest.approx(final.user_return.mean, rel=1e-5)
    events = EventAccumulator(str(run.folder)).Reload()
    assert [at.step for at in events.Scalars("held_out/user_return")] == [40, 80]
    assert len(run.curve) == 4
    assert run.curve[0]["user_return"] == pytest.approx(float(rows(run.folder)[0]["user_return"]), rel=1e-5)


def test_a_killed_run_keeps_its_evaluations_and_goes_on_with_them(tmp_path, monkeypatch):
    whole = train(settings(tmp_path, eval_every=1, name="whole"), [Evaluate(every=None)])
    step = Run.step

    def killed(run):
        if (run.episode, run.time) == (2, 5):
            os.kill(os.getpid(), signal.SIGINT)
        return step(run)

    monkeypatch.setattr(Run, "step", killed)
    with pytest.raises(Stopped):
        train(settings(tmp_path, eval_every=1, name="part"), [Evaluate(every=None)])
    monkeypatch.undo()
    part = train(TrainSettings(resume=tmp_path / "part"), [Evaluate(every=None)])
    assert learnt(part) == learnt(whole)
    assert rows(part.folder) == rows(whole.folder)


class Scripted(Evaluate):
    """Evaluations with returns that the test chooses."""

    def __init__(self, returns, **options):
        super().__init__(every=1, worlds=1, **options)
        self.returns = returns

    def episode_ended(self, run, figures):
        figures["held_out/user_return"] = self.returns[run.episode]
        self._compare(run, figures)


def test_patience_ends_a_training_that_gets_no_better(tmp_path):
    run = train(settings(tmp_path, episodes=8), [Scripted([1.0, 3.0, 2.0, 3.0, 5.0, 1.0, 1.0, 1.0], patience=2)])
    assert run.episode == 4
    assert run.finished
    assert Run.load(run.folder).finished  # also when it is resumed


def test_the_best_checkpoint_is_that_of_the_highest_return(tmp_path):
    found = {}

    class Note(Callback):
        def episode_ended(self, run, figures):
            found[run.episode] = network(run)

    run = train(settings(tmp_path), [Note(), Scripted([1.0, 3.0, 2.0, 0.0], best=True)])
    best = Run.load(run.folder, checkpoint=BEST)
    assert network(best) == found[1] != found[3]
    assert network(Run.load(run.folder)) == found[3]


def test_without_a_best_checkpoint_the_fix_is_named(tmp_path):
    run = train(settings(tmp_path, episodes=1))
    with refused(run.folder, "best.pt", fix="Evaluate(every=5, best=True)"):
        Run.load(run.folder, checkpoint=BEST)


@pytest.mark.parametrize(("name", "value"), [("every", 0), ("worlds", 0), ("patience", -1), ("best", 1)])
def test_evaluate_checks_its_arguments(name, value):
    with refused(name, value):
        Evaluate(**{name: value})


@pytest.mark.slow
def test_a_finished_run_trains_longer_and_its_schedules_stay_at_their_end(tmp_path):
    run = train(settings(tmp_path, name="parts", keep_replay=True))
    assert run.finished
    first = train(TrainSettings(resume=run.folder, more_episodes=2))
    second = train(TrainSettings(resume=run.folder, more_episodes=1))
    assert (first.episode, second.episode) == (6, 7)
    once = train(TrainSettings(resume=train(settings(tmp_path, name="once", keep_replay=True)).folder, more_episodes=3))
    assert learnt(second) == learnt(once)
    assert [row["episode"] for row in rows(run.folder)] == list("1234567")
    agent = second.players["users"]
    assert agent.options.epsilon(agent.progress) == pytest.approx(agent.options.epsilon_end)


def test_a_longer_training_that_is_killed_is_played_to_its_end(tmp_path, monkeypatch):
    folder = train(settings(tmp_path, keep_replay=True)).folder
    step = Run.step

    def killed(run):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(run)

    monkeypatch.setattr(Run, "step", killed)
    with pytest.raises(Stopped):
        train(TrainSettings(resume=folder, more_episodes=2))
    monkeypatch.undo()
    assert train(TrainSettings(resume=folder)).episode == 6


def test_the_command_line_evaluates_and_trains_longer(tmp_path, capsys):
    given = ["--preset", "kale", "--users", DQN, "--items", "rest", "--episodes", "2", "--num-worlds", "2",
             "--eval-worlds", "4", "--market", "horizon=10", "--eval-every", "1", "--log-dir", str(tmp_path)]
    assert main(["train", *given, "--name", "run"]) == 0
    assert main(["train", "--resume", str(tmp_path / "run"), "--more-episodes", "2"]) == 0
    assert all(row["held_out/user_return"] for row in rows(tmp_path / "run"))
    assert read_sealed(tmp_path / "run" / "results.json")["env_steps"] == 4 * 10 * 2
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    assert main(["train", *given, "--name", "other", "--more-episodes", "2"]) == 2
    assert_said(capsys.readouterr().err, "--more-episodes 2", fix="--resume")


def test_threads_are_what_they_were_after_a_training(tmp_path):
    before = torch.get_num_threads()
    train(settings(tmp_path, episodes=1, threads=before + 1))
    assert torch.get_num_threads() == before


def test_a_finished_run_is_saved_without_its_replay_and_says_so_when_it_trains_longer(tmp_path, capsys):
    flags = ["--preset", "kale", "--users", DQN, "--episodes", "4", "--num-worlds", "2", "--eval-worlds", "4",
             "--market", "horizon=10", "--log-dir", str(tmp_path)]
    for name, more in (("lean", []), ("whole", ["--keep-replay"])):
        assert main(["train", *flags, "--name", name, *more]) == 0
    lean, whole = (Run.load(tmp_path / name).players["users"].state_dict() for name in ("lean", "whole"))
    assert (lean["_replay"]["_store"], lean["_replay"]["added"]) == (None, 0)
    assert whole["_replay"]["added"] == 80
    assert as_bytes(lean["online"]) == as_bytes(whole["online"])
    sizes = [(tmp_path / name / CHECKPOINT).stat().st_size for name in ("lean", "whole")]
    assert sizes[0] < sizes[1] / 10
    capsys.readouterr()
    for name, said in (("lean", True), ("whole", False)):
        assert main(["train", "--resume", str(tmp_path / name), "--more-episodes", "2"]) == 0
        assert ("saved without the agents' replay" in capsys.readouterr().err) == said
        assert Run.load(tmp_path / name).episode == 6


def test_an_interrupted_run_keeps_its_replay(tmp_path):
    run = Run.start(settings(tmp_path), tmp_path)
    run.write_config()
    run.step()
    run.save()
    assert Run.load(tmp_path).players["users"].state_dict()["_replay"]["added"] == 2


def test_prioritised_memories_are_left_out_too(tmp_path):
    run = train(settings(tmp_path, users=f"{DQN},priority=0.6"))
    replay = Run.load(run.folder).players["users"].state_dict()["_replay"]
    assert (replay["added"], replay["_weight"].numel()) == (0, 0)
    with pytest.warns(InterplayWarning, match="saved without the agents' replay"):
        more = train(TrainSettings(resume=run.folder, more_episodes=2))
    assert more.players["users"].state_dict()["_replay"]["added"] == 40
