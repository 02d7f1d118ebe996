"""Whether two runs came to the same, to the bit; what depends on the clock is left out."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_CLOCK = ("wall_seconds", "seconds", "agent_steps_per_second", "digest", "made_by", "curve")
"""Names of values that hold a time, or a checksum over one. The curve is compared as a file."""


def differences(one: Path, other: Path, *names: str) -> list[str]:
    """What differs between the files of these names in two folders."""
    return [f"{name}: {difference}" for name in names for difference in _of_file(one / name, other / name)]


def _of_file(one: Path, other: Path) -> Iterator[str]:
    if not one.is_file() or not other.is_file():
        yield "missing"
        return
    try:
        yield from _of_values(_read(one), _read(other), "")
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        yield f"unreadable ({type(error).__name__})"


def _read(path: Path) -> Any:
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _of_values(one: Any, other: Any, place: str) -> Iterator[str]:
    """Places at which nested values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            yield f"{place}: other names"
        for name in one.keys() & other.keys():
            if name not in _CLOCK:
                yield from _of_values(one[name], other[name], f"{place}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield f"{place}: {len(one)} values and {len(other)}"
        for number, (value, its) in enumerate(zip(one, other, strict=False)):
            yield from _of_values(value, its, f"{place}[{number}]")
    elif not _equal(one, other):
        yield f"{place} differs"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    return type(one) is type(other) and (one == other or (one != one and other != other))


def _bits(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
