"""Files of runs: damaged, edited or of something else, each ends in one clear line and changes nothing."""

import json
import math
import os
import re
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from interplay.envs import files
from interplay.experiments.cli.main import main
from interplay.experiments.common.folders import new_folder, owned
from interplay.experiments.common.saving import (
    load_checkpoint,
    read_sealed,
    save_checkpoint,
    sealed,
    unsealed,
    write_sealed,
)
from interplay.experiments.common.serialising import from_json, to_json
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.representation.settings import PretrainSettings
from refusals import assert_said, refused

TRAIN = ["train", "--preset", "kale", "--users", "dqn,warm_up=16,batch_size=8,hidden=8", "--items", "rest",
         "--episodes", "1", "--num-worlds", "2", "--eval-worlds", "2"]
PRETRAIN = ["pretrain", "--size", "4", "--epochs", "2", "--no-baselines"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Runs of train (run), of train with another seed (seed) and market (market), and of pretrain (towers)."""
    folder = tmp_path_factory.mktemp("home")
    log = folder / "log.csv"
    log.write_text("user,item,reward\n" + "".join(f"u{u},i{i},{(u * i) % 2}\n" for u in range(8) for i in range(12)))
    where = ["--log-dir", str(folder), "--name"]
    assert main([*TRAIN, *where, "run"]) == 0
    assert main([*TRAIN, "--seed", "1", *where, "seed"]) == 0
    assert main([*TRAIN, "--preset", "viability", *where, "market"]) == 0
    assert main([*PRETRAIN, "--log", str(log), *where, "towers"]) == 0
    assert main([*PRETRAIN, "--log", str(log), "--seed", "1", *where, "seed-towers"]) == 0
    return folder


def cut(file, home):
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


def emptied(file, home):
    file.write_bytes(b"")


def zeroed(file, home):
    file.write_bytes(bytes(file.stat().st_size))


def one_bit(place):
    """Not the last byte of JSON, which is an empty line."""
    def damage(file, home):
        data = bytearray(file.read_bytes())
        data[int(place * (len(data) - 2))] ^= 1
        file.write_bytes(data)
    return damage


def of_another_seed(file, home):
    shutil.copy(home / ("seed" if (file.parent / "checkpoint.pt").exists() else "seed-towers") / file.name, file)


def of_another_version(file, home):
    data = file.read_bytes()
    for old, new in ((b"interplay 5 ", b"interplay 6 "), (b'"format": 5', b'"format": 6')):
        data = data.replace(old, new)
    assert data != file.read_bytes()
    file.write_bytes(data)


def edited(change):
    """A file that somebody has read, changed and written again."""
    def damage(file, home):
        saved = torch.load(file, weights_only=True)
        change(saved)
        torch.save(saved, file)
    return damage


def first_tensor(saved):
    """The first tensor of a nested dict with the dict that holds it and its name."""
    for name, value in saved.items():
        if isinstance(value, torch.Tensor) and value.numel() > 1:
            return saved, name
        if isinstance(value, dict) and (found := first_tensor(value)):
            return found
    return None


def reshaped(saved):
    holder, name = first_tensor(saved)
    holder[name] = holder[name].flatten()[:1]


def other_value(saved):
    holder, name = first_tensor(saved)
    holder[name] = holder[name] + 1


def retyped(saved):
    holder, name = first_tensor(saved)
    holder[name] = "a word"


DAMAGES = {"cut": cut, "emptied": emptied, "zeroed": zeroed, "another seed": of_another_seed,
           "another version": of_another_version,
           **{f"one bit at {place}": one_bit(place) for place in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)}}
EDITS = {"unknown key": lambda saved: saved.update(new=1), "missing key": lambda saved: saved.pop(next(iter(saved))),
         "another shape": reshaped, "another value": other_value, "another type": retyped,
         "nothing": lambda saved: None}


def assert_one_line(arguments, file, capsys):
    capsys.readouterr()
    assert main(arguments) == 2
    assert_said(capsys.readouterr().err, file)


@pytest.mark.parametrize(("run", "name"), [("run", "checkpoint.pt"), ("run", "config.json"), ("towers", "model.pt"),
                                           ("towers", "config.json")])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_in_one_line(damage, run, name, home, tmp_path, capsys):
    folder = shutil.copytree(home / run, tmp_path / "run")
    DAMAGES[damage](folder / name, home)
    if damage == "another seed" and name == "config.json":
        name = "checkpoint.pt" if run == "run" else "model.pt"  # the config is whole, and not theirs
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    read = ["evaluate", str(folder)] if run == "run" else ["recommend", "--run", str(folder)]
    assert_one_line(read, folder / name, capsys)
    if run == "run":
        assert_one_line(["train", "--resume", str(folder)], folder / name, capsys)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(("run", "name"), [("run", "checkpoint.pt"), ("towers", "model.pt")])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_checkpoint_is_named_in_one_line(edit, run, name, home, tmp_path, capsys):
    folder = shutil.copytree(home / run, tmp_path / "run")
    edited(EDITS[edit])(folder / name, home)
    read = ["evaluate", str(folder)] if run == "run" else ["recommend", "--run", str(folder)]
    assert_one_line(read, folder / name, capsys)


def test_a_checkpoint_of_another_market_is_named(home, tmp_path, capsys):
    folder = shutil.copytree(home / "run", tmp_path / "run")
    shutil.copy(home / "market" / "checkpoint.pt", folder)
    assert_one_line(["evaluate", str(folder)], folder / "checkpoint.pt", capsys)


@pytest.mark.parametrize(("old", "new"), [('"seed": 0', '"seed": 5'), ('"items": "rest"', '"items": "random"'),
                                          ('"episodes": 1', '"episodes": "1"'), ('"seed": 0', '"sed": 0'),
                                          ('"seed": 0,', ""), ('"seed": 0', '"seed": 0, "shade": 1')])
def test_an_edited_config_is_refused(old, new, home, tmp_path, capsys):
    folder = shutil.copytree(home / "run", tmp_path / "run")
    text = (folder / "config.json").read_text()
    assert old in text
    (folder / "config.json").write_text(text.replace(old, new, 1))
    assert_one_line(["evaluate", str(folder)], folder / "config.json", capsys)
    assert_one_line(["train", "--resume", str(folder)], folder / "config.json", capsys)


def test_a_checkpoint_that_no_longer_fits_the_agents_is_named(home, tmp_path, capsys):
    """As after an agent's code has changed: the file is whole, and what it holds is not what the agent wants."""
    folder = shutil.copytree(home / "run", tmp_path / "run")
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    made_by = saved.pop("made_by")
    del saved["agents"]["users"]["_draws"]
    save_checkpoint(folder / "checkpoint.pt", saved, made_by)
    assert_one_line(["evaluate", str(folder)], folder / "checkpoint.pt", capsys)


def test_results_are_sealed(home, tmp_path):
    assert read_sealed(home / "run" / "results.json")["preset"] == "kale"
    text = (home / "towers" / "results.json").read_text()
    (tmp_path / "results.json").write_text(re.sub(r'"epochs": \d+', '"epochs": 99', text))
    with refused(tmp_path / "results.json", "checksum"):
        read_sealed(tmp_path / "results.json")


def test_json_holds_null_where_nothing_is_defined(tmp_path):
    write_sealed(tmp_path / "x.json", {"a": [math.nan, 1.5], "b": {"c": -math.inf, "d": (1, None, True)}})
    assert "NaN" not in (tmp_path / "x.json").read_text()
    assert read_sealed(tmp_path / "x.json") == {"a": [None, 1.5], "b": {"c": None, "d": [1, None, True]}}


def test_a_checkpoint_holds_all_that_was_put_in(tmp_path):
    state = {"half": torch.randn(3, generator=torch.Generator().manual_seed(0)).bfloat16(), "none": None,
             "nested": [{"flags": torch.tensor([True, False])}, (1, 2.5, "x")], "scalar": torch.tensor(3),
             "empty": torch.zeros(0, 4)}
    save_checkpoint(tmp_path / "x.pt", state, {"seed": 3})
    found = load_checkpoint(tmp_path / "x.pt", {"seed": 3})
    assert found.keys() == state.keys()
    assert torch.equal(found["half"], state["half"])
    assert torch.equal(found["nested"][0]["flags"], state["nested"][0]["flags"])
    assert found["nested"][1] == (1, 2.5, "x")
    with refused(tmp_path / "x.pt", "seed"):
        load_checkpoint(tmp_path / "x.pt", {"seed": 4})


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "x.pt", {"a": 1}, {})

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*x\.pt"):
        save_checkpoint(tmp_path / "x.pt", {"a": 2}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
    assert load_checkpoint(tmp_path / "x.pt", {}) == {"a": 1}


@dataclass(frozen=True)
class Mixed:
    """Every type that settings have."""

    path: Path | None = None
    pair: tuple[float, float] | None = None
    words: tuple[str, ...] = ()
    kind: Literal["a", "b"] = "a"
    flag: bool = False
    count: int | None = None
    share: float = 0.5


FULL = Mixed(Path("/nowhere/x"), (0.0, 1.5), ("p", "q"), "b", True, 3, 1e-3)


def test_settings_come_back_as_they_were():
    for settings in (Mixed(), FULL):
        assert from_json(Mixed, to_json(settings), Path("x.json")) == settings
    train = TrainSettings(log=Path("/nowhere/log.csv"), clip_rewards=(0.0, 5.0), market=("horizon=3",), discount=0.5)
    assert TrainSettings.from_json(train.to_json()) == replace(train, log_dir=Path("runs"))
    pretrain = PretrainSettings(log=Path("movielens-1m"), reward_range=(1.0, 5.0), typed="x", encoder="gru")
    assert PretrainSettings.from_json(pretrain.to_json()) == pretrain


@pytest.mark.parametrize("change", [
    {"path": 3}, {"pair": [1.0]}, {"pair": [1.0, "2"]}, {"pair": 1.0}, {"words": "pq"}, {"words": [1]}, {"kind": "c"},
    {"flag": 1}, {"flag": None}, {"count": 1.5}, {"count": True}, {"share": "0.5"}, {"share": True}, {"share": None},
    {"share": math.nan}])
def test_settings_of_wrong_types_are_named(change):
    values = {**json.loads(to_json(FULL)), **change}
    del values["format"], values["digest"]
    (name,) = change
    with refused("x.json", name) as found:
        from_json(Mixed, sealed(values), Path("x.json"))
    assert not re.search(r"None|True|class|typing|\bint\b", str(found.value)), found.value


@pytest.mark.parametrize(("change", "named"), [(lambda v: v.pop("flag"), "flag"), (lambda v: v.update(flog=1), "flog")])
def test_settings_with_other_keys_are_named(change, named):
    values = unsealed(to_json(FULL), Path("x.json"))
    change(values)
    with refused("x.json", named):
        from_json(Mixed, sealed(values), Path("x.json"))


def test_settings_that_json_cannot_hold_are_named():
    with refused("share", math.nan):
        to_json(Mixed(share=math.nan))


def test_every_field_of_both_commands_is_kept_but_those_of_one_command_alone():
    for kind in (TrainSettings, PretrainSettings):
        kept = json.loads(kind().to_json()).keys() - {"format", "digest"}
        assert {f.name for f in fields(kind)} - kept <= {"resume", "allow_code", "more_episodes"}


@pytest.mark.parametrize("name", ["..", ".", "", "../other", "/absolute", "a/b", "a\\b"])
@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_names_stay_inside_the_log_dir(name, command, home, tmp_path, capsys):
    given = TRAIN if command == "train" else [*PRETRAIN, "--log", str(home / "log.csv")]
    assert main([*given, "--log-dir", str(tmp_path / "in"), "--name", name]) == 2
    assert_said(capsys.readouterr().err, *(["name", name] if name else ["--name"]), fix="--log-dir" if name else ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_a_run_is_written_by_one_process_at_a_time(command, home, tmp_path, capsys):
    folder = shutil.copytree(home / ("run" if command == "train" else "towers"), tmp_path / "run")
    (folder / "results.json").unlink()
    capsys.readouterr()
    with owned(folder):
        assert main([command, "--resume", str(folder)]) == 2
        assert_said(capsys.readouterr().err, folder, os.getpid())
    (folder / "lock").write_text("4194000\n")  # of a process that was killed
    assert main([command, "--resume", str(folder)]) == 0
    assert (folder / "results.json").is_file()
    assert not (folder / "lock").exists()


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_two_runs_may_begin_in_one_second(command, home, tmp_path, monkeypatch):
    given = TRAIN if command == "train" else [*PRETRAIN, "--log", str(home / "log.csv")]
    monkeypatch.setattr("time.strftime", lambda form: "20300101-000000")
    for _ in range(2):
        assert main([*given, "--log-dir", str(tmp_path)]) == 0
    first, second = sorted(path.name for path in tmp_path.iterdir())
    assert second == f"{first}-1"
    for name in (first, second):
        assert read_sealed(tmp_path / name / "results.json")


@pytest.mark.parametrize(("left", "is_used"), [((), True), (("lock",), True), (("lock", "config.json.part"), True),
                                               (("config.json",), False), (("notes.txt",), False)])
def test_a_folder_that_a_killed_process_left_empty_is_used(tmp_path, left, is_used):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in left:
        (folder / name).write_text("")
    if is_used:
        with new_folder(tmp_path, "run", "other") as made:
            assert made == folder
        with owned(folder), refused("name", "run", fix="--resume"), new_folder(tmp_path, "run", "other"):
            pass  # another process has just begun there
    else:
        with refused("name", "run", fix="--resume"), new_folder(tmp_path, "run", "other"):
            pass
    assert folder.is_dir()
