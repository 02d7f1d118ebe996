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
from interplay.experiments.studies.faults.subjects import Subject, pretrained, trained, write_log
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


def damaged_files(count: int, draws: Random, place: Path) -> list[Row]:
    """Damage ``count`` files, each in a fresh copy of its folder, and have them read."""
    readers = _readers(place)
    cases = list(_cases(place))
    chosen = sorted(draws.sample(range(len(cases)), min(count, len(cases))))
    return [_tried(*cases[number], readers, draws, place / f"case{number}") for number in chosen]


def _tried(file: str, reader: str, what: str, damage: Damage, readers: dict[str, _Reader], draws: Random,
           copy: Path) -> Row:
    kind = readers[reader]
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


def _readers(place: Path) -> dict[str, _Reader]:
    """Runs that are finished or stopped, made here."""
    log = place / "log.csv"
    write_log(log)
    train, pretrain = trained()[0], pretrained(log)[0]
    whole, part = _made(train, place / "train"), _made(train, place / "train-part", Trip("play", 70, signal.SIGTERM))
    towers = _made(pretrain, place / "pretrain")
    begun = _made(pretrain, place / "pretrain-part", Trip("learn", 7, signal.SIGTERM))
    out = place / "benchmark"
    arguments = ["benchmark", "--presets", "contest", "--agents", "linucb", "--seeds", "1", "--scale", "0.005", "--out"]
    assert forked([*arguments, str(out)], place / "benchmark.out").status == 0
    _made(trained()[1], place / "other")
    _made(train._replace(arguments=(*train.arguments, "--user-option", "hidden=32")), place / "wider")
    _made(train._replace(arguments=(*train.arguments, "--seed", "4")), place / "seed")
    _made(pretrain._replace(arguments=(*pretrain.arguments, "--size", "16")), place / "towers-wider")
    return {"train --resume": _Reader(part, lambda copy: ["train", "--resume", str(copy)]),
            "train --resume, curve": _Reader(part, lambda copy: ["train", "--resume", str(copy)], whole, train.kept),
            "evaluate": _Reader(whole, lambda copy: ["evaluate", str(copy)]),
            "pretrain --resume": _Reader(begun, lambda copy: ["pretrain", "--resume", str(copy)]),
            "recommend": _Reader(towers, lambda copy: ["recommend", "--run", str(copy), "--user", "1"]),
            "benchmark": _Reader(out, lambda copy: [*arguments, str(copy)])}


def _made(subject: Subject, folder: Path, trip: Trip | None = None) -> Path:
    end = forked(subject.fresh(folder), folder.with_suffix(".out"), trip)
    if end.status != (0 if trip is None else 128 + trip.signal) or not folder.is_dir():
        raise RuntimeError(f"{subject.name} cannot be made: status {end.status}, {end.error[-300:]}")
    return folder


def _cases(place: Path) -> Iterator[tuple[str, str, str, Damage]]:
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
    for other in ("other", "wider", "seed"):
        yield "checkpoint.pt", "evaluate", f"of the run {other}", _replaced(place / other / "checkpoint.pt")
    yield "model.pt", "recommend", "of a wider model", _replaced(place / "towers-wider" / "model.pt")
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


def _replaced(other: Path) -> Damage:
    def damage(path: Path, draws: Random) -> None:
        path.write_bytes(other.read_bytes())

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
