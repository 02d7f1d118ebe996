"""How many operators of torch a step takes: on a GPU each is a kernel to launch, or several."""

from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from interplay.envs import kernels
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES


class Counter(TorchDispatchMode):
    """Counts calls of operators, without those that give views alone.

    Draws of noise and of slates (``interplay::uniform``, ``interplay::draw_slates``) count as one operator a call, as
    each is one kernel on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = [each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns]
        self.count += not all(views)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "most"), [("kale", 91), ("town", 169)])
def test_both_sides_observe_and_step_in_so_many_operators(name: str, most: int) -> None:
    market = find_preset(name).market()
    with kernels.switched_off():
        state = market.reset(range(4))
        for _ in range(2):  # what the first step finds out about the people is kept
            seen = [market.observe(state, side) for side in SIDES]
            action = [any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen]
            state, _ = market.step(state, *action)
        with Counter() as counter:
            for side in SIDES:
                market.observe(state, side)
            market.step(state, *action)
    assert 0 < counter.count <= most
