"""Weights & Biases gets what TensorBoard gets."""

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.evaluate import weights_and_biases
from interplay.experiments.evaluate.finishing import train_and_evaluate
from refusals import refused


def settings(folder, **changes):
    return TrainSettings(preset="kale", users="dqn,warm_up=16,batch_size=8,hidden=8", items="rest", episodes=3,
                         num_worlds=2, eval_worlds=2, eval_every=2, market=("horizon=10",), log_dir=folder, name="run",
                         logger="wandb", **changes)


class FakeRun:
    """A run of wandb that keeps what it is given."""

    def __init__(self, **options: Any) -> None:
        self.options, self.points, self.notes, self.finished = options, [], "", False

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "env_steps")

    def log(self, row: dict[str, Any]) -> None:
        self.points += [(name, row["env_steps"], value) for name, value in row.items() if name != "env_steps"]

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def runs(monkeypatch):
    """The runs that are opened of a package that stands in for wandb."""
    opened = []
    fake: Any = ModuleType("wandb")
    fake.__spec__ = SimpleNamespace()
    fake.Error, fake.Settings = RuntimeError, SimpleNamespace
    fake.Image = fake.Histogram = lambda values: values.shape
    fake.init = lambda **options: opened.append(FakeRun(**options)) or opened[-1]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return opened


def test_it_gets_what_tensorboard_gets(tmp_path, runs):
    run, _ = train_and_evaluate(settings(tmp_path))
    (logged,) = runs
    events = EventAccumulator(str(run.folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()
    tags = events.Tags()
    scalars = sorted((name, at.step, at.value) for name in tags["scalars"] for at in events.Scalars(name))
    found = sorted(point for point in logged.points if isinstance(point[2], float))
    assert [point[:2] for point in found] == [point[:2] for point in scalars]
    assert [value for *_, value in found] == pytest.approx([value for *_, value in scalars], rel=1e-6)
    assert {name for name, _, value in logged.points if not isinstance(value, float)} == {*tags["images"],
                                                                                          *tags["histograms"]}
    assert "user return [95 %]" in logged.notes
    assert logged.options["config"]["market"]["horizon"] == 10
    assert logged.finished


def test_a_run_that_goes_on_is_the_same_run(tmp_path, runs):
    run, _ = train_and_evaluate(settings(tmp_path, keep_replay=True))
    train_and_evaluate(TrainSettings(resume=run.folder, more_episodes=1))
    assert runs[0].options["id"] == runs[1].options["id"]
    assert {step for name, step, _ in runs[1].points if name == "returns/users"} == {80}


def test_without_the_package_it_is_one_line_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_and_biases, "find_spec", lambda name: None)
    with refused("--logger wandb", fix="pip install 'interplay[wandb]'"):
        train_and_evaluate(settings(tmp_path))
    assert os.listdir(tmp_path) == []


def test_what_wandb_refuses_is_one_line(tmp_path, runs, monkeypatch):
    def refuse(**options):
        raise RuntimeError("api_key not configured\n(no-tty)")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with refused("wandb", "api_key", fix=("wandb login", "WANDB_MODE=offline")):
        train_and_evaluate(settings(tmp_path))


def test_the_package_itself_writes_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run, _ = train_and_evaluate(settings(tmp_path))
    (written,) = run.folder.glob("wandb/offline-run-*/*.wandb")
    data = written.read_bytes()
    for name in (b"held_out/user_return", b"reference/optimum", b"histograms/mood", b"learning curve"):
        assert name in data
    assert wandb.run is None
