"""Part "files": damaged and edited files of runs, which must be refused, or read as if they were whole."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch

from interplay.experiments.studies.faults.inside import quiet
from interplay.experiments.studies.faults.processes import forked
from interplay.experiments.studies.faults.rows import Row, judged, refusal_problems
from interplay.experiments.studies.faults.same import differences
from interplay.experiments.studies.faults.subjects import pretrained, trained, write_log
from interplay.experiments.studies.faults.trips import Trip

PART = "files"

Damage = Callable[[Path, Random], None]


class _Reader(NamedTuple):
    """A folder of files, and a command that reads them.

    Attributes:
        folder: which is copied before it is damaged.
        arguments: of the command, given the copy.
        like: a folder with what the command comes to if the files are whole; None if they must be refused.
        kept: files that are compared with it.
    """

    folder: Path
    arguments: Callable[[Path], list[str]]
    like: Path | None = None
    kept: tuple[str, ...] = ()


def damaged_files(count: int, draws: Random, place: Path, only: str = "") -> list[Row]:
    """Damage ``count`` files, each in a copy of its folder, and have them read by commands that start so."""
    made = _Made(place)
    cases = [case for case in _cases(made) if case[1].startswith(only)]
    chosen = sorted(draws.sample(range(len(cases)), min(count, len(cases))))
    return [_tried(*cases[number], made, draws, place / f"case{number}") for number in chosen]


def _tried(file: str, reader: str, what: str, damage: Damage, made: _Made, draws: Random, copy: Path) -> Row:
    kind = _reader(made, reader)
    shutil.copytree(kind.folder, copy)
    damage(copy / file, draws)
    before = {path.relative_to(copy) for path in copy.rglob("*")}
    status, error = quiet(kind.arguments(copy))
    if status == 0 and kind.like is not None:
        problems = [f"accepted, with other figures: {found}" for found in differences(kind.like, copy, *kind.kept)[:1]]
    else:
        problems = refusal_problems(status, error)
    lost = [path for path in before if not (copy / path).exists() and path.name != "lock"]
    problems += [f"lost {path}" for path in lost] if status != 0 else []
    return judged(PART, f"{reader} with {file} {what}", problems)


class _Made:
    """Runs that are finished or stopped, each made when it is first asked for.

    Args:
        place: folder for them.
    """

    def __init__(self, place: Path) -> None:
        self.place, self._log = place, place / "log.csv"
        write_log(self._log)

    def __getitem__(self, name: str) -> Path:
        folder = self.place / name
        if not folder.exists():
            arguments, trip = self._wanted(name)
            end = forked(arguments, folder.with_suffix(".out"), trip)
            if end.status != (0 if trip is None else 128 + trip.signal):
                raise RuntimeError(f"{name} cannot be made: status {end.status}, {end.error[-300:]}")
        return folder

    def _wanted(self, name: str) -> tuple[list[str], Trip | None]:
        """The command line, and where the run is stopped."""
        train, pretrain, folder = trained()[0], pretrained(self._log)[0], self.place / name
        if name == "benchmark":
            return [*_BENCHMARK, str(folder)], None
        if name == "other market":
            return trained()[1].fresh(folder), None
        subject = pretrain if name.startswith("towers") else train
        options = {"wider": ("--user-option", "hidden=32"), "other seed": ("--seed", "4"),
                   "towers, wider": ("--size", "16")}.get(name, ())
        trips = {"part": Trip("play", 70, signal.SIGTERM), "towers, part": Trip("learn", 7, signal.SIGTERM)}
        return subject._replace(arguments=(*subject.arguments, *options)).fresh(folder), trips.get(name)


_BENCHMARK = ["benchmark", "--presets", "contest", "--agents", "linucb", "--seeds", "1", "--scale", "0.005", "--out"]


def _reader(made: _Made, name: str) -> _Reader:
    if name == "train --resume, curve":
        return _Reader(made["part"], lambda copy: ["train", "--resume", str(copy)], made["whole"], trained()[0].kept)
    arguments: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
        "train --resume": ("part", lambda copy: ["train", "--resume", str(copy)]),
        "evaluate": ("whole", lambda copy: ["evaluate", str(copy)]),
        "pretrain --resume": ("towers, part", lambda copy: ["pretrain", "--resume", str(copy)]),
        "recommend": ("towers", lambda copy: ["recommend", "--run", str(copy), "--user", "1"]),
        "benchmark": ("benchmark", lambda copy: [*_BENCHMARK, str(copy)])}
    folder, command = arguments[name]
    return _Reader(made[folder], command)


def _cases(made: _Made) -> Iterator[tuple[str, str, str, Damage]]:
    """File, reader, what is done, and how."""
    damage: Damage
    for file, reader in (("config.json", "train --resume"), ("config.json", "evaluate"),
                         ("config.json", "pretrain --resume"), ("config.json", "recommend"),
                         ("checkpoint.pt", "train --resume"), ("checkpoint.pt", "evaluate"),
                         ("training.pt", "pretrain --resume"), ("model.pt", "recommend")):
        for what, damage in (("cut in half", _halved), ("empty", _emptied), ("with a flipped bit", _flipped)):
            yield file, reader, what, damage
    for reader in ("train --resume", "evaluate"):
        for name, value in (("seed", 4), ("preset", "kale-null"), ("num_worlds", 8), ("nope", 1), ("users", "pqn")):
            yield "config.json", reader, f"with {name}={value!r}", _edited(name, value)
        yield "config.json", reader, "without discount", _without("discount")
    yield "config.json", "pretrain --resume", "with size=16", _edited("size", 16)
    yield "config.json", "recommend", "with encoder='cnn'", _edited("encoder", "cnn")
    for other in ("other market", "wider", "other seed"):
        yield "checkpoint.pt", "evaluate", f"of the run {other!r}", _replaced(made, other)
    yield "model.pt", "recommend", "of a wider model", _replaced(made, "towers, wider")
    for file, reader in (("checkpoint.pt", "evaluate"), ("model.pt", "recommend"),
                         ("training.pt", "pretrain --resume")):
        yield file, reader, "with another weight", _another_weight
        yield file, reader, "with one entry more", _another_entry
    result = "runs/contest-linucb-s0/results.json"
    for what, damage in (("cut in half", _halved), ("with seed=7", _edited("seed", 7)),
                         ("with one key more", _edited("nope", 1)), ("without evaluation", _without("evaluation"))):
        yield result, "benchmark", what, damage
    for what, damage in (("cut within a row", _cut_row), ("empty", _emptied), ("with another number", _another_number),
                         ("with a row of words", _row_of_words)):
        yield "curve.csv", "train --resume, curve", what, damage


def _halved(path: Path, draws: Random) -> None:
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def _emptied(path: Path, draws: Random) -> None:
    path.write_bytes(b"")


def _flipped(path: Path, draws: Random) -> None:
    """One bit, of a byte that counts: of a text, not of blanks; of weights, not of the archive's padding."""
    content = bytearray(path.read_bytes())
    place = _place_in_tensor(path, bytes(content), draws) if path.suffix == ".pt" else _place_in_text(content, draws)
    content[place] ^= 1
    path.write_bytes(content)


def _place_in_text(content: bytearray, draws: Random) -> int:
    return draws.choice([place for place, byte in enumerate(content) if chr(byte).isalnum()])


def _place_in_tensor(path: Path, content: bytes, draws: Random) -> int:
    tensors = [tensor for tensor in _tensors(torch.load(path, weights_only=True)) if tensor.numel() > 8]
    data = draws.choice(tensors).contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return content.index(data) + draws.randrange(len(data))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _edited(name: str, value: Any) -> Damage:
    def damage(path: Path, draws: Random) -> None:
        values = json.loads(path.read_text(encoding="utf-8")) | {name: value}
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    return damage


def _without(name: str) -> Damage:
    def damage(path: Path, draws: Random) -> None:
        values = json.loads(path.read_text(encoding="utf-8"))
        del values[name]
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    return damage


def _replaced(made: _Made, other: str) -> Damage:
    def damage(path: Path, draws: Random) -> None:
        path.write_bytes((made[other] / path.name).read_bytes())

    return damage


def _another_weight(path: Path, draws: Random) -> None:
    saved = torch.load(path, weights_only=True)
    tensor = next(tensor for tensor in _tensors(saved) if tensor.is_floating_point() and tensor.dim())
    tensor[(0,) * tensor.dim()] += 1.0
    torch.save(saved, path)


def _another_entry(path: Path, draws: Random) -> None:
    torch.save({**torch.load(path, weights_only=True), "nope": 1}, path)


def _cut_row(path: Path, draws: Random) -> None:
    path.write_text(path.read_text(encoding="utf-8")[:-7], encoding="utf-8")


def _another_number(path: Path, draws: Random) -> None:
    head, first, *rest = path.read_text(encoding="utf-8").splitlines()
    cells = first.split(",")
    cells[2] = str(float(cells[2]) + 1.0)
    path.write_text("\n".join([head, ",".join(cells), *rest]) + "\n", encoding="utf-8")


def _row_of_words(path: Path, draws: Random) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "these,are,five,words,here\n", encoding="utf-8")
