"""A guard of speed that is no timed test: what one step may launch, allocate and wait for.

Budgets are what was counted when they were last set, and a little more. A change that needs more has to say why, here;
one that needs less passes, and may lower them.
"""

import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interplay.envs import kernels
from interplay.envs.presets import find_preset
from interplay.experiments.common.settings import TrainSettings
from interplay.experiments.loop.run import Run

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique_dim", "_unique2", "equal"}


class Count(NamedTuple):
    """Operations of torch that compute something, bytes of new memory, and waits of the host for values.

    Of what numpy allocates, for kernels, that counts which outlives the call.
    """

    launches: int
    allocated: int
    waits: int


class Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.launches = self.allocated = self.waits = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: tuple[Any, ...] = (),
                           options: Mapping[str, Any] | None = None) -> Any:
        result = function(*arguments, **(options or {}))
        given = {x.untyped_storage().data_ptr() for x in tensors(arguments)}
        made = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors((result,))}
        new = sum(size for place, size in made.items() if place not in given)
        changes = function._schema.is_mutable
        self.launches += changes or new > 0
        self.allocated += new
        self.waits += function._schema.name.removeprefix("aten::") in WAITING
        return result


def tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    return [x for value in values for x in tensors(value)] if isinstance(values, list | tuple) else []


def counted(call: Callable[[], object]) -> Count:
    tracemalloc.start()
    try:
        with Counter() as counter:
            made = call()
        of_numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([of_numpy]).traces
    finally:
        tracemalloc.stop()
    del made
    return Count(counter.launches, counter.allocated + sum(trace.size for trace in traces), counter.waits)


@pytest.fixture(params=[True, False], ids=["kernels", "torch"])
def with_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        pytest.importorskip("numba")
    monkeypatch.setattr(kernels, "available", lambda: request.param)
    return request.param


def step(preset: str) -> Callable[[], object]:
    """Observations of both sides and a step, of eight worlds that have gone on for a while."""
    market = find_preset(preset).market()
    state = market.reset(range(8))
    nothing = [torch.zeros(8, market.specs[side].num_agents, dtype=torch.int64) for side in ("users", "items")]
    for _ in range(3):
        state, _ = market.step(state, *nothing)
        market.observe(state, "users")  # tables that are made once are there

    def call() -> object:
        return market.observe(state, "users"), market.observe(state, "items"), market.step(state, *nothing)

    return call


def training(agent: str) -> Callable[[], object]:
    """Sixteen iterations after the warm-up, for not every learner learns in each."""
    run = Run.start(TrainSettings(preset="town", users=f"{agent}{WARM.get(agent, '')}", items="rest", device="cpu"),
                    Path())
    for _ in range(4):
        run.step()

    def call() -> None:
        for _ in range(16):
            run.step()

    return call


WARM = {"dqn": ",warm_up=100", "shared-critic": ",warm_up=100"}
# A kernel counts as nothing, whatever it does, and so does its wait for close calls: of a CPU for itself.
STEPS = {("kale", True): Count(24, 7_000, 0), ("kale", False): Count(240, 16_000, 0),
         ("town", True): Count(16, 310_000, 0), ("town", False): Count(515, 2_900_000, 0)}
TRAINING = {"q-learning": Count(9_700, 25_000_000, 0), "dqn": Count(14_800, 170_000_000, 0),
            "pqn": Count(13_200, 312_000_000, 0), "shared-critic": Count(15_800, 277_000_000, 0)}


@pytest.mark.parametrize("preset", ["kale", "town"])
def test_a_step_keeps_its_budget(preset: str, with_kernels: bool) -> None:
    within(counted(step(preset)), STEPS[preset, with_kernels])


@pytest.mark.parametrize("agent", list(TRAINING))
def test_training_keeps_its_budget(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "available", lambda: False)
    within(counted(training(agent)), TRAINING[agent])


def within(found: Count, budget: Count) -> None:
    assert all(a <= b for a, b in zip(found, budget, strict=True)), f"{found} is over the budget, {budget}"
