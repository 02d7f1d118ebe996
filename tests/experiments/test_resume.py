"""Trainings of two towers that are stopped, or end with the power, and go on bit for bit."""

import json
import os
import signal
from functools import cache

import numpy as np
import polars
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from interplay.experiments.cli.main import main
from interplay.experiments.common import stopping
from interplay.experiments.common.saving import sealed
from interplay.experiments.recommend import command
from interplay.experiments.representation.epochs import Training
from refusals import assert_said

KINDS = {
    "ranking": ["--start", "random", "--num-negatives", "8", "--weight-decay", "0", "--learning-rate", "0.03",
                "--dropout", "0.3"],
    "sequences": ["--encoder", "gru", "--history-length", "6", "--num-negatives", "8", "--weight-decay", "0.1",
                  "--learning-rate", "0.02", "--dropout", "0.1", "--batch-size", "64"],
    "responses": ["--task", "responses", "--weight-decay", "0", "--learning-rate", "0.02", "--dropout", "0.4"]}
SMALL = ["--size", "8", "--batch-size", "16", "--epochs", "30", "--patience", "2", "--seed", "1"]


def write_log(path, users=50):
    """Two kinds of users and of items; a user mostly likes items of its own kind."""
    generator = np.random.default_rng(1)
    rows = [(u, int(i), 5.0 if (u % 2 == i % 2) == (generator.random() < 0.8) else float(generator.integers(1, 4)))
            for u in range(users) for i in generator.choice(30, 12, replace=False)]
    polars.DataFrame(rows, schema=["user", "item", "reward"], orient="row").write_csv(path)


@pytest.fixture(autouse=True)
def files_in_order(monkeypatch):
    """TensorBoard reads files of one second and one process in the order of these numbers as text: not 9, then 10."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "tastes.csv"
    write_log(path)
    return path


def arguments(log, folder, kind="ranking"):
    return ["pretrain", "--log", str(log), *SMALL, *KINDS[kind], "--log-dir", str(folder.parent), "--name", folder.name]


def counted(patch):
    """A list to which every training adds how many batches it takes."""
    steps, begin, step = [], Training.__init__, Training.step

    def beginning(training, *given):
        steps.append(0)
        begin(training, *given)

    def stepping(training):
        steps[-1] += 1
        step(training)

    patch.setattr(Training, "__init__", beginning)
    patch.setattr(Training, "step", stepping)
    return steps


@pytest.fixture(scope="module")
def whole(log, tmp_path_factory):
    """Runs that nothing stopped, by kind: the folder, and how many batches the two trainings of each took."""
    @cache
    def run(kind):
        folder = tmp_path_factory.mktemp("whole") / kind
        with pytest.MonkeyPatch.context() as patch:
            steps = counted(patch)
            assert main(arguments(log, folder, kind)) == 0
        return folder, steps

    return run


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def cut_the_power():
    raise RuntimeError("no power")


def at_batch(number, happens, patch):
    """Have something happen in a batch."""
    batches, step = iter(range(1, 10**6)), Training.step

    def stepping(training):
        if next(batches) == number:
            happens()
        step(training)

    patch.setattr(Training, "step", stepping)


def stopped(given, number):
    with pytest.MonkeyPatch.context() as patch:
        at_batch(number, press_ctrl_c, patch)
        assert main(given) == 130


def assert_same(one, other):
    """All bits of two runs' models and figures, and nothing is left of either training."""
    models = [torch.load(folder / "model.pt", weights_only=True) for folder in (one, other)]
    weights, others = (model.pop("model") for model in models)
    for model in models:  # they name the folder
        del model["made_by"]
    assert models[0] == models[1]
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert value.numpy().tobytes() == others[name].numpy().tobytes(), name
    found = [json.loads((folder / "results.json").read_text()) for folder in (one, other)]
    assert all(results.pop("seconds") >= 0 and results.pop("digest") for results in found)
    assert found[0] == found[1]
    for folder in (one, other):
        kinds = {path.name.split(".")[0] if "tfevents" in path.name else path.name for path in folder.iterdir()}
        assert kinds == {"config.json", "events", "model.pt", "results.json"}


def curves(folder):
    """All points by the name of their curve."""
    events = EventAccumulator(str(folder)).Reload()
    return {name: [(at.step, at.value) for at in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.mark.parametrize("kind", ["ranking", "responses", pytest.param("sequences", marks=pytest.mark.slow)])
@pytest.mark.parametrize("phase", ["inner", "whole"])
def test_ctrl_c_then_resume_is_bit_for_bit_the_uninterrupted_run(kind, phase, log, whole, tmp_path, capsys):
    folder, (first, last) = whole(kind)
    assert last < first  # else it would not matter whether early stopping were forgotten
    number = first - 1 if phase == "inner" else first + last - 1
    stopped(arguments(log, tmp_path / "part", kind), number)
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == f"stopped; go on with: interplay pretrain --resume {tmp_path / 'part'}"
    assert not (tmp_path / "part" / "model.pt").exists()
    kept = torch.load(tmp_path / "part" / "training.pt", weights_only=True)["training"]
    assert set(kept) == {"choice", phase}
    assert kept[phase]["epoch"] > 0
    assert kept[phase]["batches"] > 0
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 0
    assert_same(folder, tmp_path / "part")
    assert curves(folder) == curves(tmp_path / "part")


@pytest.mark.parametrize("start", ["als", "random"])
def test_a_training_that_is_stopped_at_every_batch_ends_all_the_same(start, log, tmp_path):
    given = [*arguments(log, tmp_path / "whole"), "--epochs", "2", "--start", start]
    assert main(given) == 0
    stopped([*given, "--name", "part"], 1)
    with pytest.MonkeyPatch.context() as patch:
        status, times = 130, 0
        while status == 130:
            at_batch(1, press_ctrl_c, patch)
            status, times = main(["pretrain", "--resume", str(tmp_path / "part")]), times + 1
            patch.undo()
    assert (status, times > 5) == (0, True)
    assert_same(tmp_path / "whole", tmp_path / "part")


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize("phase", ["inner", "whole"])
def test_what_the_power_ends_goes_on_from_its_last_checkpoint(phase, every, log, whole, tmp_path, monkeypatch):
    """The end of the first training is a checkpoint, however seldom there are others."""
    folder, (first, last) = whole("ranking")
    given = arguments(log, tmp_path / "part")
    cut = first - 3 if phase == "inner" else first
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "FIRST", every)
        patch.setattr(stopping, "EVERY", every)
        patch.setattr(stopping, "LONGER", 0.0)
        stopped(given, 2)  # so that there is a checkpoint
        at_batch(cut, cut_the_power, patch)
        with pytest.raises(RuntimeError, match="no power"):
            main(["pretrain", "--resume", str(tmp_path / "part")])
    steps = counted(monkeypatch)
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 0
    kept = 2 + cut - 1 if every == 0.0 else 2 if phase == "inner" else first
    assert sum(steps) == first + last - kept
    assert_same(folder, tmp_path / "part")
    assert curves(folder) == curves(tmp_path / "part")


def test_a_run_that_was_never_kept_starts_again(log, whole, tmp_path):
    stopped(arguments(log, tmp_path / "part"), 2)
    (tmp_path / "part" / "training.pt").unlink()
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 0
    assert_same(whole("ranking")[0], tmp_path / "part")


def test_what_is_trained_is_not_trained_again_for_its_figures(log, whole, tmp_path, monkeypatch, capsys):
    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "rankers", stop)
        assert main(arguments(log, tmp_path / "part")) == 130
    assert f"--resume {tmp_path / 'part'}" in capsys.readouterr().err
    steps = counted(monkeypatch)
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 0
    assert steps == [0]
    assert_same(whole("ranking")[0], tmp_path / "part")


@pytest.mark.slow
def test_seeds_go_on_with_the_first_that_is_not_finished(log, tmp_path, capsys, monkeypatch):
    given = [*arguments(log, tmp_path / "whole"), "--seed", "0", "--seeds", "3", "--epochs", "3"]
    steps = counted(monkeypatch)
    assert main(given) == 0
    stopped([*given, "--name", "part"], sum(steps[:2]) + 2)
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"--resume {tmp_path / 'part'}")
    assert "Stopped before the others of 3 were finished." in (tmp_path / "part" / "report.md").read_text()
    finished = (tmp_path / "part" / "s0" / "results.json").stat().st_mtime_ns
    assert (tmp_path / "part" / "s1" / "training.pt").is_file()
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 0
    assert (tmp_path / "part" / "s0" / "results.json").stat().st_mtime_ns == finished
    for seed in ("s0", "s1", "s2"):
        assert_same(tmp_path / "whole" / seed, tmp_path / "part" / seed)
    reports = [(tmp_path / name / "report.md").read_text() for name in ("whole", "part")]
    assert reports[0] == reports[1]
    assert "Made by `interplay pretrain " in reports[1]
    assert " --seeds 3" in reports[1].splitlines()[0]


def halved(file):
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def of_something_else(file):
    torch.save({"weights": torch.zeros(3)}, file)


def flipped(file):
    """One bit of a weight."""
    weights = torch.load(file, weights_only=True)["training"]["inner"]["model"]["item_bias"].numpy().tobytes()
    assert file.read_bytes().count(weights) == 1
    file.write_bytes(file.read_bytes().replace(weights, bytes([weights[0] ^ 1]) + weights[1:]))


@pytest.mark.parametrize("damaged", [halved, emptied, of_something_else, flipped])
def test_a_damaged_checkpoint_is_named(damaged, log, tmp_path, capsys):
    stopped(arguments(log, tmp_path / "part"), 2)
    damaged(tmp_path / "part" / "training.pt")
    capsys.readouterr()
    assert main(["pretrain", "--resume", str(tmp_path / "part")]) == 2
    assert_said(capsys.readouterr().err, tmp_path / "part" / "training.pt", fix="run")
    assert (tmp_path / "part").is_dir()


def test_other_settings_and_other_logs_are_refused(log, tmp_path, capsys):
    own = tmp_path / "log.csv"
    own.write_text(log.read_text())
    stopped(arguments(own, tmp_path / "part"), 2)
    resume = ["pretrain", "--resume", str(tmp_path / "part")]

    capsys.readouterr()
    assert main([*resume, "--size", "16"]) == 2
    assert_said(capsys.readouterr().err, "size=8", 16, fix="flag")
    write_log(own, users=51)
    assert main(resume) == 2
    assert_said(capsys.readouterr().err, "training.pt", "training part", "held-out part")


def test_only_what_is_unfinished_goes_on(log, whole, tmp_path, capsys):
    assert main(["pretrain", "--resume", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, tmp_path, "config.json", fix="pretrain")
    (tmp_path / "config.json").write_text(sealed({"preset": "town"}))
    assert main(["pretrain", "--resume", str(tmp_path)]) == 2
    assert_said(capsys.readouterr().err, tmp_path / "config.json", "baselines")
    assert main(["pretrain", "--resume", str(whole("ranking")[0])]) == 2
    assert_said(capsys.readouterr().err, whole("ranking")[0], fix="--resume")


def test_checkpoints_are_soon_and_then_some_time_apart(monkeypatch):
    clock, kept = iter(range(100)), []
    monkeypatch.setattr(stopping.time, "monotonic", lambda: float(next(clock)))
    pace, at = stopping.Pace(), 0
    for at in range(60):
        pace.between(lambda: kept.append(at))  # noqa: B023
    assert kept[0] <= 10
    assert kept[1] - kept[0] > 20
    assert 2 <= len(kept) <= 4
