"""Agent-steps a second of the market alone, by number of worlds and way to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch

from interplay.envs.market import Market
from interplay.envs.presets import find_preset
from interplay.experiments.studies.gpu.bench import Bench, Case, Row, repeated
from interplay.experiments.studies.gpu.playing import CAPTURED, COMPILED, EAGER, Loop, loop_of

_BIG_TOWN = {"num_users": 2_000, "num_items": 50, "slate_size": 3}
_CITY = {"num_users": 100_000, "num_items": 10_000, "slate_size": 3, "num_candidates": 50}
_SMALL_TOWN = {"num_users": 6, "num_items": 5, "slate_size": 3}


class Size(NamedTuple):
    """A market and how many worlds of it."""

    preset: str
    worlds: int
    changes: Mapping[str, Any] = {}

    def market(self, bench: Bench) -> Market:
        """The market."""
        return find_preset(self.preset).market(bench.device, **self.changes)

    @property
    def row(self) -> Row:
        """Columns that name it."""
        return {"preset": self.preset, "worlds": self.worlds, **self.changes}


_FULL = (*(Size("kale", 1 << n) for n in range(8, 20)), *(Size("town", 1 << n) for n in range(4, 14)),
         *(Size("town", worlds, _BIG_TOWN) for worlds in (1, 16, 256)), Size("town", 1, _CITY))
_TINY = (Size("kale", 4), Size("town", 2, _SMALL_TOWN))
_COMPILED = (Size("kale", 1 << 17), Size("town", 1 << 8))


def cases(bench: Bench) -> Iterator[Case]:
    """Each size captured and eager."""
    for size in bench.sized(_FULL, _TINY):
        for mode in (CAPTURED, EAGER):
            yield Case({**size.row, "mode": mode}, partial(_measure, bench, size, mode))


def cases_compiled(bench: Bench) -> Iterator[Case]:
    """Compiled and captured, at one size of each preset, since compiling takes long. It needs a GPU."""
    for size in _COMPILED if bench.on_gpu else ():
        yield Case({**size.row, "mode": COMPILED}, partial(_measure, bench, size, COMPILED))


@torch.no_grad()
def _measure(bench: Bench, size: Size, mode: str) -> Row:
    market = size.market(bench)
    config, loop = market.config, loop_of(mode, market, size.worlds)
    repeated(loop.replay, bench.sized(3, 1))
    seconds = bench.seconds_of(_endless(loop, config.horizon))
    agents = size.worlds * (config.num_users + config.num_items)
    return {"agent_steps_per_s": agents / seconds, "ms": 1e3 * seconds, "agents": agents, **bench.memory()}


def _endless(loop: Loop, horizon: int) -> Callable[[], None]:
    """A step, and new worlds where the episode is over."""
    steps = 0

    def step() -> None:
        nonlocal steps
        loop.replay()
        steps += 1
        if steps % horizon == 0:
            loop.reset()

    return step
