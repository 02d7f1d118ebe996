"""A GPU's kernels play the steps that the torch code plays, in every kind of market."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from interplay.envs import kernels
from interplay.envs.market import Market
from interplay.envs.noise import Stream, any_of
from interplay.envs.presets import find_preset
from interplay.envs.types import SIDES

# All mechanisms; own slates of few worlds; no boosts; levels of mechanisms; lists of candidates; a catalogue of stock.
MARKETS: tuple[tuple[str, dict[str, int]], ...] = (
    ("town", {}), ("town", {"num_users": 12, "num_items": 9, "embedding_size": 3}), ("kale", {}), ("pricing", {}),
    ("tutor", {}), ("shop", {}))
KERNELS = {"items_gpu", "users_gpu", "tables_gpu", "interplay.envs.slates_gpu"}


def played(market: Market, steps: int) -> list[list[Tensor]]:
    """What comes of some steps with random actions, one in three of them forbidden ones."""
    state, rows = market.reset(range(3)), []
    for number in range(steps):
        seen = [market.observe(state, side) for side in SIDES]
        action = [any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen]
        if number == 1:
            action = [action[0] - 1, action[1] + 1]
        state, step = market.step(state, *action)
        rows.append([table for record in (*seen, step, state) for table in record.tensors()])
    return rows


class Counter(TorchDispatchMode):
    """Counts kernels: operators of torch that work on values, and launches of Triton's."""

    def __init__(self) -> None:
        from triton.runtime.interpreter import InterpretedFunction

        super().__init__()
        self.count, self._launching, run = 0, False, InterpretedFunction.run

        def launch(*arguments: Any, **options: Any) -> None:
            self._launching, self.count = True, self.count + 1
            run(*arguments, **options)
            self._launching = False

        self._undo = partial(setattr, InterpretedFunction, "run", run)
        InterpretedFunction.run = launch

    def __exit__(self, *error: Any) -> None:
        self._undo()
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = [each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns]
        self.count += not (self._launching or all(views) or "empty" in func.name())
        return func(*args, **(kwargs or {}))


def count_kernels() -> None:
    """Both sides of town observe, and a step."""
    of_gpu, kernels.of_gpu = kernels.of_gpu, lambda name, tensor: kernels.compiled(name)
    market = find_preset("town").market()
    state, counts = market.reset(range(3)), []
    for _ in range(2):  # what the first step finds out about the people is kept
        with Counter() as counter:
            seen = [market.observe(state, side) for side in SIDES]
            action = [any_of(state.key, state.time, Stream.ACTION, each.mask) for each in seen]
            state, _ = market.step(state, *action)
        counts.append(counter.count)
    kernels.of_gpu = of_gpu
    assert 0 < counts[-1] <= 29, counts


def compare_kernels() -> None:
    """Compare what Triton's interpreter plays with the reference."""
    from interplay.envs.kernels import items_gpu

    items_gpu._COUNTED = 20  # so that those of the large town are added up elsewhere
    used, of_gpu = set(), kernels.of_gpu

    def on_cpu(name: str, tensor: Tensor) -> object:
        used.add(name)
        return kernels.compiled(name)

    for name, sizes in MARKETS:
        market = find_preset(name).market(**sizes)
        expected = played(market, 3)
        kernels.of_gpu = on_cpu
        found = played(market, 3)
        kernels.of_gpu = of_gpu
        for step, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            for one, other in zip(ours, theirs, strict=True):
                exact = not one.is_floating_point()
                torch.testing.assert_close(one, other, rtol=0, atol=0 if exact else 5e-6, equal_nan=True,
                                           msg=lambda text, case=(name, sizes, step): f"{case}: {text}")
    assert used == KERNELS


def test_the_kernels_of_a_gpu_play_the_same_game(interpreted: Callable[[str], None]) -> None:
    interpreted(__file__)


if __name__ == "__main__":
    with kernels.switched_off():
        count_kernels()
        compare_kernels()
