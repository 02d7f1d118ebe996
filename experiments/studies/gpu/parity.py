"""Whether worlds go the same way on the device as on the CPU, with the torch code and with the kernels there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from interplay.envs import kernels, noise
from interplay.envs.presets import find_preset, presets
from interplay.envs.types import SIDES, TensorRecord
from interplay.experiments.studies.gpu.bench import Bench, Case, Row
from interplay.experiments.studies.gpu.playing import random_actions

_STEPS = 50
_CPU = torch.device("cpu")


def cases(bench: Bench) -> Iterator[Case]:
    """Noise and every preset, beside the CPU's torch code and beside its kernels, which numba compiles first."""
    paths = ("torch", "kernels") if kernels.available() else ("torch",)
    for path in paths:  # those beside kernels last: compiling these takes long
        for name in ("noise", *presets()):
            measure = partial(_noise, bench, path) if name == "noise" else partial(_play, bench, name, path)
            yield Case({"preset": name, "beside": path}, measure)


def _on_cpu(path: str) -> Any:
    """A block in which the CPU goes this way."""
    return kernels.switched_off() if path == "torch" else nullcontext()


class Difference:
    """The largest so far between what two devices give.

    Attributes:
        discrete: integers and booleans that differ.
        largest: the largest absolute difference of floats.
        where: the table that has it.
        first: step of the first difference of any kind; None if there is none.
    """

    def __init__(self) -> None:
        self.discrete, self.largest, self.where = 0, 0.0, ""
        self.first: int | None = None

    def add(self, step: int, here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> None:
        """Compare tables of one name."""
        for name, one in here.items():
            other = there[name].cpu()
            if one.numel() == 0 or torch.equal(one, other):
                continue
            if one.is_floating_point():
                self._add_float(name, one, other)
            else:
                self.discrete += int((one != other).sum())
            self.first = step if self.first is None else self.first

    def _add_float(self, name: str, one: Tensor, other: Tensor) -> None:
        gap = float((one.double() - other.double()).nan_to_num(0.0).abs().max())
        if gap > self.largest:
            self.largest, self.where = gap, name

    def row(self) -> Row:
        """Columns."""
        return {"equal": self.first is None, "first_step": self.first, "discrete": self.discrete,
                "largest": self.largest, "where": self.where}


def tables_of(record: TensorRecord) -> dict[str, Tensor]:
    """The tensors of a record by dotted name."""
    return dict(_tables("", record.state_dict()))


def _tables(before: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _tables(f"{before}{name}.", value)
        elif value is not None:
            yield f"{before}{name}", value


def _noise(bench: Bench, path: str) -> Row:
    """Bits of uniform draws and places of chosen actions; normal and Gumbel draws go through logarithms."""
    found = Difference()
    for step in range(4):
        drawn = []
        for device in (_CPU, bench.device):
            with _on_cpu(path):
                drawn.append(_draws(device, step))
        found.add(step, *drawn)
    return {"steps": 4, **found.row()}


def _draws(device: torch.device, step: int) -> dict[str, Tensor]:
    key = noise.world_key(7, torch.arange(5, device=device))
    times = torch.full((5,), step, dtype=torch.int32, device=device)
    mask = noise.uniform(key, times, noise.Stream.REPLAY, (300, 9)) < 0.7
    mask[..., 0] = True
    return {"key": key, "uniform": noise.uniform(key, times, noise.Stream.SLATE, (1000,)),
            "any_of": noise.any_of(key, times, noise.Stream.ACTION, mask),
            "gumbel": noise.gumbel(key, times, noise.Stream.SLATE, (1000,)),
            "normal": noise.normal(key, times, noise.Stream.DRIFT, (1000,))}


def _play(bench: Bench, name: str, path: str) -> Row:
    """The same actions on both; states, observations and outcomes are compared in every step."""
    here, there = (find_preset(name).market(device) for device in (_CPU, bench.device))
    worlds, found = range(bench.sized(64 if here.config.num_users == 1 else 8, 2)), Difference()
    steps = bench.sized(min(_STEPS, here.config.horizon), 3)
    with _on_cpu(path):
        state = here.reset(worlds)
    other = there.reset(worlds)
    for step in range(steps):
        found.add(step, tables_of(state), tables_of(other))
        with _on_cpu(path):
            seen = {side: here.observe(state, side) for side in SIDES}
            action = random_actions(state, seen["users"].mask, seen["items"].mask)
            state, done = here.step(state, *action)
        for side in SIDES:
            found.add(step, tables_of(seen[side]), tables_of(there.observe(other, side)))
        other, outcome = there.step(other, *(a.to(bench.device) for a in action))
        found.add(step, tables_of(done), tables_of(outcome))
    return {"steps": steps, "worlds": len(worlds), **found.row()}
