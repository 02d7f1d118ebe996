"""A whole step compiles into one graph, and goes the same way."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from interplay.envs import kernels
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import find_preset, presets
from interplay.envs.types import SIDES
from interplay.envs.world import State

WORLDS = torch.tensor([2, 0, 7])


def step_of(market: Market, with_platform: bool) -> Callable[[State], tuple[State, list[Tensor]]]:
    """One step with random actions, and a reset; gives the new state, and all else that came of it."""

    def step(state: State) -> tuple[State, list[Tensor]]:
        state = state.map(lambda table: table)  # knows nothing of its people yet, like a state read from buffers
        seen = [market.observe(state, side) for side in SIDES]
        if with_platform:
            seen.append(market.observe(state, "platform"))
            slots = seen[-1].ids[..., :state.slate.items.shape[2]] + 1
            state = market.offer(state, slots)
            seen[0] = market.observe(state, "users")
        action = [any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen[:2]]
        state, happened = market.step(state, *action)
        begun = market.reset(WORLDS)
        return state, [table for record in (*seen, happened, begun) for table in record.tensors()]

    return step


def kinds() -> list[str]:
    """A preset of each kind: what others change of it are numbers, or the number of items."""
    variants = ("-null", "-fast", "-three", "-four", "-cheapest", "-noisy", "-hidden")
    return [name for name in presets() if not name.endswith(variants)]


@pytest.mark.parametrize(("name", "backend"), [
    *(pytest.param(name, "eager", marks=pytest.mark.slow) for name in ("feed", "kale-partial", "coach")),
    *(pytest.param(name, "aot_eager", marks=pytest.mark.slow) for name in kinds())])
def test_observations_a_step_and_a_reset_compile_into_one_graph(name: str, backend: str) -> None:
    """``aot_eager`` makes it without what is written in place, as generated code needs it."""
    preset = find_preset(name)
    market = preset.market()
    step = step_of(market, preset.training.side == "platform")
    torch.compiler.reset()
    compiled = torch.compile(step, fullgraph=True, backend=backend)
    one = other = market.reset(range(3))
    with kernels.switched_off():
        for _ in range(3):
            (one, seen), (other, also_seen) = step(one), compiled(other)
            for a, b in zip([*one.tensors(), *seen], [*other.tensors(), *also_seen], strict=True):
                assert torch.equal(a.nan_to_num(), b.nan_to_num())


def test_a_compiled_market_plays_the_same_game(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without generated code, which takes a minute here."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    market = find_preset("feed").market()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    compiled = market.compiled()
    one, other = step_of(market, True), step_of(compiled, True)
    state = market.reset(range(2))
    with kernels.switched_off():
        for a, b in zip(one(state)[1], other(state)[1], strict=True):
            assert torch.equal(a.nan_to_num(), b.nan_to_num())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 5  # users, items, platform, offer, step
    assert not vars(market).keys() & {"step", "observe"}
