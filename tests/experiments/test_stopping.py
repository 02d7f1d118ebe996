"""Runs that end before their time: by a signal, a crash, a full disk or a learner that diverges. Nothing is lost."""

import os
import resource
import signal

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import interplay as ip
from interplay.envs import files
from interplay.experiments.benchmark import command as benchmarks
from interplay.experiments.cli.main import main
from interplay.experiments.common import stopping
from interplay.experiments.common.saving import read_sealed
from interplay.experiments.common.stopping import Stopped
from interplay.experiments.evaluate import finishing
from interplay.experiments.loop.run import Run
from interplay.experiments.loop.tracking import TensorBoard
from interplay.experiments.recommend import command
from interplay.experiments.representation.epochs import Training
from refusals import assert_said

SIZE = ["--episodes", "4", "--num-worlds", "2", "--eval-worlds", "4", "--market", "horizon=10"]
TRAIN = ["train", "--preset", "kale", "--users", "dqn,warm_up=16,batch_size=8,hidden=8", "--items", "rest", *SIZE]
SIGNALS = [signal.SIGINT, signal.SIGTERM]
OWN = [signal.default_int_handler, lambda number, frame: None]
"""Handlers of a program that uses the library."""


def each_stopped(places, by_both):
    """Every place with one of the signals in turn, since both go the same way, and one place with both of them."""
    turns = [(place, SIGNALS[number % 2]) for number, place in enumerate(places)]
    return list(dict.fromkeys([*turns, *((by_both, number) for number in SIGNALS)]))


def contents(folder):
    """What a run comes to, but for times and the folder's name."""
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    del saved["made_by"], saved["wall_seconds"], saved["curve"]  # rows have seconds; curve() compares the others
    found = read_sealed(folder / "results.json")
    del found["wall_seconds"]
    return flat(saved), found


def flat(value):
    """All tensors as bytes."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: flat(part) for name, part in value.items()}
    return [flat(part) for part in value] if isinstance(value, list | tuple) else value


def curve(folder):
    """Steps and returns in curve.csv, without the seconds."""
    return [[cell for at, cell in enumerate(row.split(",")) if at != 1]
            for row in (folder / "curve.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert main([*TRAIN, "--log-dir", str(folder), "--name", "run"]) == 0
    return folder / "run"


def at_call(number, happens, owner, name, patch):
    """Have something happen in a call of ``owner.name``."""
    calls, real = iter(range(1, 10**6)), getattr(owner, name)

    def called(*given, **named):
        if next(calls) == number:
            happens()
        return real(*given, **named)

    patch.setattr(owner, name, called)


PLACES = {"start": (1, Run, "start"), "config is written": (1, Run, "write_config"), "first save": (1, Run, "save"),
          "TensorBoard": (1, TensorBoard, "begin"), "first step": (1, Run, "step"), "mid-episode": (17, Run, "step"),
          "end of an episode": (2, Run, "next_episode"), "last save": (2, Run, "save"), "sync": (4, files.os, "fsync"),
          "evaluation": (1, finishing, "report"), "results": (1, finishing, "write_sealed")}


@pytest.mark.parametrize(("place", "number"), each_stopped(PLACES, by_both="mid-episode"))
def test_a_stopped_run_is_resumed_bit_for_bit(place, number, whole, tmp_path, capsys):
    given = [*TRAIN, "--log-dir", str(tmp_path), "--name", "run"]
    with pytest.MonkeyPatch.context() as patch:
        at_call(PLACES[place][0], lambda: os.kill(os.getpid(), number), *PLACES[place][1:], patch)
        assert main(given) == 128 + number
    said = capsys.readouterr().err.splitlines()[-1]
    if place in ("start", "config is written"):
        assert list(tmp_path.iterdir()) == []
        assert main(given) == 0
    else:
        assert "Traceback" not in said
        assert not (tmp_path / "run" / "results.json").exists()
        assert not list((tmp_path / "run").glob("*.part"))
        if place != "first save":
            assert said.endswith(f"go on with: interplay train --resume {tmp_path / 'run'}")
        assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert contents(tmp_path / "run") == contents(whole)
    assert curve(tmp_path / "run") == curve(whole)


def test_a_run_without_a_checkpoint_starts_again(whole, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        at_call(1, lambda: os.kill(os.getpid(), signal.SIGTERM), Run, "save", patch)
        assert main([*TRAIN, "--log-dir", str(tmp_path), "--name", "run"]) == 143
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert_said(capsys.readouterr().err, tmp_path / "run", fix=f"interplay train --resume {tmp_path / 'run'}")
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert contents(tmp_path / "run") == contents(whole)


def test_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    assert main([*TRAIN, "--log-dir", str(tmp_path)]) == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_benchmark_that_is_stopped_from_python_says_how_to_go_on(number, tmp_path, monkeypatch):
    before = [signal.signal(each, handler) for each, handler in zip(SIGNALS, OWN, strict=True)]
    try:
        at_call(1, lambda: os.kill(os.getpid(), number), benchmarks, "run_missing", monkeypatch)
        with pytest.raises(Stopped, match=r"same call .* continues .*runs") as stop:
            ip.benchmark("kale", ["greedy"], seeds=1, folder=tmp_path / "benchmark")
        assert stop.value.status == 128 + number
        assert [signal.getsignal(each) for each in SIGNALS] == OWN
    finally:
        for each, handler in zip(SIGNALS, before, strict=True):
            signal.signal(each, handler)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.csv"
    generator = np.random.default_rng(0)
    rows = [f"u{u},i{i},{generator.integers(1, 6)}" for u in range(20) for i in generator.permutation(15)[:8]]
    path.write_text("\n".join(["user,item,reward", *rows]) + "\n")
    return path


def pretrain(log, folder, *given):
    """Epochs are trained: from the vectors of an ALS on there might be none."""
    return main(["pretrain", "--log", str(log), "--size", "4", "--epochs", "6", "--patience", "3", "--batch-size", "8",
                 "--start", "random", "--log-dir", str(folder.parent), "--name", folder.name, *given])


def of_pretrain(folder):
    found = read_sealed(folder / "results.json")
    del found["seconds"]
    return flat(torch.load(folder / "model.pt", weights_only=True)["model"]), found


PHASES = {"log": (1, command, "logged_parts"), "model": (1, Training, "__init__"), "batch": (20, Training, "step"),
          "sync": (2, files.os, "fsync"), "baselines": (1, command, "rankers"), "model.pt": (1, command, "_save"),
          "results": (1, command, "write_sealed")}


@pytest.fixture(scope="module")
def whole_towers(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "towers"
    assert pretrain(log, folder) == 0
    return folder


@pytest.mark.parametrize(("phase", "number"), each_stopped(PHASES, by_both="batch"))
def test_a_stopped_pretraining_is_resumed_bit_for_bit(phase, number, log, whole_towers, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        at_call(PHASES[phase][0], lambda: os.kill(os.getpid(), number), *PHASES[phase][1:], patch)
        assert pretrain(log, tmp_path / "run") == 128 + number
    if phase == "log":
        assert list(tmp_path.iterdir()) == []
        assert pretrain(log, tmp_path / "run") == 0
    else:
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == f"stopped; go on with: interplay pretrain --resume {tmp_path / 'run'}"
        assert main(["pretrain", "--resume", str(tmp_path / "run")]) == 0
    assert of_pretrain(tmp_path / "run") == of_pretrain(whole_towers)


def crash():
    raise RuntimeError("crashed")


def scalars(folder):
    """Steps of every curve in TensorBoard."""
    events = EventAccumulator(str(folder)).Reload()
    return {name: [at.step for at in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_after_a_crash_each_step_is_there_once(whole, tmp_path, monkeypatch):
    # TensorBoard reads files of one second and one process in the order of these numbers as text: not 9, then 10.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(100))
    monkeypatch.setattr(stopping, "FIRST", 0.0)
    monkeypatch.setattr(stopping, "EVERY", 1e9)  # so that what follows the first step is lost
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_call(35, crash, Run, "step", patch)
        with pytest.raises(RuntimeError, match="crashed"):
            main([*TRAIN, "--log-dir", str(tmp_path), "--name", "run"])
    assert len(curve(folder)) == 4
    with (folder / "curve.csv").open("a") as file:
        file.write("\n2")  # an empty row, and one that a power cut has torn
    assert main(["train", "--resume", str(folder)]) == 0
    assert curve(folder) == curve(whole)
    assert scalars(folder) == scalars(whole)
    assert contents(folder) == contents(whole)
    assert main(["train", "--resume", str(folder)]) == 0  # which only evaluates it once more
    assert scalars(folder) == scalars(whole)


@pytest.mark.parametrize(("at", "every"), [(10, 0.0), (25, 0.0), (25, 1e9)])
def test_after_a_crash_each_epoch_is_there_once(at, every, log, whole_towers, tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "FIRST", 0.0)
    monkeypatch.setattr(stopping, "EVERY", every)
    monkeypatch.setattr(stopping, "LONGER", 0.0)
    with monkeypatch.context() as patch:
        at_call(at, crash, Training, "step", patch)
        with pytest.raises(RuntimeError, match="crashed"):
            pretrain(log, tmp_path / "run")
    assert main(["pretrain", "--resume", str(tmp_path / "run")]) == 0
    assert scalars(tmp_path / "run") == scalars(whole_towers)
    assert of_pretrain(tmp_path / "run") == of_pretrain(whole_towers)


def all_finite(folder):
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)["agents"]
    weights = [value for value in leaves(saved) if isinstance(value, torch.Tensor) and value.is_floating_point()]
    return bool(weights) and all(bool(value.isfinite().all()) for value in weights)


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize("agent", ["dqn,warm_up=16,batch_size=8,hidden=8", "pqn,hidden=8", "ippo,hidden=8",
                                   "shared-critic,warm_up=16,batch_size=8,hidden=8"])
def test_a_learner_that_diverges_keeps_its_last_finite_checkpoint(agent, every, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stopping, "FIRST", every)
    monkeypatch.setattr(stopping, "EVERY", every)
    monkeypatch.setattr(stopping, "LONGER", 0.0)
    assert main(["train", "--preset", "kale", "--users", f"{agent},learning_rate=1e30", "--items", "rest", *SIZE,
                 "--episodes", "20", "--log-dir", str(tmp_path), "--name", "run"]) == 2
    assert_said(capsys.readouterr().err, "training", fix=("checkpoint", "learning rate"))
    assert not (tmp_path / "run" / "results.json").exists()
    assert all_finite(tmp_path / "run")


def test_pretraining_that_diverges_ends_in_one_line(log, tmp_path, capsys):
    assert pretrain(log, tmp_path / "run", "--learning-rate", "1e30") == 2
    assert_said(capsys.readouterr().err, fix="learning rate")


def test_a_market_whose_responses_are_not_finite_ends_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_market.py").write_text(
        "from dataclasses import replace\nimport torch\nfrom interplay.envs.presets import find_preset\n"
        "kale = find_preset('kale')\n\n\ndef behaviour(config):\n    made = kale.behaviour(config)\n"
        "    people = made._population\n"
        "    made._population = lambda key: replace(people(key), appeal=people(key).appeal * torch.nan)\n"
        "    return made\n\n\npreset = replace(kale, name='broken', behaviour=behaviour)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main([*TRAIN, "--preset", "broken_market:preset", "--log-dir", str(tmp_path / "runs"), "--name", "run"]) == 2
    assert_said(capsys.readouterr().err, "responses", fix="appeal")
    assert not (tmp_path / "runs" / "run" / "results.json").exists()


@pytest.mark.parametrize(("module", "hook", "named"), [
    ("broken_table", "def user_tables(self, start): return {'hope': start.full_users(float('nan'))}", "hope"),
    ("broken_shift", "def shift(self, state, items): return items * float('nan')", "responses")])
def test_a_mechanism_that_gives_no_numbers_is_named(module, hook, named, tmp_path, monkeypatch, capsys):
    (tmp_path / f"{module}.py").write_text(
        "from dataclasses import dataclass\nfrom interplay.envs.mechanisms import Mechanism\n\n\n"
        f"@dataclass(frozen=True)\nclass Broken(Mechanism):\n    {hook}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main([*TRAIN, "--mechanism", f"{module}:Broken", "--log-dir", str(tmp_path / "runs")]) == 2
    assert_said(capsys.readouterr().err, named, fix="broken")


@pytest.fixture
def fails_beyond(capsys):
    """Runs a command that may write no file beyond so many bytes, as if the disk were full then; gives its error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def run(most, *given):
        capsys.readouterr()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            assert main(given) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.mark.parametrize(("most", "file"), [(100, "config.json"), (6000, "checkpoint.pt")])
def test_a_full_disk_at_the_start_leaves_nothing_behind(most, file, fails_beyond, tmp_path):
    line = fails_beyond(most, *TRAIN, "--log-dir", str(tmp_path / "runs"), "--name", "run")
    assert_said(line, "File too large", tmp_path / "runs" / "run" / file)
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_loses_nothing_that_was_saved(whole, fails_beyond, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_call(25, lambda: os.kill(os.getpid(), signal.SIGTERM), Run, "step", patch)
        assert main([*TRAIN, "--log-dir", str(tmp_path), "--name", "run"]) == 143
    kept = (folder / "checkpoint.pt").read_bytes()
    for most in (100, 500, 3000):  # of the curve, TensorBoard, the checkpoint
        line = fails_beyond(most, "train", "--resume", str(folder))
        assert_said(line, "File too large", fix=f"interplay train --resume {folder}")
    assert (folder / "checkpoint.pt").read_bytes() == kept
    assert not list(folder.glob("*.part"))
    assert main(["train", "--resume", str(folder)]) == 0
    assert contents(folder) == contents(whole)
    assert curve(folder) == curve(whole)


def test_a_folder_that_cannot_be_written_is_named(whole, tmp_path, monkeypatch, capsys):
    def refuse(path, *given, **named):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        at_call(25, lambda: os.kill(os.getpid(), signal.SIGTERM), Run, "step", patch)
        assert main([*TRAIN, "--log-dir", str(tmp_path), "--name", "run"]) == 143
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", refuse)
        assert main(["train", "--resume", str(tmp_path / "run")]) == 2
    assert_said(capsys.readouterr().err, "Permission denied")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", refuse)
        assert main([*TRAIN, "--log-dir", str(tmp_path / "other")]) == 2
    assert_said(capsys.readouterr().err, "log_dir", "Permission denied", fix="--log-dir")
